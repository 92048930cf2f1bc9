"""From a wish to what it comes to: readings concerned, consumption before and after, the bills that rest on them."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hub.corrections import effect
from hub.corrections.rows import Correction, Kind, Line, Plan, StoredExchange, Swap, Target, Wish
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.readings import exchanges
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.quality import Quality

SQL = queries(__package__)
BATCH_MAX = 10_000  # readings disputed at once
SPAN_MAX = timedelta(days=31)  # of one dispute
BEHIND_MAX = timedelta(days=6 * 366)  # as far back as readings are taken in
DIGITS_MAX = 15  # of a face that a double prints back unchanged
MULTIPLIER_BELOW = Decimal(10) ** 8  # as the register keeps it, numeric(12, 4)
MULTIPLIER_PLACES = 4
SERIAL_CHARACTERS_MAX = 64
FUTURE = "This moment is still to come; give the time at which the meter was read."
PAST = "This moment lies more than six years back; readings of then are not kept."
BACKWARDS = "The span ends before it begins; give its first moment first."
TOO_LONG = f"A dispute covers {SPAN_MAX.days} days at most; ask for the rest by a second one."
TOO_MANY = f"There are more than {BATCH_MAX} readings in this span; dispute a shorter one."
NOTHING = "There is no reading with a value here to dispute; look at the times."
NO_READING = "There is no reading at this moment to replace; add one instead."
A_READING = "There is a reading at this moment already; replace it instead."
SAME = "The reading shows this already."
NO_VALUE = "Give the value as a number, for example 1234.5."
NOT_COUNTER = "Only the meter behind a counter is exchanged; choose the meter's counter."
NOT_IN_FORCE = "Only a correction that is in force is withdrawn."
NOT_TWICE = "A withdrawal is not withdrawn; correct the readings anew."


async def target(tx: Transaction, code: str | None, point_id: int | None = None) -> Target:
    """Give the point that somebody wants to correct; raises NotFoundError."""
    what = f"point '{code[:80]}'" if code is not None else "point"
    return await tx.one(Target, SQL["target"], {"code": code, "id": point_id}, what=what)


async def plan(tx: Transaction, wish: Wish, now: datetime) -> Plan:
    """Give what a wish comes to, writing nothing; raises NotFoundError, InvalidError or ConflictError."""
    found = await target(tx, wish.point)
    withdrawn = await _withdrawn(tx, wish, found) if wish.kind is Kind.WITHDRAW else None
    if withdrawn is None:
        _check_times(wish, now)
    lines = await _lines(tx, wish, found, withdrawn)
    exchange = await _exchange(tx, wish, found, withdrawn)
    held = Plan(found, tuple(lines), exchange, withdrawn.id if withdrawn else None, (), ())
    tried = await effect.tried(tx, held)
    if wish.kind is Kind.EXCHANGE:
        effect.check_exchange(tried)
    return replace(held, effect=effect.told(held, tried), bills=tuple(await effect.bills(tx, held)))


def _check_times(wish: Wish, now: datetime) -> None:
    if wish.last_at < wish.first_at:
        raise InvalidError(BACKWARDS)
    if wish.first_at < now - BEHIND_MAX:
        raise InvalidError(PAST)
    if wish.last_at > now:
        raise InvalidError(FUTURE)
    if wish.last_at - wish.first_at > SPAN_MAX:
        raise InvalidError(TOO_LONG)


async def _lines(tx: Transaction, wish: Wish, found: Target, withdrawn: Correction | None) -> list[Line]:
    asked = {"point": found.id, "bad": int(Quality.BAD), "most": BATCH_MAX + 1}
    if withdrawn is not None:
        span = {"first": withdrawn.first_at, "last": withdrawn.last_at}
        return await tx.all(Line, SQL["lines_without"], {**asked, **span, "id": withdrawn.id}, afresh=True)
    if wish.kind is Kind.EXCHANGE:
        return []
    if wish.kind is Kind.DISPUTE:
        span = {"first": wish.first_at, "last": wish.last_at}
        lines = await tx.all(Line, SQL["standing_between"], {**asked, **span}, afresh=True)
        if not lines:
            raise InvalidError(NOTHING)
        if len(lines) > BATCH_MAX:
            raise InvalidError(TOO_MANY)
        return lines
    stands = await tx.one(Line, SQL["standing_at"], {**asked, "at": wish.first_at}, what="reading")
    return [_by_hand(wish, found, stands)]


def _by_hand(wish: Wish, found: Target, stands: Line) -> Line:
    value = face(wish.value, found)
    if wish.kind is Kind.REPLACE and stands.before_quality is None:
        raise InvalidError(NO_READING)
    if wish.kind is Kind.ADD and stands.before_quality is not None:
        raise InvalidError(A_READING)
    if stands.before_value == value and stands.before_quality in (Quality.GOOD, Quality.MANUAL):
        raise InvalidError(SAME)
    return replace(stands, value=value, quality=int(Quality.MANUAL))


def face(value: Decimal | None, found: Target) -> float:
    """Give what a point may show as it is kept; raises InvalidError for no number, or one beyond the face."""
    if value is None or not value.is_finite():
        raise InvalidError(NO_VALUE)
    if found.kind == "counter":
        _on_face(value, found.code, found.resolution, found.modulus)
    if len(value.normalize().as_tuple().digits) > DIGITS_MAX or abs(value) >= Decimal(10) ** DIGITS_MAX:
        raise InvalidError(f"A reading has at most {DIGITS_MAX} digits.")
    return float(value)


def _on_face(value: Decimal, code: str, resolution: Decimal, modulus: Decimal | None) -> None:
    if not 0 <= value < (modulus if modulus is not None else Decimal(10) ** DIGITS_MAX):
        top = "" if modulus is None else f" to below {modulus:f}"
        raise InvalidError(f"{value:f} is not on the face of {code}, which counts from 0{top}; look again.")
    if value % resolution:
        raise InvalidError(f"The face of {code} counts in steps of {resolution:f}; {value:f} is none of them.")


async def _withdrawn(tx: Transaction, wish: Wish, found: Target) -> Correction:
    asked = dict.fromkeys(("id", "point", "kind", "by", "stage", "since", "before"))
    rows = await tx.all(Correction, SQL["corrections"], {**asked, "number": wish.withdraws, "most": 1}, afresh=True)
    if wish.withdraws is None or not rows or rows[0].point_id != found.id:
        raise NotFoundError("There is no such correction.")
    if rows[0].kind == Kind.WITHDRAW:
        raise ConflictError(NOT_TWICE)
    if rows[0].state != "in_force":
        raise ConflictError(NOT_IN_FORCE)
    return rows[0]


async def _exchange(tx: Transaction, wish: Wish, found: Target, withdrawn: Correction | None) -> StoredExchange | None:
    if withdrawn is not None:
        return await _stored(tx, withdrawn.id)
    if wish.kind is not Kind.EXCHANGE:
        return None
    if found.kind != "counter" or wish.swap is None:
        raise InvalidError(NOT_COUNTER)
    swap = _checked(wish.swap)
    before, _ = await exchanges.meter(tx, found.id, found.counter, wish.first_at, wish.first_at)
    _on_face(swap.final, found.code, before.resolution, before.modulus)
    _on_face(swap.initial, found.code, found.resolution, found.modulus)
    if await tx.value(SQL["exchange_at"], {"point": found.id, "at": wish.first_at}):
        raise ConflictError(
            "An exchange of this meter is recorded for this very moment already; withdraw that one first."
        )
    return StoredExchange(
        wish.first_at, swap.final, before.resolution, before.modulus, before.multiplier, swap.serial_before,
        swap.initial, found.resolution, found.modulus, swap.multiplier, swap.serial,
    )  # fmt: skip


async def _stored(tx: Transaction, correction_id: UUID) -> StoredExchange | None:
    return await tx.maybe(StoredExchange, SQL["exchange"], {"id": correction_id})


def _checked(swap: Swap) -> Swap:
    if not all(one.is_finite() for one in (swap.final, swap.initial, swap.multiplier)):
        raise InvalidError(NO_VALUE)
    if not 0 < swap.multiplier < MULTIPLIER_BELOW or swap.multiplier != round(swap.multiplier, MULTIPLIER_PLACES):
        raise InvalidError("The ratio of the transformers is a number above 0, with 4 decimal places at most.")
    serials = swap.serial_before.strip(), swap.serial.strip()
    if max(map(len, serials)) > SERIAL_CHARACTERS_MAX:
        raise InvalidError(f"A serial number has at most {SERIAL_CHARACTERS_MAX} characters.")
    return replace(swap, serial_before=serials[0], serial=serials[1])
