"""Bring a correction into force: what stands is laid over what was measured, and what rests on it is made again.

Rollups are marked as out of date, and the latest reading becomes the latest that stands, in the same transaction.
"""

from datetime import datetime, timedelta
from typing import Any

from psycopg.errors import FeatureNotSupported

from hub.corrections.plan import BATCH_MAX
from hub.corrections.rows import Correction, Kind, Line, StoredExchange
from hub.errors import ConflictError
from hub.store.database import Role, Transaction
from hub.store.sql import queries
from rules.model.quality import Quality

SQL = queries(__package__)
LATEST_LOOK_BACK = timedelta(days=92)  # how old a reading may be to become the latest that stands
AHEAD = timedelta(days=2)  # of our clock: gateways' readings lie at most so far ahead


async def check_standing(tx: Transaction, found: Correction, now: datetime) -> None:
    """Make sure that the readings still stand as they did when it was asked for; raises ConflictError."""
    asked = {"id": found.id, "point": found.point_id, "first": found.first_at, "last": found.last_at}
    moved = await tx.value(SQL["moved_meanwhile"], asked)
    if moved:
        raise ConflictError(
            f"{moved} of the readings were corrected meanwhile; take correction {found.number} back and ask anew."
        )
    if found.kind == Kind.EXCHANGE:
        later = await tx.value(SQL["exchange_at"], {"point": found.point_id, "at": found.first_at})
        if later or found.first_at > now:
            raise ConflictError("An exchange of this meter was recorded for this moment meanwhile; take this one back.")


async def enforce(tx: Transaction, found: Correction, second: str | None, now: datetime) -> None:
    """Bring a correction into force, as its caller records; raises ConflictError."""
    await tx.run(SQL["enforce"], {"id": found.id, "second": second, "by": tx.actor.name, "now": now})
    if found.kind == Kind.WITHDRAW and not await tx.run(SQL["end_withdrawn"], {"id": found.id, "now": now}):
        raise ConflictError("The correction that this one withdraws is no longer in force; take this one back.")
    asked = {"id": found.id, "point": found.point_id}
    await tx.run(SQL["lift_amendments"], asked)
    try:
        await tx.run(SQL["lay_amendments"], asked)
    except FeatureNotSupported as refused:  # a trigger of hub/store/citus.py
        raise ConflictError("Readings here are spread over several nodes and cannot be corrected.") from refused
    await tx.run(SQL["mark_point"], asked)
    ats = [line.at for line in await tx.all(Line, SQL["lines"], {"id": found.id, "most": BATCH_MAX + 1})]
    if ats:
        await _settle(tx, found, ats, now)
    else:
        await _mark(tx, found.point_id, _hours_since(found.first_at, now))
    await _tell_register(tx, found)


def _hours_since(exchanged: datetime, now: datetime) -> list[datetime]:
    """Give an hour of every day since an exchange: each of them counts by another meter, though no reading changed."""
    first = exchanged.replace(minute=0, second=0, microsecond=0)
    return [first + timedelta(days=n) for n in range((now - first) // timedelta(days=1) + 1)]


async def _mark(tx: Transaction, point_id: int, hours: list[datetime]) -> None:
    async with tx.under(Role.INGEST):
        await tx.run(SQL["mark_hours"], {"point": point_id, "hours": hours})


async def _settle(tx: Transaction, found: Correction, ats: list[datetime], now: datetime) -> None:
    hours = sorted({at.replace(minute=0, second=0, microsecond=0) for at in ats})
    asked: dict[str, Any] = {
        "point": found.point_id, "ats": ats, "hours": hours, "bad": int(Quality.BAD),
        "since": ats[0] - LATEST_LOOK_BACK, "until": now + AHEAD,
    }  # fmt: skip
    async with tx.under(Role.INGEST):
        await tx.run(SQL["mark_hours"], asked)
        await tx.run(SQL["blank_latest"], asked)
        await tx.run(SQL["settle_latest"], asked)
        await tx.run(SQL["announce"], {"organisation": tx.organisation})


async def _tell_register(tx: Transaction, found: Correction) -> None:
    """Give the register the ratio of the meter that counts now; how it was before stands in the exchange."""
    if found.kind not in (Kind.EXCHANGE, Kind.WITHDRAW):
        return
    latest = await tx.maybe(StoredExchange, SQL["last_exchange"], {"point": found.point_id})
    gone = await tx.maybe(StoredExchange, SQL["exchange_withdrawn"], {"id": found.id})
    ratio = latest.multiplier if latest else gone.multiplier_before if gone else None
    if ratio is not None:
        await tx.run(SQL["put_multiplier"], {"point": found.point_id, "multiplier": ratio})
