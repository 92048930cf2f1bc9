"""Rules that are no longer in the book: what they raised does not stand for ever."""

from datetime import datetime
from uuid import UUID

from hub.alarms.rows import Standing, Turned
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.detect.alarm import Turn
from rules.detect.book import RuleBook

SQL = queries(__package__)

NOTE = "The rule was withdrawn."


async def withdraw(tx: Transaction, book: RuleBook, now: datetime) -> list[Turned]:
    """Clear the alarms of rules that the book does not have; the hub calls this once when it starts."""
    gone = await tx.all(Standing, SQL["drop_withdrawn"], {"codes": [rule.code for rule in book.rules]})
    return [await _clear(tx, row, row.alarm_id, now) for row in gone if row.alarm_id is not None]


async def _clear(tx: Transaction, row: Standing, alarm_id: UUID, now: datetime) -> Turned:
    await tx.run(SQL["clear_alarm"], {"id": alarm_id, "at": now})
    entry = {"id": alarm_id, "at": now, "event": "cleared", "actor": tx.actor.name, "note": NOTE}
    await tx.run(SQL["write_journal"], entry)
    await tx.run(SQL["announce"], {"id": alarm_id})
    return Turned(alarm_id, row.device_id, row.rule, 0, Turn.CLEARED, now)
