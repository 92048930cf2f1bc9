"""What becomes of given commands: sent until they are answered or over, closed by the answer, or by nobody's."""

from datetime import datetime, timedelta
from uuid import UUID

from hub.audit import service as audit
from hub.commands.rows import Closed, Due, Lapsed
from hub.store.database import Role, Transaction
from hub.store.sql import queries
from rules.control.command import Answer

SQL = queries(__package__)
SEND_AGAIN = timedelta(seconds=5)  # the gateway knows a command by its id, so sending it again does no harm
SENT_AT_ONCE_MAX = 100
ANSWER_TIME = timedelta(seconds=30)  # after the end of a command: its gateway may have begun just before
APPROVAL_TIME = timedelta(days=2)
ANSWER_CHARACTERS_MAX = 1_000


async def send(tx: Transaction, now: datetime) -> list[Due]:
    """Give the commands that are to go out now, of all organisations, and note that they do (under Role.INGEST)."""
    asked = {"now": now, "tried_before": now - SEND_AGAIN, "most": SENT_AT_ONCE_MAX}
    return await tx.all(Due, SQL["send"], asked)


async def close(tx: Transaction, site: str, gateway: str, answer: Answer, now: datetime) -> bool:
    """Take the answer of a gateway to a command for one of its devices (under Role.INGEST); whether it is news."""
    try:
        command_id = UUID(answer.id)
    except ValueError:
        return False
    reason = answer.reason[:ANSWER_CHARACTERS_MAX].replace("\x00", "")
    asked = {"id": command_id, "site": site, "gateway": gateway, "outcome": answer.outcome.value, "now": now,
             "shown": answer.shown, "reason": reason}  # fmt: skip
    closed = await tx.maybe(Closed, SQL["answer"], asked)
    if closed is None:
        return False
    await tx.become(Role.APP, closed.organisation_id)
    details = {"outcome": answer.outcome.value, "shown": answer.shown, "answer": reason, "gateway": gateway}
    await audit.record(tx, "answered", "command", closed.id, details)
    return True


async def lapse(tx: Transaction, now: datetime) -> int:
    """Close what nobody has answered: never sent is expired, sent is uncertain until an answer comes after all."""
    asked = {"unanswered_since": now - ANSWER_TIME, "asked_before": now - APPROVAL_TIME}
    over = await tx.all(Lapsed, SQL["lapse"], asked)
    for one in over:
        await audit.record(tx, "expired", "command", one.id, {"state": one.state})
    return len(over)
