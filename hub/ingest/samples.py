"""Samples as columns, and as the bytes of a binary COPY.  Pure.

Format: PostgreSQL documentation, COPY, "Binary Format"; all numbers big-endian, times in µs since 2000-01-01.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
WEEK_US = 7 * 24 * HOUR_US
MONDAY_US = 2 * 24 * HOUR_US  # 2000-01-03 was a Monday
_TICK = timedelta(microseconds=1)
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_KEY = [("fields", ">i2"), ("l1", ">i4"), ("point", ">i8"), ("l2", ">i4"), ("at", ">i8"), ("l3", ">i4")]
_WITH_VALUE = np.dtype([*_KEY, ("value", ">f8"), ("l4", ">i4"), ("quality", ">i2")])
_WITHOUT_VALUE = np.dtype([*_KEY, ("l4", ">i4"), ("quality", ">i2")])

Row = tuple[int, int, float, int, bool]  # point, µs since 2000, value (nan: none), quality, live


def micros(at: datetime) -> int:
    """Give µs since 2000-01-01 UTC."""
    return (at - POSTGRES_EPOCH) // _TICK


def moment(us: int) -> datetime:
    """Give the time of ``micros``."""
    return POSTGRES_EPOCH + us * _TICK


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples by column, unique by (point, at) and sorted by it; a value that is missing is nan."""

    point: NDArray[np.int64]
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.int16]
    live: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.point)

    def newest(self) -> NDArray[np.intp]:
        """Give the index of the newest sample of every point."""
        return (
            np.flatnonzero(np.append(self.point[1:] != self.point[:-1], True)) if len(self) else np.array([], np.intp)
        )

    def hours(self) -> tuple[list[int], list[float]]:
        """Give each (point, UTC hour) that is touched: points, and hours as seconds since 1970."""
        hours = self.at // HOUR_US
        first = np.ones(len(self), bool)
        first[1:] = (self.point[1:] != self.point[:-1]) | (hours[1:] != hours[:-1])
        epoch_s = POSTGRES_EPOCH.timestamp()
        return self.point[first].tolist(), (hours[first] * 3600.0 + epoch_s).tolist()

    def weeks(self) -> list[datetime]:
        """Give the Monday (UTC midnight) of every week that is touched."""
        return [moment(int(week) * WEEK_US + MONDAY_US) for week in np.unique((self.at - MONDAY_US) // WEEK_US)]

    def copy_bytes(self) -> bytes:
        """Give the samples as the data of COPY samples (point_id, at, value, quality) … (FORMAT binary)."""
        none = np.isnan(self.value)
        return b"".join((_HEADER, self._packed(~none, _WITH_VALUE), self._packed(none, _WITHOUT_VALUE), _TRAILER))

    def _packed(self, which: NDArray[np.bool_], layout: np.dtype[Any]) -> bytes:
        rows = np.empty(int(which.sum()), layout)
        rows["fields"], rows["l1"], rows["l2"], rows["l4"] = 4, 8, 8, 2
        rows["point"], rows["at"], rows["quality"] = self.point[which], self.at[which], self.quality[which]
        if layout is _WITH_VALUE:
            rows["l3"], rows["value"] = 8, self.value[which]
        else:
            rows["l3"] = -1
        return rows.tobytes()


def columns(rows: Sequence[Row]) -> Columns:
    """Sort rows by (point, at); of two with the same key the one that came first stays."""
    point, at, value, quality, live = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    points, ats = np.array(point, np.int64), np.array(at, np.int64)
    order = np.lexsort((ats, points))  # stable: the first of equals stays first
    points, ats = points[order], ats[order]
    keep = np.ones(len(points), bool)
    keep[1:] = (points[1:] != points[:-1]) | (ats[1:] != ats[:-1])
    return Columns(
        points[keep],
        ats[keep],
        np.array(value, np.float64)[order][keep],
        np.array(quality, np.int16)[order][keep],
        np.array(live, bool)[order][keep],
    )
