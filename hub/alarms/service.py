"""What people do with alarms: see the list, acknowledge, look back."""

from datetime import datetime
from uuid import UUID

from hub.access.rights import Right
from hub.alarms.rows import Alarm, Entry
from hub.audit import service as audit
from hub.errors import ForbiddenError, InvalidError
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)

LIST_MAX = 500
COMMENT_CHARACTERS_MAX = 500


async def active(tx: Transaction, most: int = LIST_MAX) -> list[Alarm]:
    """Give every alarm that stands or that nobody has acknowledged, most urgent first (ISA-18.2)."""
    return await tx.all(Alarm, SQL["active"], {"most": min(most, LIST_MAX)})


async def one(tx: Transaction, alarm_id: UUID) -> Alarm:
    """Give one alarm; raises NotFoundError."""
    return await tx.one(Alarm, SQL["one"], {"id": alarm_id}, what="alarm")


async def history(
    tx: Transaction, before: datetime, device_id: UUID | None = None, most: int = LIST_MAX
) -> list[Alarm]:
    """Give alarms raised before ``before`` (the next page starts at the last one's ``raised_at``), newest first."""
    asked = {"before": before, "device": device_id, "most": min(most, LIST_MAX)}
    return await tx.all(Alarm, SQL["history"], asked)


async def journal(tx: Transaction, alarm_id: UUID) -> list[Entry]:
    """Give what happened to an alarm, oldest first."""
    return await tx.all(Entry, SQL["journal"], {"id": alarm_id})


async def acknowledge(tx: Transaction, alarm_id: UUID, now: datetime, comment: str = "") -> Alarm:
    """Note that somebody has seen the alarm; doing it again changes nothing.

    Raises ForbiddenError, NotFoundError, or InvalidError for a comment that is too long.
    """
    actor = tx.actor
    if not actor.may(Right.ACKNOWLEDGE_ALARMS):
        raise ForbiddenError("Only an engineer or administrator can acknowledge alarms.")
    comment = comment.strip()
    if len(comment) > COMMENT_CHARACTERS_MAX:
        raise InvalidError(f"A comment has at most {COMMENT_CHARACTERS_MAX} characters; shorten it.")
    asked = {"id": alarm_id, "now": now, "actor": actor.name, "comment": comment}
    if await tx.run(SQL["acknowledge"], asked):
        entry = {"id": alarm_id, "at": now, "event": "acknowledged", "actor": actor.name, "note": comment}
        # Without the comment: it stands in the journal, where a person whom it names can be taken out of it.
        changed = {"acknowledged_by": ["", actor.name]}
        async with tx.together():
            await tx.run(SQL["write_journal"], entry)
            await audit.record(tx, "acknowledged", "alarm", alarm_id, {"changed": changed})
            await tx.run(SQL["announce"], {"id": alarm_id})
    return await one(tx, alarm_id)
