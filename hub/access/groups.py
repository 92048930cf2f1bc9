"""Organisations and their groups: what the operator of the installation does, as owner of the schema."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import CheckViolation, InsufficientPrivilege

from hub.access.rights import KINDS, RIGHTS
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from hub.store.database import Actor, Transaction
from hub.store.sql import queries

SQL = queries(__package__)


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation as its operator sees it."""

    id: UUID
    code: str
    name_zh: str
    name_en: str
    group_code: str | None
    closed_at: datetime | None
    users: int


@dataclass(frozen=True, slots=True)
class Group:
    """Organisations of one owner."""

    id: UUID
    code: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Head:
    """Somebody who may hold a role over a group."""

    id: UUID
    organisation_id: UUID
    kind: str
    group_id: UUID | None


@asynccontextmanager
async def operator(owner_dsn: str, actor: Actor) -> AsyncIterator[Transaction]:
    """Open a transaction as the owner of the schema, in no organisation's name.

    Raises UnavailableError, and ForbiddenError where the login is not the owner's.
    """
    try:
        async with await AsyncConnection.connect(owner_dsn) as connection:
            yield Transaction(connection, None, actor)
    except OperationalError as error:
        raise UnavailableError(f"The database cannot be reached ({type(error).__name__}); start it.") from error
    except InsufficientPrivilege as error:
        raise ForbiddenError("Only the owner of the schema can do this; give the owner's database address.") from error


async def open_group(tx: Transaction, code: str, name_zh: str, name_en: str) -> UUID:
    """Open a group, or rename it."""
    group_id: UUID = await tx.value(SQL["put_group"], {"code": code, "name_zh": name_zh, "name_en": name_en})
    return group_id


async def open_organisation(
    tx: Transaction, code: str, name_zh: str, name_en: str, group_code: str | None = None
) -> UUID:
    """Open an organisation, or bring its names and, where one is given, its group up to date; gives its id."""
    group = await _group(tx, group_code) if group_code else None
    before = await tx.maybe(Organisation, SQL["organisation"], {"code": code})
    values = {"code": code, "name_zh": name_zh, "name_en": name_en, "group": group.id if group else None}
    organisation_id: UUID = await tx.value(SQL["put_organisation"], values)
    after = await _organisation(tx, code)
    changed: dict[str, Any] = {"code": code}
    if before is not None:
        changed = audit.differences(before, after, "name_zh", "name_en", "group_code")
    if changed:
        await _record(tx, after, "changed" if before else "opened", changed)
    return organisation_id


async def close_organisation(tx: Transaction, code: str, now: datetime, *, reason: str) -> None:
    """Shut an organisation's door: nobody of it signs in and no token of it opens anything; what it has stays.

    Raises InvalidError without a reason.
    """
    found = await _organisation(tx, code)
    if found.closed_at is not None:
        raise ConflictError(f"Organisation '{code}' is closed already.")
    await tx.run(SQL["set_closed"], {"id": found.id, "at": now})
    await _record(tx, found, "closed", reason=reason)


async def reopen_organisation(tx: Transaction, code: str) -> None:
    """Open the door again."""
    found = await _organisation(tx, code)
    if found.closed_at is None:
        raise ConflictError(f"Organisation '{code}' is open.")
    await tx.run(SQL["set_closed"], {"id": found.id, "at": None})
    await _record(tx, found, "reopened")


async def organisations(tx: Transaction) -> list[Organisation]:
    """Give all organisations of the installation."""
    return await tx.all(Organisation, SQL["organisations"])


async def grant(
    tx: Transaction, login: str, role: str, group_code: str, since: datetime | None, until: datetime | None
) -> None:
    """Let somebody hold a role over the group of his organisation; raises InvalidError."""
    head, group = await _head(tx, login), await _group(tx, group_code)
    if role not in RIGHTS or role in KINDS or head.kind != "staff":
        raise InvalidError("Over a group only staff holds a role, and only one of the staff; choose another.")
    if head.group_id != group.id:
        raise InvalidError(f"The organisation of {login} does not belong to group '{group_code}'; put it there first.")
    values = {"user": head.id, "role": role, "since": since, "until": until, "by": tx.actor.name}
    try:
        await tx.run(SQL["add_group_grant"], values)
    except CheckViolation as error:
        raise InvalidError("A role ends after it begins; choose another end.") from error
    tx.organisation = head.organisation_id
    said = {"role": role, "group": group_code, "until": str(until or "")}
    await audit.record(tx, "granted", "user", head.id, said)


async def revoke(tx: Transaction, login: str, role: str, group_code: str, now: datetime) -> None:
    """End somebody's role over the group; raises ConflictError where he holds none."""
    head, group = await _head(tx, login), await _group(tx, group_code)
    if not await tx.run(SQL["end_group_grant"], {"user": head.id, "role": role, "now": now}):
        raise ConflictError(f"{login} does not hold the role {role} over group '{group.code}'.")
    tx.organisation = head.organisation_id
    await audit.record(tx, "ended a role", "user", head.id, {"role": role, "group": group_code})


async def _record(
    tx: Transaction, organisation: Organisation, action: str, details: dict[str, Any] | None = None, *, reason: str = ""
) -> None:
    tx.organisation = organisation.id
    await audit.record(tx, action, "organisation", organisation.id, details, reason=reason)


async def _organisation(tx: Transaction, code: str) -> Organisation:
    return await tx.one(Organisation, SQL["organisation"], {"code": code}, what=f"organisation '{code}'")


async def _group(tx: Transaction, code: str) -> Group:
    return await tx.one(Group, SQL["group"], {"code": code}, what=f"group '{code}'")


async def _head(tx: Transaction, login: str) -> Head:
    return await tx.one(Head, SQL["head"], {"login": login.lower()}, what=f"user '{login}'")
