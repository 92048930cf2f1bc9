"""Samples as columns, and as the bytes of a binary COPY.  Pure.

Format: PostgreSQL documentation, COPY, "Binary Format"; all numbers big-endian, times in µs since 2000-01-01.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.ingest.acts import Samples

POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH_MS = 946_684_800_000
HOUR_US = 3_600_000_000
WEEK_US = 7 * 24 * HOUR_US
MONDAY_US = 2 * 24 * HOUR_US  # 2000-01-03 was a Monday
_TICK = timedelta(microseconds=1)
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_KEY = [("fields", ">i2"), ("l1", ">i4"), ("point", ">i8"), ("l2", ">i4"), ("at", ">i8"), ("l3", ">i4")]
_WITH_VALUE = np.dtype([*_KEY, ("value", ">f8"), ("l4", ">i4"), ("quality", ">i2")])
_WITHOUT_VALUE = np.dtype([*_KEY, ("l4", ">i4"), ("quality", ">i2")])


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
    owner: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))  # device's number in the batch

    def __len__(self) -> int:
        return len(self.point)

    def only(self, which: NDArray[np.bool_]) -> "Columns":
        """Give some of them."""
        if which.all():
            return self
        columns = (self.point, self.at, self.value, self.quality, self.live)
        some = Columns(*(column[which] for column in columns))  # type: ignore[arg-type]  # each keeps its type
        return replace(some, owner=self.owner[which]) if len(self.owner) else some

    def newest(self) -> NDArray[np.intp]:
        """Give the index of the newest sample of every point."""
        return (
            np.flatnonzero(np.append(self.point[1:] != self.point[:-1], True)) if len(self) else np.array([], np.intp)
        )

    def hours(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give each (point, UTC hour) that is touched: points, and hours since 2000."""
        hours = self.at // HOUR_US
        first = np.ones(len(self), bool)
        first[1:] = (self.point[1:] != self.point[:-1]) | (hours[1:] != hours[:-1])
        return self.point[first], hours[first]

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


@dataclass(slots=True)
class Heap:
    """Samples of a batch in the order of their arrival."""

    points: list[int] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    qualities: list[int] = field(default_factory=list)
    historical: list[bool] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.points)

    def add(self, points: Sequence[int], samples: Samples, owner: int) -> None:
        """Take in samples of the device that has this number in the batch, under the ids of their points."""
        self.points += points
        self.at_ms += samples.at_ms
        self.values += samples.values
        self.qualities += samples.qualities
        self.historical += samples.historical
        self.owners += [owner] * len(points)

    def sorted(self) -> Columns:
        """Sort by (point, at); of two with the same key the one that came first stays."""
        points = np.array(self.points, np.int64)
        ats = (np.array(self.at_ms, np.int64) - POSTGRES_EPOCH_MS) * 1000
        order = np.lexsort((ats, points))  # stable: the first of equals stays first
        points, ats = points[order], ats[order]
        keep = np.ones(len(points), bool)
        keep[1:] = (points[1:] != points[:-1]) | (ats[1:] != ats[:-1])
        order = order[keep]
        return Columns(
            points[keep],
            ats[keep],
            np.array(self.values, np.float64)[order],
            np.array(self.qualities, np.int16)[order],
            ~np.array(self.historical, bool)[order],
            np.array(self.owners, np.int32)[order],
        )
