"""What a cell of a file of history says: a moment, a number, a quality.  Pure.

What can be read in two ways is refused with how to write it: a date with the month first or the day first, a number
whose comma may part thousands, a time that the clocks of the site skipped or showed twice.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from openpyxl.utils.datetime import from_excel

from hub.readings.history_cells import Cell
from rules.model.quality import Quality
from rules.model.quantity import convert

SHOWN = 40  # characters of what stands in a cell, in a sentence about it
SERIALS = (20_000.0, 90_000.0)  # days since 1900 that are a date of our time (1954 to 2146)
KEPT_MAX = 200_000  # times that are remembered: the same ones stand in many rows
YEARS = range(1970, 2200)  # beyond them a moment may have no place in UTC
SIGNIFICANT_DIGITS = 12  # of a converted value
PLACES = 9  # of one whose unit has a zero of its own
TIME = "(?:[ T]+(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:[.,](\\d{1,6}))?)?)?"
YEAR_FIRST = re.compile(r"(\d{4})[/.年-](\d{1,2})[/.月-](\d{1,2})(?:日)?" + TIME, re.ASCII)
DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})" + TIME, re.ASCII)
SLASHES = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}\b.*", re.ASCII)
GROUPED = re.compile(r"-?\d{1,3}(?:\.\d{3})+,\d+", re.ASCII)
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
QUALITIES = {one.name.lower(): int(one) for one in Quality} | {str(int(one)): int(one) for one in Quality}


class CellError(ValueError):
    """A cell cannot be used; the sentence says why and how to write it."""


class Clock:
    """Reads times in the zone of a site, where they do not say their own offset."""

    def __init__(self, zone: ZoneInfo, epoch: datetime | None) -> None:
        self._zone = zone
        self._epoch = epoch
        self._known: dict[Cell, datetime] = {}

    def moment(self, cell: Cell) -> datetime:
        """Give a cell's moment; raises CellError."""
        known = self._known.get(cell)
        if known is None:
            known = self._placed(self._read(cell))
            if len(self._known) >= KEPT_MAX:
                self._known.clear()
            self._known[cell] = known
        return known

    def _read(self, cell: Cell) -> datetime:
        if cell is None:
            raise CellError("It has no time; where cells are merged, write the time into every row.")
        if isinstance(cell, datetime):
            return _whole(cell)
        if isinstance(cell, float):
            return self._serial(cell)
        return _written(cell)

    def _serial(self, days: float) -> datetime:
        if self._epoch is None or not SERIALS[0] <= days <= SERIALS[1]:
            raise CellError(f"{days:g} is no time; write it like 2026-01-31 00:15.")
        found = from_excel(days, self._epoch)
        assert isinstance(found, datetime)
        return _whole(found)

    def _placed(self, at: datetime) -> datetime:
        if at.year not in YEARS:
            raise CellError(f"{at.year} is no year of a reading; correct the date.")
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        first, second = at.replace(tzinfo=self._zone), at.replace(tzinfo=self._zone, fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        assert before is not None
        assert after is not None
        if before < after:
            raise CellError(f"{at} does not exist in {self._zone.key}: the clocks go forward then; give it an offset.")
        if before > after:
            raise CellError(f"{at} comes twice in {self._zone.key}: the clocks go back then; give it an offset.")
        return first.astimezone(UTC)


def _whole(at: datetime) -> datetime:
    """Give whole milliseconds: a spreadsheet keeps times as parts of a day, which are not exact."""
    rounded = at + timedelta(microseconds=500)
    return rounded.replace(microsecond=rounded.microsecond // 1_000 * 1_000)


def _written(text: str) -> datetime:
    if SLASHES.fullmatch(text):
        raise CellError(f"'{text[:SHOWN]}' can be read in two ways; write it like 2026-01-31 00:15.")
    try:
        if found := YEAR_FIRST.fullmatch(text):
            return _made(found, (1, 2, 3))
        if found := DAY_FIRST.fullmatch(text):
            return _made(found, (3, 2, 1))
        return datetime.fromisoformat(text)
    except ValueError:
        raise CellError(f"'{text[:SHOWN]}' is no time; write it like 2026-01-31 00:15.") from None


def _made(found: re.Match[str], order: tuple[int, int, int]) -> datetime:
    year, month, day, hour, minute, second = (int(found[n] or 0) for n in (*order, 4, 5, 6))
    micros = int((found[7] or "").ljust(6, "0"))
    return datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - it is placed later


def number(cell: Cell, *, decimal_comma: bool) -> float:
    """Give a cell's number; raises CellError."""
    if isinstance(cell, float):
        value = cell
    elif isinstance(cell, str):
        value = _number(cell, decimal_comma=decimal_comma)
    else:
        raise CellError("It has no value.") if cell is None else CellError(f"{cell} is a time, not a value.")
    if not math.isfinite(value):
        raise CellError(f"{value} is no value; leave the row out where nothing was read.")
    return value


def _number(text: str, *, decimal_comma: bool) -> float:
    shown = text[:SHOWN]
    if text.startswith("="):
        raise CellError(f"'{shown}' is a formula; put its value in its place.")
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise CellError(f"'{shown}' is no value; leave the row out where nothing was read.")
    if decimal_comma and (COMMA.fullmatch(text) or GROUPED.fullmatch(text)):
        return float(text.replace(".", "").replace(",", "."))
    if decimal_comma and "." in text:
        raise CellError(f"'{shown}' can be read in two ways among numbers with a decimal comma; write it with a comma.")
    if PLAIN.fullmatch(text):
        return float(text)
    if "," in text:
        raise CellError(f"'{shown}' can be read in two ways; write it like 1234.5, without signs between thousands.")
    raise CellError(f"'{shown}' is not a number.")


def quality(cell: Cell) -> int:
    """Give a cell's quality, good where it says nothing; raises CellError."""
    if cell is None:
        return int(Quality.GOOD)
    said = f"{cell:g}" if isinstance(cell, float) else str(cell).lower()
    found = QUALITIES.get(said)
    if found is None:
        raise CellError(f"'{said[:SHOWN]}' is no quality; write good, uncertain, bad or stale, or leave it empty.")
    return found


class Scale:
    """Turns values of one unit into another; raises what ``convert`` raises when made."""

    def __init__(self, unit: str, to: str) -> None:
        self._unit, self._to = unit, to
        zero = convert(0.0, unit, to)
        self._factor = None if zero else convert(1.0, unit, to)

    def __call__(self, value: float) -> float:
        """Give a converted value, without the noise of the last digits."""
        if self._factor is None:
            return round(convert(value, self._unit, self._to), PLACES)
        return float(f"{value * self._factor:.{SIGNIFICANT_DIGITS}g}")
