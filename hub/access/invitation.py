"""Links by which somebody chooses a password: an invitation for the first one, a reset for one that is forgotten.

A link holds 256 random bits behind a ``#``, which no browser sends and no log writes down; the database keeps a hash.
It is used once; a newer one ends the older.  It changes the password and nothing else: who has a second factor is asked
for it afterwards, and never loses it by this way.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from hub.access import backoff, password, session
from hub.access.rows import Invitation, Invited, Word
from hub.audit import service as audit
from hub.errors import ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

LIFE = {"invitation": timedelta(hours=72), "reset": timedelta(minutes=10)}
TOKEN_BYTES = 32
RESETS_PER_HOUR_MAX = 3  # of one account
RESET_TAKES_S = 0.5  # more than to look and to write a mail
PAGE = "/welcome"
STALE = "This link is not valid any more, or was used already; ask for a new one."

Post = Callable[[Transaction, Invitation], Awaitable[None]]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def make(tx: Transaction, user_id: UUID, purpose: str, now: datetime) -> Invitation:
    """Make a link for a user of the organisation; those made before open nothing any more.

    Raises NotFoundError for nobody of this organisation, or somebody who is not active.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with tx.under(Role.DOOR):
        await tx.run(SQL["supersede_invitations"], {"user": user_id, "organisation": tx.organisation, "now": now})
        values = {
            "hash": _digest(token), "organisation": tx.organisation, "user": user_id, "purpose": purpose, "now": now,
            "expires_at": now + LIFE[purpose],
        }  # fmt: skip
        if not await tx.run(SQL["add_invitation"], values):
            raise NotFoundError("There is no such active user.")
        act = "invited" if purpose == "invitation" else "asked for a new password"
        await audit.record(tx, act, "user", user_id)
        made = await tx.one(Invited, SQL["invited"], {"hash": _digest(token), "now": now}, what="invitation")
        email = await tx.maybe(Word, SQL["email"], {"user": user_id})
    path = f"{PAGE}#{token}"
    return Invitation(path, made.login, email.word if email else None, made.language, purpose, made.expires_at)


async def read(database: Database, token: str, now: datetime) -> Invited:
    """Give whom a link lets choose a password; raises ForbiddenError."""
    async with database.transaction(None, role=Role.DOOR) as tx:
        found = await tx.maybe(Invited, SQL["invited"], {"hash": _digest(token), "now": now})
    if found is None:
        raise ForbiddenError(STALE)
    return found


async def accept(database: Database, token: str, chosen: str, actor: Actor, now: datetime) -> Invited:
    """Use up a link: the password becomes the user's, and his sessions end.

    ``actor`` says from where; its name is not asked.  Raises ForbiddenError for a link that opens nothing, InvalidError
    for a password that is weak or was taken before (the link can then be used again).
    """
    invited = await read(database, token, now)
    who = Actor(invited.login, invited.user_id, address=actor.address, request_id=actor.request_id)
    async with database.transaction(invited.organisation_id, Actor(invited.login)) as tx:
        known = await password.words(tx, invited.user_id)
        async with tx.under(Role.DOOR):
            before = await password.before(tx, invited.user_id)
    kept = await password.hashed(chosen, known, before)
    async with database.transaction(invited.organisation_id, who, Role.DOOR) as tx:
        if not await tx.run(SQL["use_invitation"], {"hash": _digest(token), "now": now}):
            raise ForbiddenError(STALE)
        await password.change(tx, invited.user_id, kept, now, how=invited.purpose)
        await session.end_all(tx, invited.user_id)
    return invited


async def ask_reset(database: Database, said: str, actor: Actor, now: datetime, post: Post) -> None:
    """Have a link posted to whoever has this login or mail address, is active and has a password; to nobody otherwise.

    ``post`` puts the mail into the outbox.  Says nothing either way, and takes as long.
    """
    started_s = monotonic()
    await _ask_reset(database, said, actor, now, post)
    await asyncio.sleep(started_s + RESET_TAKES_S - monotonic())


async def _ask_reset(database: Database, said: str, actor: Actor, now: datetime, post: Post) -> None:
    name = said.strip().lower() if said.isascii() and said.strip().isprintable() else ""
    counted = backoff.of_address("reset", actor.address, backoff.RESETS)
    async with database.transaction(None, actor, Role.DOOR) as tx:
        await backoff.hold(tx, counted)
        if await backoff.held(tx, counted, now):
            return
        await backoff.count(tx, counted, now)
        asked = {"said": name, "since": now - timedelta(hours=1), "most": RESETS_PER_HOUR_MAX}
        found = await tx.all(Invited, SQL["who_may_reset"], {**asked, "expires_at": now + LIFE["reset"]})
    for one in found:
        who = Actor(one.login, one.user_id, address=actor.address, request_id=actor.request_id)
        async with database.transaction(one.organisation_id, who, Role.DOOR) as tx:
            await post(tx, await make(tx, one.user_id, "reset", now))


def check_email(email: str) -> str:
    """Give a mail address as it is kept; raises InvalidError for one with other letters than ASCII's."""
    kept = email.strip().lower()
    if not kept.isascii() or "@" not in kept:
        raise InvalidError("This is not a mail address; write it like name@example.com.")
    return kept
