"""Backfill: a logger file becomes historical frames in the spool, once.

The file is UTF-8 CSV with the header ``device,measure,at,value``: ``at`` is ISO 8601 with an offset, times of a
device never go back, an empty value means that there was none.
"""

import csv
import hashlib
import logging
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_agent.config import EdgeConfig
from edge_agent.frame import FRAME_READINGS_MAX, Frame
from edge_agent.spool import Spool
from rules.model.quality import Quality
from rules.model.reading import Reading

HEADER = ["device", "measure", "at", "value"]
ROWS_MAX = 5_000_000
FUTURE_MAX = timedelta(days=1)

log = logging.getLogger(__name__)


class InvalidBackfillError(ValueError):
    """The file cannot be imported; one sentence with the line.  Nothing was."""


def bring_in(path: Path, config: EdgeConfig, spool: Spool, now: datetime) -> int:
    """Spool a logger file unless it has been already; gives how many readings came in.

    Raises InvalidBackfillError or SpoolFullError; then nothing is spooled and the file may be given again.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if spool.imported(sha256):
            log.info("history %s has been imported before", path)
            return 0
        with path.open(encoding="utf-8-sig", newline="") as text:
            frames = group(_readings(csv.reader(text), path, config, now), ZoneInfo(config.timezone))
    except OSError as error:
        raise InvalidBackfillError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidBackfillError(f"{path} is not UTF-8 text (byte {error.start})") from None
    spool.append(frames, sha256=sha256)
    count = sum(len(frame.readings) for frame in frames)
    log.info("history %s: %d readings in %d frames spooled", path, count, len(frames))
    return count


def group(readings: Iterable[tuple[str, Reading]], zone: ZoneInfo) -> list[Frame]:
    """Put (device, reading) rows into frames, oldest day first: one device, one local day, FRAME_READINGS_MAX."""
    days: dict[tuple[date, str], list[Reading]] = {}
    for device, reading in readings:
        days.setdefault((reading.at.astimezone(zone).date(), device), []).append(reading)
    return [
        Frame(device, tuple(day[start : start + FRAME_READINGS_MAX]), historical=True)
        for (_, device), day in sorted(days.items(), key=lambda item: item[0][0])
        for start in range(0, len(day), FRAME_READINGS_MAX)
    ]


def _readings(
    rows: Iterator[list[str]], path: Path, config: EdgeConfig, now: datetime
) -> Iterator[tuple[str, Reading]]:
    known = {(d.code, p.point.measure): p.point.code for d in config.devices for p in d.points}
    newest: dict[str, datetime] = {}  # by device and by point
    line = 0
    try:
        for line, row in enumerate(rows, 1):
            if line == 1:
                _check_header(row)
                continue
            if line > ROWS_MAX:
                raise ValueError(f"the file has more than {ROWS_MAX} rows; split it")  # noqa: TRY301  # same sentence form
            device, reading = _reading(row, known, now + FUTURE_MAX)
            _check_order(newest, device, reading)
            yield device, reading
        _check_not_empty(line)
    except UnicodeDecodeError:
        raise
    except (ValueError, csv.Error) as error:
        raise InvalidBackfillError(f"{path} line {line}: {error}; nothing was imported") from None


def _check_not_empty(lines: int) -> None:
    if lines == 0:
        raise ValueError(f"the file is empty; it begins with {','.join(HEADER)}")


def _check_header(row: list[str]) -> None:
    if row != HEADER:
        raise ValueError(f"the header must be {','.join(HEADER)}, not {','.join(row)}")


def _reading(row: list[str], known: dict[tuple[str, str], str], latest: datetime) -> tuple[str, Reading]:
    if len(row) != len(HEADER):
        raise ValueError(f"there are {len(row)} fields where {len(HEADER)} belong")
    device, measure, at_text, value_text = row
    point = known.get((device, measure))
    if point is None:
        raise ValueError(f"device '{device}' with measure '{measure}' is not on this gateway")
    at = datetime.fromisoformat(at_text)
    if at.tzinfo is None:
        raise ValueError(f"'{at_text}' has no offset; write it like 2026-01-31T08:15:00+08:00")
    at = at.astimezone(UTC)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    if at > latest:
        raise ValueError(f"{at_text} lies in the future")
    if not value_text:
        return device, Reading(point, at, None, Quality.BAD)
    value = float(value_text)
    if not math.isfinite(value):
        raise ValueError(f"'{value_text}' is no number")
    return device, Reading(point, at, value, Quality.GOOD)


def _check_order(newest: dict[str, datetime], device: str, reading: Reading) -> None:
    if newest.get(device, reading.at) > reading.at:
        raise ValueError(f"{reading.at.isoformat()} is older than the row before it of device '{device}'")
    if newest.get(reading.point) == reading.at:
        raise ValueError(f"{reading.point} has two values at {reading.at.isoformat()}")
    newest[device] = newest[reading.point] = reading.at
