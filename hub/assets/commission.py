"""Commissioning as the hub keeps it: signed looks at meter faces, and which counters bills may stand on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from hub.assets.rows import Counter, SignedLook
from hub.audit import service as audit
from hub.errors import InvalidError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter import look
from rules.meter.look import InvalidRecordError, Look

SQL = queries(__package__)
LOOKS_SHOWN_MAX = 50_000
AHEAD_MAX = timedelta(minutes=10)  # of our clock: a look that is still to come was not made
STRANGERS_SAID_MAX = 20


@dataclass(frozen=True, slots=True)
class Commissioned:
    """A counter with its last look (None: nobody looked), and whether bills may stand on it."""

    counter: Counter
    last: SignedLook | None
    trusted: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a record: looks that were new, that were known, and that are of points not known here."""

    new: int
    known: int
    strangers: tuple[str, ...]


async def take_record(tx: Transaction, text: str, now: datetime) -> Taken:
    """Keep the looks of a record that are new; raises InvalidError, and then keeps none."""
    looks = _read(text, now)
    standing = {one.counter.code: one for one in await counters(tx)}
    for seen in looks:
        if seen.point in standing and (unit := standing[seen.point].counter.unit) != seen.unit:
            raise InvalidError(f"{seen.point} counts {unit} here, but {seen.unit} in the record; look again.")
    known = [seen for seen in looks if seen.point in standing]
    new = [await tx.value(SQL["put_look"], _row(tx, seen, now)) is not None for seen in known]
    strangers = tuple(sorted({seen.point for seen in looks} - standing.keys()))
    details = {"looks": len(looks), "new": sum(new), "unknown": list(strangers[:STRANGERS_SAID_MAX])}
    await audit.record(tx, "took in", "commissioning", f"{looks[-1].at:%Y-%m-%d}", details)
    last = {seen.point: seen for seen in known}
    for one in await counters(tx):
        before = standing[one.counter.code].trusted
        if one.trusted is not before:
            said = {"trusted": {"before": before, "after": one.trusted}, "by": last[one.counter.code].by}
            await audit.record(tx, "commissioned", "point", one.counter.id, said)
    return Taken(sum(new), len(new) - sum(new), strangers)


def _read(text: str, now: datetime) -> list[Look]:
    try:
        looks = look.read(text)
    except InvalidRecordError as error:
        said = f"This is no record of commissioning: {error}. Take the file that 'edge commission' wrote."
        raise InvalidError(said) from None
    if not looks:
        raise InvalidError("The record holds no look.")
    if looks[-1].at - now > AHEAD_MAX:
        raise InvalidError("The record holds a look that is still to come; check the clock of the laptop.")
    return looks


async def trusted(tx: Transaction, point: str) -> bool:
    """Whether bills may stand on a counter."""
    return look.trusted([signed.look for signed in await life(tx, point)], point)


async def life(tx: Transaction, point: str | None = None) -> list[SignedLook]:
    """Give the looks at a counter, or at all, oldest first."""
    return await tx.all(SignedLook, SQL["looks"], {"point": point, "most": LOOKS_SHOWN_MAX})


async def counters(tx: Transaction) -> list[Commissioned]:
    """Give every counter with where it stands."""
    looks: dict[str, list[SignedLook]] = {}
    for signed in await life(tx):
        looks.setdefault(signed.point, []).append(signed)
    return [_standing(counter, looks.get(counter.code, [])) for counter in await tx.all(Counter, SQL["counters"])]


def _standing(counter: Counter, looks: Sequence[SignedLook]) -> Commissioned:
    well = look.trusted([signed.look for signed in looks], counter.code)
    return Commissioned(counter, looks[-1] if looks else None, well)


def _row(tx: Transaction, seen: Look, now: datetime) -> dict[str, object]:
    return {
        "point": seen.point, "at": seen.at, "by": seen.by, "unit": seen.unit, "face": Decimal(seen.face),
        "shown": Decimal(seen.shown) if seen.shown else None, "power": Decimal(seen.power) if seen.power else None,
        "agrees": seen.agrees, "pace": seen.pace, "said": seen.said, "now": now, "from": tx.actor.name,
    }  # fmt: skip
