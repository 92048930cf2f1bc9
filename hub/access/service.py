"""The people of an organisation and their roles; how they come in is in ``door`` and ``session``."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from hub.access import backoff, password
from hub.access.door import REFUSAL, REFUSAL_TAKES_S, sign_in
from hub.access.invitation import check_email
from hub.access.rights import KINDS, RIGHTS
from hub.access.rows import Credentials, User
from hub.access.session import SESSION_IDLE, SESSION_IDLE_PHONE, SESSION_LIFE, sign_out, visitor
from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

__all__ = [
    "REFUSAL", "REFUSAL_TAKES_S", "SESSION_IDLE", "SESSION_LIFE", "add_user", "check_role", "credentials",
    "drop_expired", "grant", "set_email", "set_language", "sign_in", "sign_out", "users", "visitor",
]  # fmt: skip

SQL = queries(__package__)

LINKS_KEPT = timedelta(days=7)
TAKEN = "Somebody else of this organisation has this mail address; choose another."
FORM = (
    "a login has 2 to 64 characters of a-z 0-9 . _ -, a name 1 to 120 visible ones, a mail address is written like "
    "name@example.com, a language is zh or en."
)


async def add_user(
    tx: Transaction,
    login: str,
    name: str,
    role: str,
    secret: str | None = None,
    *,
    tenant_id: UUID | None = None,
    email: str | None = None,
    language: str = "zh",
    skills: Sequence[str] = (),
    zones: Sequence[str] = (),
    everywhere: bool = True,
) -> UUID:
    """Add a user to the transaction's organisation, with a role in all of it, or with none yet if not ``everywhere``.

    ``secret`` is his password; without one he cannot sign in before he has been invited.  Raises ConflictError for a
    login or mail address that somebody has, InvalidError for a weak password or what is not written as asked.
    """
    check_role(role)
    if (role == "tenant") != (tenant_id is not None):
        raise InvalidError("A user with the role tenant, and no other, belongs to a tenant; name the tenant or not.")
    shown, address = shown_name(name), check_email(email) if email else None
    known = [login, shown, *(address or "").split("@"), *await password.words(tx)]
    kept = await password.hashed(secret, known) if secret is not None else None
    values = {
        "login": login.lower() if login.isascii() else login,
        "name": shown,
        "kind": KINDS.get(role, "staff"),
        "tenant_id": tenant_id,
        "email": address,
        "language": language,
        "skills": list(skills),
        "zones": list(zones),
    }
    try:
        user_id: UUID = await tx.value(SQL["add_user"], values)
    except UniqueViolation as error:
        mail = "email" in (error.diag.constraint_name or "")
        raise ConflictError(TAKEN if mail else f"There is already a user '{login}'; choose another name.") from error
    except CheckViolation as error:
        raise InvalidError(f"User '{login}' cannot be added: {FORM}") from error
    async with tx.under(Role.DOOR):
        await tx.run(SQL["add_credentials"], {"user": user_id, "organisation": tx.organisation, "hash": kept})
    await audit.record(tx, "added", "user", user_id, {"login": values["login"]})
    if everywhere:
        await grant(tx, user_id, role)
    return user_id


def shown_name(name: str) -> str:
    """Give a name as screens show it: composed (NFC), without blanks around; the database refuses what is invisible."""
    return unicodedata.normalize("NFC", name.strip())


async def set_email(tx: Transaction, user_id: UUID, email: str) -> None:
    """Change where a user is reached by mail, '' for nowhere; raises InvalidError, ConflictError, NotFoundError."""
    kept = check_email(email) if email.strip() else None
    try:
        if not await tx.run(SQL["set_email"], {"id": user_id, "email": kept, "organisation": tx.organisation}):
            raise NotFoundError("There is no such user.")
    except UniqueViolation as error:
        raise ConflictError(TAKEN) from error
    except CheckViolation as error:
        raise InvalidError("This is not a mail address; write it like name@example.com.") from error
    await audit.record(tx, "changed the mail address", "user", user_id)


async def credentials(tx: Transaction, user_id: UUID) -> Credentials:
    """Give what opens a user's account; raises NotFoundError for nobody of this organisation."""
    async with tx.under(Role.DOOR):
        asked = {"user": user_id, "organisation": tx.organisation}
        return await tx.one(Credentials, SQL["credentials"], asked, what="user")


async def drop_expired(database: Database, now: datetime) -> int:
    """Remove sessions that are over and give how many; old links and counts of wrong guesses as well."""
    async with database.transaction(None, role=Role.DOOR) as tx:
        await backoff.drop_old(tx, now)
        await tx.run(SQL["drop_invitations"], {"before": now - LINKS_KEPT})
        return await tx.run(SQL["drop_expired"], {"now": now, "idle_since": now - SESSION_IDLE_PHONE})


def check_role(role: str) -> None:
    """Raise InvalidError where there is no such role."""
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
    check_role(role)
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
