"""Sign in, keep sessions, manage users."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from hub.access.rights import KINDS, RIGHTS
from hub.access.rows import Account, Closed, Grant, Session, SignedIn, User, Visitor
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

PASSWORD_CHARACTERS_MIN = 10
PASSWORD_CHARACTERS_MAX = 128
FAILURES_BEFORE_LOCK = 5
LOCK = timedelta(minutes=5)
SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=2)
TOUCH_EVERY = timedelta(minutes=1)
REFUSAL_TAKES_S = 0.25  # more than the check of a password and the note of a failure together
REFUSAL = "The name or the password is wrong, or the account is locked for a few minutes."

_hasher = PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_hex())  # checked for unknown names, so that they take as long as known ones


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


async def sign_in(database: Database, login: str, password: str, address: str, now: datetime) -> SignedIn:
    """Check a password and open a session.

    Raises ForbiddenError with one sentence and after one time, neither of which tells whether there is such a name.
    """
    started_s = monotonic()
    try:
        return await _sign_in(database, login, password, address, now)
    except ForbiddenError:
        await asyncio.sleep(started_s + REFUSAL_TAKES_S - monotonic())
        raise


async def _sign_in(database: Database, login: str, password: str, address: str, now: datetime) -> SignedIn:
    login, password = login.replace("\0", "").strip().lower()[:64], password[:PASSWORD_CHARACTERS_MAX]
    async with database.transaction(None, Actor(login or "?"), Role.DOOR) as tx:
        account = await tx.maybe(Account, SQL["account"], {"login": login})
    # Off the event loop and outside the transaction: one check takes some 50 ms of a core and 64 MiB.
    right = await asyncio.to_thread(_matches, account.password_hash if account else _NOBODY, password)
    if account is None:
        raise ForbiddenError(REFUSAL)
    async with database.transaction(account.organisation_id, Actor(login), Role.DOOR) as tx:
        account = await tx.one(Account, SQL["hold_account"], {"id": account.id}, what="user")
        locked = account.locked_until is not None and account.locked_until > now
        if right and account.active and not locked:
            return await _open(tx, account, address, now)
        await _refuse(tx, account, address, now)
    raise ForbiddenError(REFUSAL)


async def _open(tx: Transaction, account: Account, address: str, now: datetime) -> SignedIn:
    opened = SignedIn(secrets.token_urlsafe(32), secrets.token_urlsafe(24), now + SESSION_LIFE)
    await tx.run(SQL["forget_failures"], {"id": account.id})
    await tx.run(
        SQL["open_session"],
        {
            "token_hash": _digest(opened.token),
            "organisation": account.organisation_id,
            "user": account.id,
            "csrf": opened.csrf,
            "now": now,
            "expires_at": opened.expires_at,
            "address": address,
        },
    )
    await audit.record(tx, "signed in", "user", account.id, {"address": address})
    return opened


async def _refuse(tx: Transaction, account: Account, address: str, now: datetime) -> None:
    locks = account.failures + 1 >= FAILURES_BEFORE_LOCK
    until = now + LOCK if locks else account.locked_until
    await tx.run(SQL["note_failure"], {"id": account.id, "locked_until": until})
    await audit.record(tx, "sign-in refused", "user", account.id, {"address": address, "locked": locks})


async def visitor(database: Database, token: str, now: datetime) -> Visitor | None:
    """Give who holds ``token``; None when the session is unknown, idle for too long, over or the user is gone."""
    asked = {"token_hash": _digest(token), "now": now, "idle_since": now - SESSION_IDLE}
    async with database.transaction(None, role=Role.DOOR) as tx:
        found = await tx.maybe(Session, SQL["session"], asked)
        if found is None:
            return None
        await tx.run(SQL["touch"], {**asked, "stale": now - TOUCH_EVERY})
        held = {"user": found.user_id, "now": now, "home": found.organisation_id == found.home_id}
        return Visitor(**asdict(found), grants=tuple(await tx.all(Grant, SQL["grants"], held)))


async def sign_out(database: Database, token: str) -> None:
    """End a session; one that is over already is no matter."""
    async with database.transaction(None, role=Role.DOOR) as tx:
        closed = await tx.maybe(Closed, SQL["close_session"], {"token_hash": _digest(token)})
        if closed is not None:
            tx.organisation, tx.actor = closed.organisation_id, Actor(closed.login, closed.user_id)
            await audit.record(tx, "signed out", "user", closed.user_id)


async def drop_expired(database: Database, now: datetime) -> int:
    """Remove sessions that are over."""
    async with database.transaction(None, role=Role.DOOR) as tx:
        return await tx.run(SQL["drop_expired"], {"now": now, "idle_since": now - SESSION_IDLE})


def hash_password(password: str) -> str:
    """Give the argon2id hash; raises InvalidError for a password outside the limits."""
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        raise InvalidError(
            f"A password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters; "
            f"this one has {len(password)}."
        )
    return _hasher.hash(password)


async def add_user(
    tx: Transaction,
    login: str,
    name: str,
    role: str,
    password: str,
    *,
    tenant_id: UUID | None = None,
    language: str = "zh",
    skills: Sequence[str] = (),
    zones: Sequence[str] = (),
) -> UUID:
    """Add a user to the transaction's organisation, with a role in all of it; raises ConflictError or InvalidError."""
    _check_role(role)
    if (role == "tenant") != (tenant_id is not None):
        raise InvalidError("A user with the role tenant, and no other, belongs to a tenant; name the tenant or not.")
    password_hash = await asyncio.to_thread(hash_password, password)
    values = {
        "login": login.lower(),
        "name": name,
        "kind": KINDS.get(role, "staff"),
        "tenant_id": tenant_id,
        "language": language,
        "password_hash": password_hash,
        "skills": list(skills),
        "zones": list(zones),
    }
    try:
        user_id: UUID = await tx.value(SQL["add_user"], values)
    except UniqueViolation as error:
        raise ConflictError(f"There is already a user '{login}'; choose another name.") from error
    except CheckViolation as error:
        raise InvalidError(
            f"User '{login}' cannot be added: a login has 2 to 64 characters, a name 1 to 120, a language is zh or en."
        ) from error
    await audit.record(tx, "added", "user", user_id, {"login": login})
    await grant(tx, user_id, role)
    return user_id


def _check_role(role: str) -> None:
    if role not in RIGHTS:
        raise InvalidError(f"'{role}' is not a role; choose one of {', '.join(RIGHTS)}.")


async def grant(
    tx: Transaction,
    user_id: UUID,
    role: str,
    *,
    site_id: UUID | None = None,
    building_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> None:
    """Let a user hold a role: in the whole organisation, or at a site or a building; from ``since`` up to ``until``.

    Raises InvalidError for a role that does not fit the kind of user, or an end before the beginning.
    """
    _check_role(role)
    values = {"user": user_id, "role": role, "site": site_id, "building": building_id, "since": since, "until": until,
              "by": tx.actor.name}  # fmt: skip
    try:
        if not await tx.run(SQL["add_grant"], values):
            raise NotFoundError("There is no such user.")
    except (CheckViolation, ForeignKeyViolation) as error:
        raise InvalidError(
            f"The role {role} cannot be given: tenants and contractors hold theirs only, a service account's is "
            "integration, a place is a site or a building of this organisation, and an end comes after the beginning."
        ) from error
    where = {"site": str(site_id or ""), "building": str(building_id or "")}
    await audit.record(tx, "granted", "user", user_id, {"role": role, **where, "until": str(until or "")})


async def set_language(tx: Transaction, user_id: UUID, language: str) -> None:
    """Remember in which language a user wants his screens ('zh' or 'en')."""
    if language not in ("zh", "en"):
        raise InvalidError(f"'{language}' is not a language of this program; choose zh or en.")
    await tx.run(SQL["set_language"], {"id": user_id, "language": language})
    await audit.record(tx, "chose a language", "user", user_id, {"language": language})


async def users(tx: Transaction) -> list[User]:
    """Give the organisation's users."""
    return await tx.all(User, SQL["users"])
