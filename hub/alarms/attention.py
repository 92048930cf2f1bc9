"""What the judge may leave out: readings that change nothing because every rule on them is at rest.

A rule is at rest on a device when its machine is normal and stays so for every value within a band.  Only ``judge``
moves such a machine, and the silence of the device; so while readings keep coming and lie within their bands, nobody
has to be asked.  Everything that is not known here for sure is loud: it goes to the judge.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf, nan
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rules.detect.rule import Limit, Rule, Stale, State
from rules.model.quality import Quality

REMEMBER = timedelta(minutes=1)  # rules by date, profiles and roles may change
SPREAD = 16  # devices are asked for again a few at a time
HALF = 0.5
FOREVER_S = 1e10
NEVER_US = -(2**62)


@dataclass(frozen=True, slots=True)
class Band:
    """Values for which nothing happens: from ``low`` to ``high``, but for those that round to ``but``."""

    low: float = -inf
    high: float = inf
    but: float | None = None


LOUD = Band(inf, -inf)
Number = TypeVar("Number", np.float64, np.int64, np.bool_)


@dataclass(frozen=True, slots=True)
class Calm:
    """A device whose rules are all at rest: bands by measure that any rule reads, and how long it may be silent."""

    bands: Mapping[str, Band]
    silent_s: float = inf
    heard_at: datetime | None = None  # its last good reading


def calm(rules: Iterable[Rule], heard_at: datetime | None) -> Calm:
    """Give what leaves these rules at rest.  Hours of a limit are passed over, which is louder and never wrong."""
    bands: dict[str, Band] = {}
    silent_s = inf
    for rule in rules:
        condition = rule.condition
        if isinstance(condition, Stale):
            silent_s = min(silent_s, float(condition.after_s))
            continue
        for measure in rule.measures:
            bands[measure] = _narrowed(bands.get(measure, Band()), condition)
    return Calm(bands, silent_s, heard_at)


def _narrowed(band: Band, condition: object) -> Band:
    if isinstance(condition, Limit) and condition.only_while is None:
        low = band.low if condition.below is None else max(band.low, condition.below)
        high = band.high if condition.above is None else min(band.high, condition.above)
        return Band(low, high, band.but)
    if isinstance(condition, State) and band.but in (None, float(condition.equals)):
        return Band(band.low, band.high, float(condition.equals))
    return LOUD


@dataclass(slots=True)
class Attention:
    """What is at rest, by point.  ``note`` is the judge's, the rest is for who commits."""

    noted: dict[UUID, Calm | None] = field(default_factory=dict)  # in the transaction that runs
    _devices: dict[UUID, int] = field(default_factory=dict)
    _until: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # by device: s since 1970
    _heard: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # its last good reading, µs
    _silent: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # how long it may be silent, µs
    _points: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # sorted
    _place: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # of each point in what follows
    _slots: dict[int, int] = field(default_factory=dict)
    _bands: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))  # low, high, but
    _free: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))  # no rule reads it
    _owner: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def note(self, device: UUID, rest: Calm | None) -> None:
        """Say that the rules of a device are at rest, or that they are not."""
        self.noted[device] = rest

    def forget(self) -> None:
        """Know nothing: a batch has failed, or another may have judged."""
        self.noted.clear()
        self._until[:] = 0.0

    def loud(
        self,
        points: NDArray[np.int64],
        at_us: NDArray[np.int64],
        values: NDArray[np.float64],
        qualities: NDArray[np.int16],
        now: tuple[datetime, int],
    ) -> NDArray[np.bool_]:
        """Give which readings the judge has to see; ``now`` is the time, and the same in µs since 2000."""
        if not len(self._points):
            return np.ones(len(points), bool)
        found = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        slot = self._place[found]
        owner = self._owner[slot]
        rests = (self._points[found] == points) & (self._until[owner] > now[0].timestamp())
        rests &= self._heard[owner] > now[1] - self._silent[owner]
        low, high, but = self._bands[slot].T
        within = (values >= low) & (values <= high) & ~(np.abs(values - but) <= HALF)
        quiet = rests & (((qualities == int(Quality.GOOD)) & within) | self._free[slot])
        self._hear(owner, at_us, rests & (qualities == int(Quality.GOOD)) & ~np.isnan(values))
        loud: NDArray[np.bool_] = ~quiet
        return loud

    def _hear(self, owner: NDArray[np.int64], at_us: NDArray[np.int64], good: NDArray[np.bool_]) -> None:
        np.maximum.at(self._heard, owner[good], at_us[good])

    def settle(self, points: Mapping[UUID, Mapping[str, int]], now: tuple[datetime, int]) -> None:
        """Believe what was noted: the transaction has been committed."""
        fresh = False
        for device, rest in self.noted.items():
            place = self._devices.get(device)
            if rest is None or device not in points:
                if place is not None:
                    self._until[place] = 0.0
                continue
            fresh |= self._enter(device, rest, points[device], now)
        self.noted.clear()
        if fresh:
            self._points = np.array(sorted(self._slots), np.int64)
            self._place = np.array([self._slots[point] for point in self._points.tolist()], np.int64)

    def _enter(self, device: UUID, rest: Calm, points: Mapping[str, int], now: tuple[datetime, int]) -> bool:
        place = self._devices.setdefault(device, len(self._devices))
        self._until, self._silent = _roomy(self._until, place + 1), _roomy(self._silent, place + 1)
        self._heard = _roomy(self._heard, place + 1)
        again = REMEMBER.total_seconds() * (1 + place % SPREAD / SPREAD)
        self._until[place] = now[0].timestamp() + again
        self._silent[place] = min(rest.silent_s, FOREVER_S) / 2 * 1e6  # half: while a batch commits, time goes on
        heard_us = None if rest.heard_at is None else now[1] - (now[0] - rest.heard_at) // timedelta(microseconds=1)
        self._heard[place] = NEVER_US if heard_us is None else heard_us
        known = len(self._slots)
        for measure, point in points.items():
            slot = self._slots.setdefault(point, len(self._slots))
            self._bands, self._free = _roomy(self._bands, slot + 1), _roomy(self._free, slot + 1)
            self._owner = _roomy(self._owner, slot + 1)
            band = rest.bands.get(measure)
            self._free[slot], self._owner[slot] = band is None, place
            band = band or LOUD
            self._bands[slot] = (band.low, band.high, nan if band.but is None else band.but)
        return len(self._slots) > known


def _roomy(column: NDArray[Number], size: int) -> NDArray[Number]:
    """Give a column of at least ``size`` rows."""
    if len(column) >= size:
        return column
    grown = np.zeros((max(2 * len(column), size, 64), *column.shape[1:]), column.dtype)
    grown[: len(column)] = column
    return grown
