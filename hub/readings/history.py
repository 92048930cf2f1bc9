"""Files of history: what readings they hold, and what in them cannot be used, row by row.  Pure but for the bytes.

Long: columns named point, at and value, besides unit and quality where wanted.  Wide: the first column is the time,
each other one is named for its point, with the unit behind it where it is another: ``EM-A-101.energy [MWh]``.
"""

import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pint
from numpy.typing import NDArray

from hub.errors import InvalidError
from hub.readings.history_cells import Cell, Rows, Sheet, opened
from hub.readings.history_values import SHOWN, CellError, Clock, Scale, number, quality
from rules.model.quality import Quality
from rules.model.quantity import UnknownUnitError

READINGS_MAX = 2_000_000
FAULTS_KEPT = 20_000
FIRST_YEAR = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)  # a moment later than that has not come yet
MAGNITUDE_MAX = 1e15  # a double no longer keeps every digit beyond
EMPTY = "This file holds no readings."
WHAT = (
    "The first row of the file must name its columns: point, at and value (and unit, quality), or a column 'at' and "
    "then one for each point, named for it."
)
TOO_MANY = f"A file of history holds at most {READINGS_MAX} readings; cut it into several."
NAMES = {
    "point": ("point", "code", "测点", "点位", "点"),
    "at": ("at", "time", "timestamp", "datetime", "时间", "采集时间"),
    "value": ("value", "reading", "值", "数值", "读数"),
    "unit": ("unit", "单位"),
    "quality": ("quality", "质量"),
}
UNITS_ROW = NAMES["unit"]
HEAD = re.compile(r"(.+?)\s*(?:\[([^\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Target:
    """A point that readings may be brought for."""

    id: int
    code: str
    kind: str
    unit: str
    modulus: Decimal | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row, or a cell of it, is not used."""

    row: int
    point: str
    sentence: str


@dataclass(slots=True)
class Found:
    """What a file holds: readings by column in the order of the file, and what is wrong with the rest."""

    point: "array[int]" = field(default_factory=lambda: array("q"))
    at: "array[int]" = field(default_factory=lambda: array("q"))  # µs since 2000-01-01
    value: "array[float]" = field(default_factory=lambda: array("d"))  # nan: none
    quality: "array[int]" = field(default_factory=lambda: array("h"))
    row: "array[int]" = field(default_factory=lambda: array("q"))
    faults: list[Fault] = field(default_factory=list)
    refused: int = 0

    def refuse(self, row: int, point: str, sentence: str) -> None:
        """Note that something is not used, and count it; beyond FAULTS_KEPT it is only counted."""
        self.refused += 1
        self.note(row, point, sentence)

    def note(self, row: int, point: str, sentence: str) -> None:
        """Note something about a row that is counted elsewhere."""
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(Fault(row, point[:SHOWN], sentence))

    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int16]]:
        """Give point, at, value and quality as arrays."""
        points, ats = np.frombuffer(self.point, np.int64), np.frombuffer(self.at, np.int64)
        return points, ats, np.frombuffer(self.value, np.float64), np.frombuffer(self.quality, np.int16)


def read(body: bytes, site: str, zone: ZoneInfo, targets: Mapping[str, Target], now: datetime) -> Found:
    """Read a file; raises InvalidError for one that cannot be used at all."""
    sheet = opened(body)
    reader = _Reader(sheet, site, Clock(zone, sheet.epoch), targets, now + AHEAD)
    reader.walk()
    return reader.found


@dataclass(slots=True)
class _Reader:
    sheet: Sheet
    site: str
    clock: Clock
    targets: Mapping[str, Target]
    until: datetime
    found: Found = field(default_factory=Found)
    _scales: dict[tuple[str, str], Scale | str] = field(default_factory=dict)

    def walk(self) -> None:
        rows = (row for row in self.sheet.rows if any(cell is not None for cell in row[1]))
        first = next(rows, None)
        if first is None:
            raise InvalidError(EMPTY)
        names = [str(cell or "").strip().lower() for cell in first[1]]
        columns = {name: i for i, said in enumerate(names) for name, known in NAMES.items() if said in known}
        if {"point", "at", "value"} <= columns.keys():
            self._long(rows, columns)
        elif columns.get("at") == 0 and len(names) > 1 and "value" not in columns:
            self._wide(rows, first)
        else:
            raise InvalidError(WHAT)
        if not self.found.row and not self.found.refused:
            raise InvalidError(EMPTY)

    def _long(self, rows: Rows, columns: Mapping[str, int]) -> None:
        def cell(cells: list[Cell], name: str) -> Cell:
            i = columns.get(name, len(cells))
            return cells[i] if i < len(cells) else None

        for row, cells in rows:
            code = cell(cells, "point")
            code = f"{code:g}" if isinstance(code, float) else str(code or "")
            target = self.targets.get(code)
            if target is None:
                self.found.refuse(row, code, self._stranger(code))
                continue
            try:
                at, unit = self.clock.moment(cell(cells, "at")), cell(cells, "unit")
                known = quality(cell(cells, "quality"))
                value = self._value(cell(cells, "value"), target, str(unit or ""), known)
                self._add(row, target, at, value, known)
            except CellError as error:
                self.found.refuse(row, code, str(error))

    def _wide(self, rows: Rows, head: tuple[int, list[Cell]]) -> None:
        titles = [HEAD.fullmatch(str(cell or "").strip()) for cell in head[1]]
        units = [(title[2] or "") if title else "" for title in titles]
        columns: list[tuple[int, Target]] = []
        for i, title in enumerate(titles[1:], 1):
            target = self.targets.get(title[1]) if title else None
            if target is not None:
                columns.append((i, target))
            elif title is not None:
                self.found.refuse(head[0], title[1], f"{self._stranger(title[1])} Its column is left out.")
        for row, cells in rows:
            if str(cells[0] or "").lower() in UNITS_ROW:
                units = [str(cell or "") for cell in cells] + [""] * len(titles)
                continue
            self._wide_row(row, cells, columns, units)

    def _wide_row(self, row: int, cells: list[Cell], columns: list[tuple[int, Target]], units: list[str]) -> None:
        try:
            at = self.clock.moment(cells[0])
        except CellError as error:
            self.found.refuse(row, "", str(error))
            return
        good = int(Quality.GOOD)
        for i, target in columns:
            if i < len(cells) and cells[i] is not None:  # an empty cell: nothing was read then
                try:
                    self._add(row, target, at, self._value(cells[i], target, units[i], good), good)
                except CellError as error:
                    self.found.refuse(row, target.code, str(error))

    def _value(self, cell: Cell, target: Target, unit: str, known: int) -> float:
        if cell is None and known != Quality.GOOD:
            return float("nan")  # nothing was read, and the file says so
        value = number(cell, decimal_comma=self.sheet.decimal_comma)
        if unit and unit != target.unit:
            value = self._scale(unit, target)(value)
        if abs(value) > MAGNITUDE_MAX:
            raise CellError(f"{value:g} is larger than any meter shows.")
        if target.kind == "counter" and (value < 0 or (target.modulus is not None and value >= target.modulus)):
            top = target.modulus or "any"
            raise CellError(f"{value:g} is not on the face of '{target.code}' (0 to {top}).")
        return value

    def _scale(self, unit: str, target: Target) -> Callable[[float], float]:
        key = (unit, target.unit)
        if key not in self._scales:
            try:
                self._scales[key] = Scale(*key)
            except UnknownUnitError as error:
                self._scales[key] = f"{error}."
            except pint.DimensionalityError:
                self._scales[key] = f"'{unit[:SHOWN]}' cannot stand for {target.unit or 'a bare number'}."
        found = self._scales[key]
        if isinstance(found, str):
            raise CellError(found)
        return found

    def _add(self, row: int, target: Target, at: datetime, value: float, known: int) -> None:
        if not FIRST_YEAR <= at <= self.until:
            when = "before the year 2000" if at < FIRST_YEAR else "in the future"
            raise CellError(f"{at:%Y-%m-%d %H:%M} UTC lies {when}; correct the date.")
        found = self.found
        if len(found.row) >= READINGS_MAX:
            raise InvalidError(TOO_MANY)
        found.point.append(target.id)
        found.at.append((at - FIRST_YEAR) // _TICK)
        found.value.append(value)
        found.quality.append(known)
        found.row.append(row)

    def _stranger(self, code: str) -> str:
        return f"There is no such point '{code[:SHOWN]}' at {self.site}." if code else "It names no point."


_TICK = timedelta(microseconds=1)


def twice(found: Found) -> Iterator[tuple[int, int]]:
    """Give the pairs of readings of one point and moment, by index: the first of them in the file, and each other."""
    point, at, _, _ = found.columns()
    order = np.lexsort((at, point))
    same = (point[order][1:] == point[order][:-1]) & (at[order][1:] == at[order][:-1])
    first = -1
    for i in np.flatnonzero(same).tolist():
        if i == 0 or not same[i - 1]:
            first = int(order[i])
        yield first, int(order[i + 1])
