"""Try a correction out: what its days would have consumed before and after, and which bills rest on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hub.corrections.rows import Bill, Line, Plan, StoredExchange
from hub.errors import InvalidError
from hub.readings import exchanges
from hub.readings import service as readings
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.amendment import LONGEST_GAP, Amendment, Course, DayEffect, amended, daily, series
from rules.meter.consumption import Exchange
from rules.meter.series import Counter
from rules.model.doubt import DoubtError
from rules.model.period import days, days_period
from rules.model.quality import Quality

SQL = queries(__package__)
DAY = timedelta(days=1)
BILLS_MAX = 100


class UnfitError(InvalidError):
    """An exchange that the readings around speak against; ``zh`` says the same in Chinese."""

    def __init__(self, doubt: DoubtError) -> None:
        super().__init__(f"This exchange does not fit the readings around it: {doubt.en}")
        self.zh = f"换表记录与前后读数不符：{doubt.zh}"


@dataclass(frozen=True, slots=True)
class Tried:
    """The course of a counter as it stands and as it would stand, over the days concerned."""

    before: Course
    after: Course
    effect: tuple[DayEffect, ...]


async def tried(tx: Transaction, held: Plan) -> Tried | None:
    """Try a plan out; None for a point that is no counter.  Raises InvalidError where there are too many readings."""
    target = held.target
    if target.kind != "counter":
        return None
    first, last = (at.astimezone(target.zone).date() for at in (held.first_at, held.last_at))
    span = days_period(first - DAY, last + 2 * DAY, target.zone)
    found = await readings.counter_series(tx, target.id, span, LONGEST_GAP)
    then = amended(found, [_amendment(line) for line in held.lines], target.code)
    since = min([span.start, *(reading.at for reading in (*found[:1], *then[:1]))])
    counter, done = await exchanges.meter(tx, target.id, target.counter, since, span.end + LONGEST_GAP)
    before, after = Course(found, counter, done), Course(then, counter, _exchanges(held, done))
    return Tried(before, after, tuple(daily(before, after, days(first - DAY, last + 2 * DAY), target.zone)))


def check_exchange(found: Tried | None) -> None:
    """Compare the faces that a person tells with the readings around; raises UnfitError with what does not fit."""
    if found is None or not any(reading.quality.usable for reading in found.after.readings):
        return  # a meter without readings: there is nothing to compare with
    course = series(found.after)
    if isinstance(course, DoubtError):
        raise UnfitError(course)


def told(held: Plan, found: Tried | None) -> tuple[dict[str, Any], ...]:
    """Give the days that change, as text that is kept with the correction."""
    return tuple(
        {
            "day": day.day.isoformat(), "unit": held.target.unit,
            "before": _text(day.before), "after": _text(day.after),
            "doubt_en": day.after.en if isinstance(day.after, DoubtError) else "",
            "doubt_zh": day.after.zh if isinstance(day.after, DoubtError) else "",
        }
        for day in (found.effect if found else ())
        if day.differs
    )  # fmt: skip


async def bills(tx: Transaction, held: Plan) -> Sequence[Bill]:
    """Give the invoices with a line that rests on the moments concerned, as their evidence says."""
    target = held.target
    async with tx.unconfined():  # their numbers belong to the act, wherever the tenant's lease lies
        return await tx.all(
            Bill, SQL["bills"],
            {"device": target.device_id, "point": target.code, "first": held.first_at, "last": held.last_at,
             "most": BILLS_MAX},
        )  # fmt: skip


def _amendment(line: Line) -> Amendment:
    return Amendment(line.at, line.value, None if line.quality is None else Quality(line.quality))


def _exchanges(held: Plan, done: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    swap = held.exchange
    if swap is None:
        return done
    if held.withdraws_id is not None:
        return tuple(one for one in done if one.at != swap.at)
    return tuple(sorted([*done, exchange_of(swap)], key=lambda one: one.at))


def exchange_of(swap: StoredExchange) -> Exchange:
    """Give an exchange as ``rules.meter.consumption`` takes it."""
    return Exchange(swap.at, swap.final, swap.initial, Counter(swap.resolution, swap.modulus, swap.multiplier))


def _text(what: Decimal | DoubtError) -> str:
    return "" if isinstance(what, DoubtError) else f"{what:f}"
