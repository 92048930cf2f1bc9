"""Put mails into the outbox, in the transaction of the act that they tell of; send what waits there."""

import asyncio
import logging
import re
import unicodedata
from datetime import datetime, timedelta

from hub.errors import InvalidError, UnavailableError
from hub.notify.post import Office, OfficeClosedError, RefusedMailError
from hub.notify.rows import Letter, Mail, Recipient, Waiting
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)
ACTOR = Actor("plantroom/post")

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
ADDRESS_CHARACTERS_MAX = 254
SUBJECT_CHARACTERS_MAX = 200
BODY_CHARACTERS_MAX = 20_000
BATCH = 20
CLAIM = timedelta(minutes=15)  # more than a batch takes when every mail runs into its time-out
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
ATTEMPTS_MAX = 12  # together some 20 hours
KEPT = timedelta(days=90)  # what became of a mail, without its text
ERROR_CHARACTERS_MAX = 300

log = logging.getLogger(__name__)


def check_address(text: str) -> str:
    """Give a mail address without blanks around it; raises InvalidError."""
    address = text.strip()
    if len(address) > ADDRESS_CHARACTERS_MAX or not ADDRESS.fullmatch(address):
        raise InvalidError("This is not a mail address; write it like name@example.com.")
    return address


async def mail(tx: Transaction, to: Recipient, letter: Letter, now: datetime) -> None:
    """Put one mail into the outbox; it goes when the transaction has committed.  Raises InvalidError."""
    chinese = to.language == "zh"
    path = letter.path or None
    if path is not None and not path.startswith("/"):
        raise InvalidError("A mail's link leads to a page of Plantroom; begin its path with '/'.")
    values = {
        "organisation": tx.organisation, "address": check_address(to.address), "language": to.language,
        "subject": one_line(letter.subject_zh if chinese else letter.subject_en),
        "body": (letter.body_zh if chinese else letter.body_en)[:BODY_CHARACTERS_MAX], "path": path, "now": now,
    }  # fmt: skip
    await tx.run(SQL["put"], values)


def one_line(text: str) -> str:
    """Give text that fits a mail's head: line ends and other controls are blanks, what is too long is cut."""
    plain = "".join(" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") else one for one in text)
    words = " ".join(plain.split())
    return words if len(words) <= SUBJECT_CHARACTERS_MAX else words[: SUBJECT_CHARACTERS_MAX - 1] + "…"


async def recent(tx: Transaction, most: int = 200) -> list[Mail]:
    """Give what became of the newest mails of the organisation."""
    return await tx.all(Mail, SQL["recent"], {"most": most})


async def send_due(database: Database, office: Office, now: datetime) -> int:
    """Send what is due, at most BATCH mails; gives how many went.

    A mail that a server refuses for good is given up at once, any other is tried again ATTEMPTS_MAX times, ever later.
    Raises UnavailableError, after noting it, when the mail server cannot be used at all.
    """
    async with database.transaction(None, ACTOR, Role.POST) as tx:
        claim = {"now": now, "until": now + CLAIM, "most": BATCH}
        waiting = await tx.all(Waiting, SQL["claim"], claim)
    if not waiting:
        return 0
    try:
        outcomes = await asyncio.to_thread(office.send, waiting)
    except OfficeClosedError as closed:
        async with database.transaction(None, ACTOR, Role.POST) as tx:
            for one in waiting:
                await _note(tx, one, str(closed), now)
        raise UnavailableError(str(closed)) from None
    async with database.transaction(None, ACTOR, Role.POST) as tx:
        for one, refusal in zip(waiting, outcomes, strict=True):
            await _settle(tx, one, refusal, now)
    return sum(refusal is None for refusal in outcomes)


async def drop_old(database: Database, now: datetime) -> None:
    """Forget mails that are KEPT old and no longer wait."""
    async with database.transaction(None, ACTOR, Role.POST) as tx:
        await tx.run(SQL["drop_old"], {"before": now - KEPT})


async def _settle(tx: Transaction, one: Waiting, refusal: RefusedMailError | None, now: datetime) -> None:
    if refusal is None:
        await tx.run(SQL["sent"], {"id": one.id, "now": now})
    else:
        await _note(tx, one, str(refusal), now, final=refusal.final)


async def _note(tx: Transaction, one: Waiting, error: str, now: datetime, *, final: bool = False) -> None:
    if final or one.attempts >= ATTEMPTS_MAX:
        log.warning("a mail is given up after %d attempts: %s", one.attempts, _short(error))
        await tx.run(SQL["give_up"], {"id": one.id, "now": now, "error": _short(error)})
        return
    due_at = now + min(FIRST_WAIT * 2 ** (one.attempts - 1), LONGEST_WAIT)
    await tx.run(SQL["failed"], {"id": one.id, "error": _short(error), "due_at": due_at})


def _short(error: str) -> str:
    return one_line(error)[:ERROR_CHARACTERS_MAX]
