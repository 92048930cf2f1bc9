"""What counters with nothing unusual counted per local day, for many at once by column.  Pure.

The same as ``rules.meter`` says of all their readings, in whole steps of the resolution: at midnight a counter stands
between the last good reading before and the first one after, in proportion to time (milliseconds), rounded half up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.readings.rows import CounterPoint

LONGEST_GAP = timedelta(days=2)  # these two as for bills
SETTLED_WITHIN = timedelta(minutes=1)
US = timedelta(microseconds=1)
STEPS_MOST = 10**9  # in a day: more is for the slower way
FACE_MOST = 1e15  # whole numbers up to here are exact as doubles
LAYOUT = {"point_id": "i8", "place": "i8", "falls": "i8", "first": "f8", "last": "f8", "first_s": "f8", "last_s": "f8",
          "starts_s": "f8"}  # fmt: skip

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PlainDays:
    """By point and day: ``steps`` where ``known``; where ``plain`` (by point) is false, more readings have to say."""

    plain: Bools
    steps: Ints
    known: Bools
    estimated: Bools


@dataclass(frozen=True, slots=True)
class _Nights:
    """By row: what was counted since the last reading of the day before, and how much of that before midnight."""

    follows: Bools
    counted: Ints
    before: Ints
    at_midnight: Bools
    gap_us: Ints
    next_day: Bools


Held = dict[str, NDArray[Any]]


def work_out(held: Held, points: Sequence[CounterPoint], length: int) -> PlainDays:
    """Give what ``points`` counted on ``length`` days from columns of LAYOUT in any order; ``place`` 0 is the first."""
    ids = np.array([one.point_id for one in points], np.int64)
    by_id = np.argsort(ids)
    order = np.lexsort((held["place"], held["point_id"]))
    order = order[np.isin(held["point_id"][order], ids)]
    held = {name: values[order] for name, values in held.items()}
    of = by_id[np.searchsorted(ids, held["point_id"], sorter=by_id)] if len(order) else np.zeros(0, np.int64)
    step = np.array([float(one.resolution) for one in points])
    top = np.array([FACE_MOST if one.modulus is None else float(one.modulus / one.resolution) for one in points])
    first, last = _steps(held["first"], step, of), _steps(held["last"], step, of)
    night = _nights(held, of, first, last)
    top = top[of] if len(order) else np.zeros(0)
    most = np.minimum(top / 2, STEPS_MOST)
    usual = (held["falls"] == 0) & (first >= 0) & (last < top) & (last - first < most)
    between = (night.counted >= 0) & (night.counted < most) & night.next_day & (night.gap_us > 0)
    usual &= ~night.follows | between & (night.gap_us <= LONGEST_GAP // US)
    plain = np.ones(len(points), bool)
    plain[of[~usual]] = False
    return _laid(held, of, last - first, night, PlainDays(plain, *_empty(len(points), length)))


def _empty(points: int, length: int) -> tuple[Ints, Bools, Bools]:
    shape = points, length
    return np.zeros(shape, np.int64), np.zeros(shape, bool), np.zeros(shape, bool)


def _laid(held: Held, of: Ints, inside: Ints, night: _Nights, into: PlainDays) -> PlainDays:
    """Put what rows say into their places; what lies outside the days asked for only helped to know their ends."""
    followed = np.append(night.follows[1:], False)
    after = np.append(night.before[1:], 0)
    steps = inside + (night.counted - night.before) + np.where(followed, after, 0)
    guessed = night.follows & (night.counted > 0) & ~night.at_midnight & (night.gap_us > SETTLED_WITHIN // US)
    wanted = (held["place"] >= 0) & (held["place"] < into.steps.shape[1])
    where = of[wanted], held["place"][wanted]
    into.steps[where] = steps[wanted]
    into.known[where] = ((night.follows | night.at_midnight) & followed)[wanted]
    into.estimated[where] = (guessed | np.append(guessed[1:], False))[wanted]
    return into


def _nights(held: Held, of: Ints, first: Ints, last: Ints) -> _Nights:
    follows = np.append(False, of[1:] == of[:-1]) if len(of) else np.zeros(0, bool)
    first_us, last_us, starts_us = (
        np.rint(held[name] * 1e6).astype(np.int64) for name in ("first_s", "last_s", "starts_s")
    )
    counted = np.where(follows, first - _before(last), 0)
    gap_us = np.where(follows, first_us - _before(last_us), 0)
    at_midnight = first_us == starts_us
    gap_ms, since_ms = np.maximum(gap_us // 1_000, 1), np.where(follows, starts_us - _before(last_us), 0) // 1_000
    share = (2 * counted * since_ms + gap_ms) // (2 * gap_ms)
    before = np.where(at_midnight, counted, share)
    return _Nights(follows, counted, before, at_midnight, gap_us, held["place"] - _before(held["place"]) == 1)


def _before(column: NDArray[Any]) -> NDArray[Any]:
    return np.append(column[:1], column[:-1])


def _steps(values: NDArray[np.float64], step: NDArray[np.float64], of: Ints) -> Ints:
    if not len(values):
        return np.zeros(0, np.int64)
    return np.rint(np.clip(values / step[of], -FACE_MOST, FACE_MOST)).astype(np.int64)
