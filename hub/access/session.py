"""Sessions: opened, renewed, looked up, listed, ended.

A session is a row; the browser holds its token, the row a hash of it.  Between password and code it is only half
opened: ``visitor`` does not know it, so nothing opens to it by mistake; ``halfway`` does, for the pages that ask for
the code.  Every step gives a new token, and the old one is dead.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from hub.access.policy import shipped
from hub.access.rows import Account, Browser, Closed, Grant, Opened, Session, SignedIn, Visitor
from hub.audit import service as audit
from hub.errors import NotFoundError
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from rules.model.sign_in import SecondFactor

SQL = queries(__package__)

SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=2)
SESSION_IDLE_PHONE = timedelta(hours=8)  # of people with FIELD_ROLES only: the phone lies in a pocket between two jobs
HALFWAY_LIFE = timedelta(minutes=10)  # from the password to the code
FRESH = timedelta(minutes=10)  # how long somebody may do what asks for a fresh proof of who he is
SESSIONS_MAX = 10  # of one account; the oldest goes
TOUCH_EVERY = timedelta(minutes=1)
USER_AGENT_CHARACTERS_MAX = 120

EVERYBODYS = re.compile(r"Mozilla/5\.0 |AppleWebKit/[\d.]+ |\(KHTML, like Gecko\) ")  # in the name of every browser

FIELD_ROLES = frozenset({"technician", "contractor"})
SECOND_FACTORS = frozenset({"totp", "recovery", "oidc-mfa"})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_through(
    enrolled: bool, roles: Collection[str], factors: Collection[str], on: datetime, policy: SecondFactor
) -> bool:
    """Whether these factors are enough for somebody with these roles, who has set up a second factor or not."""
    return not SECOND_FACTORS.isdisjoint(factors) or not (enrolled or policy.needed(roles, on.date()))


async def begin(
    tx: Transaction,
    account: Account,
    factors: Collection[str],
    browser: Browser,
    now: datetime,
    policy: SecondFactor | None = None,
) -> SignedIn:
    """Open a session for somebody who has just proved ``factors``, and record it; runs under Role.DOOR in his name.

    The transaction's actor says from which address.  Without a second factor where one is needed it is halfway.
    """
    through = is_through(account.enrolled, account.roles, factors, now, policy or shipped())
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    expires_at = now + (SESSION_LIFE if through else HALFWAY_LIFE)
    values = {
        "token_hash": _digest(token), "organisation": account.organisation_id, "user": account.id, "csrf": csrf,
        "now": now, "expires_at": expires_at, "address": tx.actor.address, "factors": sorted(factors),
        "stage": "full" if through else "password", "user_agent": _plain(browser.user_agent),
    }  # fmt: skip
    await tx.run(SQL["open_session"], values)
    act = "signed in" if through else "gave the first factor"
    await audit.record(tx, act, "user", account.id, {"address": tx.actor.address, "factors": sorted(factors)})
    dropped = await tx.run(SQL["drop_oldest_sessions"], {"user": account.id, "most": SESSIONS_MAX})
    if dropped:
        await audit.record(tx, "ended sessions", "user", account.id, {"count": dropped, "why": "too many at once"})
    return SignedIn(token, csrf, expires_at, through, account.enrolled)


def _plain(user_agent: str) -> str:
    said = "".join(one if one.isprintable() else " " for one in EVERYBODYS.sub("", user_agent))
    return said[:USER_AGENT_CHARACTERS_MAX]


async def renew(tx: Transaction, who: Visitor, token: str, factors: Collection[str], now: datetime) -> SignedIn:
    """Give a session a new token after its holder proved ``factors``; the old one opens nothing any more.

    Runs under Role.DOOR.  Raises NotFoundError when the session has gone meanwhile, or has been renewed already.
    """
    new, csrf = secrets.token_urlsafe(32), who.csrf if who.through else secrets.token_urlsafe(24)
    expires_at = who.expires_at if who.through else now + SESSION_LIFE
    values = {
        "old": _digest(token), "new": _digest(new), "csrf": csrf, "factors": sorted({*who.factors, *factors}),
        "now": now, "expires_at": expires_at,
    }  # fmt: skip
    if not await tx.run(SQL["renew_session"], values):
        raise NotFoundError("There is no such session any more; sign in again.")
    return SignedIn(new, csrf, expires_at, through=True, enrolled=who.enrolled)


async def visitor(database: Database, token: str, now: datetime, policy: SecondFactor | None = None) -> Visitor | None:
    """Give who holds ``token``; None when the session is unknown, idle for too long, over, halfway, or the user gone.

    ``policy`` says who needs a second factor; the shipped one where none is given.
    """
    who = await _holder(database, token, now, policy or shipped())
    return who if who is not None and who.through else None


async def halfway(database: Database, token: str, now: datetime, policy: SecondFactor | None = None) -> Visitor | None:
    """Give who has signed in with ``token``, a few minutes ago, up to the second factor, which is still to come."""
    who = await _holder(database, token, now, policy or shipped())
    return who if who is not None and not who.through and is_fresh(who, now) else None


async def _holder(database: Database, token: str, now: datetime, policy: SecondFactor) -> Visitor | None:
    asked = {"token_hash": _digest(token), "now": now, "idle_since": now - SESSION_IDLE_PHONE}
    async with database.transaction(None, role=Role.DOOR) as tx:
        found = await tx.maybe(Session, SQL["session"], asked)
        if found is None:
            return None
        held = {"user": found.user_id, "now": now, "home": found.organisation_id == found.home_id}
        same = {name: getattr(found, name) for name in Session.__slots__}  # not asdict, which copies deep
        who = Visitor(**same, grants=tuple(await tx.all(Grant, SQL["grants"], held)))
        if found.seen_at is not None and found.seen_at <= now - idle(who):
            return None
        await tx.run(SQL["touch"], {**asked, "stale": now - TOUCH_EVERY})
    return replace(who, through=who.through and is_through(who.enrolled, who.roles, who.factors, now, policy))


def asks_second_factor(who: Visitor, now: datetime, policy: SecondFactor | None = None) -> bool:
    """Whether somebody's roles ask for a second factor, so that he cannot go without."""
    return (policy or shipped()).needed(who.roles, now.date())


def idle(who: Visitor) -> timedelta:
    """Give after how long without a request a session ends."""
    return SESSION_IDLE_PHONE if who.roles and FIELD_ROLES.issuperset(who.roles) else SESSION_IDLE


def is_fresh(who: Visitor, now: datetime) -> bool:
    """Whether somebody proved a short time ago, with all his factors, who he is."""
    return who.authenticated_at is not None and who.authenticated_at > now - FRESH


async def sign_out(database: Database, token: str) -> None:
    """End a session; one that is over already is no matter."""
    async with database.transaction(None, role=Role.DOOR) as tx:
        closed = await tx.maybe(Closed, SQL["close_session"], {"token_hash": _digest(token)})
        if closed is not None:
            tx.organisation, tx.actor = closed.organisation_id, Actor(closed.login, closed.user_id)
            await audit.record(tx, "signed out", "user", closed.user_id)


async def sessions(tx: Transaction, user_id: UUID | None, now: datetime) -> list[Opened]:
    """Give the open sessions of a user, or of the whole organisation, the latest used first."""
    asked = {"organisation": tx.organisation, "user": user_id, "now": now, "idle_since": now - SESSION_IDLE_PHONE}
    async with tx.under(Role.DOOR):
        return await tx.all(Opened, SQL["sessions"], asked)


async def end(tx: Transaction, session_id: UUID, user_id: UUID | None = None) -> None:
    """End one session of the organisation, of ``user_id`` where given; raises NotFoundError."""
    async with tx.under(Role.DOOR):
        asked = {"id": session_id, "organisation": tx.organisation, "user": user_id}
        closed = await tx.one(Closed, SQL["end_session"], asked, what="session")
        await audit.record(tx, "ended sessions", "user", closed.user_id, {"count": 1, "of": closed.login})


async def end_all(tx: Transaction, user_id: UUID, *, but: UUID | None = None) -> int:
    """End all sessions of a user, ``but`` one where given; gives how many there were."""
    async with tx.under(Role.DOOR):
        ended = await tx.run(SQL["end_sessions_of"], {"user": user_id, "organisation": tx.organisation, "but": but})
        if ended:
            await audit.record(tx, "ended sessions", "user", user_id, {"count": ended})
    return ended


async def end_everybody(tx: Transaction, *, but: UUID | None = None) -> int:
    """End all sessions of the organisation's people, ``but`` one where given; gives how many there were."""
    async with tx.under(Role.DOOR):
        ended = await tx.run(SQL["end_everybody"], {"organisation": tx.organisation, "but": but})
        await audit.record(tx, "ended sessions", "organisation", tx.organisation, {"count": ended})
    return ended
