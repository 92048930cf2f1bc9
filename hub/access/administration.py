"""Who belongs to an organisation and what he may do there: accounts and roles, as administrators keep them."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from hub.access import service as access
from hub.access import session, tokens
from hub.access.rights import CLEARANCES, Right, rights_of
from hub.access.rows import User
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

# What whoever manages users may give without having it: work of one's own hands, at plant too, one's own papers,
# pictures, badges.
GIVEN = frozenset(
    {
        Right.DO_ORDERS, Right.COMMAND_POINTS, Right.SEE_OWN_PAPERS, Right.SEE_STILLS, Right.SEE_BADGES,
        Right.ADD_STILLS, Right.IMPORT_READINGS,
    }
)  # fmt: skip
NOT_ONES_OWN = "Nobody changes his own roles or closes his own account; ask another administrator."
ERASED = "erased-"  # what the logins of erased people begin with (migration 0013)
NEEDS_SECOND = "This role opens what few people see; a second administrator has to approve of it first."
LAST = "This is the last administrator of the organisation; make somebody else one first."


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that somebody holds, held or will hold, with where and for how long."""

    id: UUID
    user_id: UUID
    role: str
    scope: str
    site_id: UUID | None
    building_id: UUID | None
    place_zh: str | None
    place_en: str | None
    since: datetime | None
    until: datetime | None
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Spot:
    """A site, or one of its buildings."""

    site_id: UUID
    building_id: UUID | None


@dataclass(frozen=True, slots=True)
class Person:
    """An account as those see it who manage users; ``seen_at`` is when somebody last asked for something with it."""

    id: UUID
    login: str
    name: str
    kind: str
    active: bool
    language: str
    email: str | None
    tenant: str | None
    created_at: datetime
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the door knows of an account: whether anything opens it, and until when an invitation is open."""

    user_id: UUID
    enrolled: bool
    opens: bool
    invited_until: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """An account with the roles that it has or will have, and what the door knows of it."""

    person: Person
    roles: tuple[HeldRole, ...]
    standing: Standing

    @property
    def state(self) -> str:
        """How far somebody is in: active, invited (he has not answered yet), locked out (nothing opens it), ended."""
        if not self.person.active:
            return "ended"
        if self.person.kind == "service" or self.standing.opens:
            return "active"
        return "invited" if self.standing.invited_until else "locked_out"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Whom an administrator lets in: ``role`` also says what kind of account it is."""

    login: str
    name: str
    role: str
    email: str | None
    language: str
    tenant_id: UUID | None = None
    skills: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a role holds: at a site, at a building, or in the whole organisation; from ``since`` up to ``until``."""

    site_id: UUID | None = None
    building_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def name(self) -> str:
        """The word for it."""
        return "building" if self.building_id else "site" if self.site_id else "organisation"


async def members(tx: Transaction, now: datetime) -> list[Member]:
    """Give all accounts of the organisation."""
    return await _members(tx, None, now)


async def member(tx: Transaction, user_id: UUID, now: datetime) -> Member:
    """Give one account; raises NotFoundError."""
    found = await _members(tx, user_id, now)
    if not found:
        raise NotFoundError("There is no such user.")
    return found[0]


async def _members(tx: Transaction, user_id: UUID | None, now: datetime) -> list[Member]:
    held: dict[UUID, list[HeldRole]] = defaultdict(list)
    for role in await tx.all(HeldRole, SQL["roles_of_all"], {"now": now}):
        held[role.user_id].append(role)
    found = await tx.all(Person, SQL["people"], {"user": user_id})
    async with tx.under(Role.DOOR):
        asked = {"organisation": tx.organisation, "user": user_id, "now": now}
        standings = {one.user_id: one for one in await tx.all(Standing, SQL["standings"], asked)}
    return [Member(person, tuple(held[person.id]), standings[person.id]) for person in found]


async def user(tx: Transaction, user_id: UUID) -> User:
    """Give one user; raises NotFoundError."""
    return await tx.one(User, SQL["user"], {"id": user_id}, what="user")


async def named(tx: Transaction, login: str) -> User:
    """Give the user with this login; raises NotFoundError."""
    for one in await tx.all(User, SQL["users"]):
        if one.login == login.lower():
            return one
    raise NotFoundError(f"There is no user '{login}'.")


async def spot(tx: Transaction, site_code: str, building_code: str | None = None) -> Spot:
    """Give the site, or its building, that these codes name; raises NotFoundError."""
    what = f"building '{building_code}' at site '{site_code}'" if building_code else f"site '{site_code}'"
    return await tx.one(Spot, SQL["spot"], {"site": site_code, "building": building_code}, what=what)


async def roles(tx: Transaction, user_id: UUID) -> list[HeldRole]:
    """Give the roles that a user holds, held or will hold: those in force or to come first."""
    return await tx.all(HeldRole, SQL["roles"], {"user": user_id})


def carries_clearance(role: str, scope: Scope) -> bool:
    """Whether a role opens fields or zones that few people see: a second administrator has to approve of it.

    Raises InvalidError where there is no such role.
    """
    access.check_role(role)
    return bool(rights_of(role, scope.name) & CLEARANCES)


async def give(tx: Transaction, user_id: UUID, role: str, scope: Scope, *, approved: bool = False) -> None:
    """Let a user hold a role; ``approved`` by a second administrator, whom the caller has asked.

    Raises ForbiddenError for one's own account and for a role beyond what one may do oneself, ConflictError for one
    that asks for approval, InvalidError for one that does not fit the kind of user or the place.
    """
    await check_other(tx, user_id)
    _check_may_give(tx.actor, role, scope)
    if carries_clearance(role, scope) and not approved and tx.actor.rights is not None:
        raise ConflictError(NEEDS_SECOND)
    await access.grant(
        tx, user_id, role,
        site_id=scope.site_id, building_id=scope.building_id, since=scope.since, until=scope.until,
    )  # fmt: skip


def _check_may_give(actor: Actor, role: str, scope: Scope) -> None:
    """Refuse who does not have every right of the role himself, but those of GIVEN and clearances."""
    access.check_role(role)
    if actor.rights is not None and not rights_of(role, scope.name) - GIVEN - CLEARANCES <= actor.rights:
        raise ForbiddenError("This role allows more than your own; ask somebody who may do all that it allows.")


async def end_role(tx: Transaction, user_id: UUID, grant_id: UUID, now: datetime) -> None:
    """Take a role back.

    Raises NotFoundError, ForbiddenError for one's own role and ConflictError for that of the last administrator.
    """
    await check_other(tx, user_id)
    held = await tx.one(HeldRole, SQL["role"], {"id": grant_id, "user": user_id}, what="role")
    if held.scope == "group" and tx.actor.rights is not None:
        raise ForbiddenError("A role over the group is ended by whoever runs the installation.")
    if held.role == "administrator" and held.scope == "organisation":
        await _keep_an_administrator(tx, grant_id=grant_id)
    begun = held.since is None or held.since <= now
    if not await tx.run(SQL["end_role" if begun else "drop_role"], {"id": grant_id, "now": now}):
        raise ConflictError("This role has ended already.")
    place = {"site": str(held.site_id or ""), "building": str(held.building_id or "")}
    await audit.record(tx, "ended a role", "user", held.user_id, {"role": held.role, **place})


async def end_roles(tx: Transaction, holder: User, role: str, scope: Scope, now: datetime) -> None:
    """Take back every grant of a role at just this place; raises ConflictError where there is none."""
    held = [one for one in await roles(tx, holder.id) if one.role == role and one.scope == scope.name]
    here = [one for one in held if (one.site_id, one.building_id) == (scope.site_id, scope.building_id)]
    lasting = [one for one in here if one.until is None or one.until > now]
    if not lasting:
        raise ConflictError(f"{holder.login} does not hold the role {role} there.")
    for one in lasting:
        await end_role(tx, holder.id, one.id, now)


async def deactivate(tx: Transaction, user_id: UUID, now: datetime) -> None:
    """Close an account: its sessions, API tokens and invitations end with the same commit; what it did stays.

    Raises NotFoundError, ForbiddenError for one's own and ConflictError for the last administrator or a closed one.
    """
    found = await check_other(tx, user_id)
    await _keep_an_administrator(tx, user_id=user_id)
    if not await tx.run(SQL["set_active"], {"id": user_id, "active": False}):
        raise ConflictError("This account is closed already.")
    ended = await session.end_all(tx, user_id)
    revoked = await tokens.revoke_all(tx, user_id, now)
    async with tx.under(Role.DOOR):
        await tx.run(SQL["supersede_invitations"], {"user": user_id, "organisation": tx.organisation, "now": now})
    said = {"login": found.login, "session_count": ended, "token_count": revoked}
    await audit.record(tx, "closed the account", "user", user_id, said)


async def reactivate(tx: Transaction, user_id: UUID) -> None:
    """Open a closed account again, with the roles that it still holds; tokens stay revoked."""
    found = await check_other(tx, user_id)
    if found.login.startswith(ERASED):
        raise ConflictError("Who this was has been erased; invite the person anew.")
    if not await tx.run(SQL["set_active"], {"id": user_id, "active": True}):
        raise ConflictError("This account is open.")
    await audit.record(tx, "opened the account again", "user", user_id, {"login": found.login})


async def change(tx: Transaction, user_id: UUID, name: str, language: str) -> None:
    """Correct how somebody is called and in which language; raises NotFoundError or InvalidError."""
    before = await user(tx, user_id)
    try:
        await tx.run(SQL["set_name"], {"id": user_id, "name": access.shown_name(name), "language": language})
    except CheckViolation as error:
        raise InvalidError("A name has 1 to 120 visible characters, a language is zh or en.") from error
    changed = audit.differences(before, await user(tx, user_id), "name", "language")
    if changed:
        await audit.record(tx, "changed", "user", user_id, changed)


async def add(tx: Transaction, newcomer: Newcomer, scope: Scope) -> UUID:
    """Add an account without a password and with one role, or, where that carries a clearance, with none yet.

    Raises ConflictError, InvalidError, and ForbiddenError for a role beyond what one may do oneself.
    """
    _check_may_give(tx.actor, newcomer.role, scope)
    try:
        user_id = await access.add_user(
            tx, newcomer.login, newcomer.name, newcomer.role, tenant_id=newcomer.tenant_id, email=newcomer.email,
            language=newcomer.language, skills=newcomer.skills, zones=newcomer.zones, everywhere=False,
        )  # fmt: skip
    except ForeignKeyViolation as error:
        raise InvalidError("There is no such tenant.") from error
    if not carries_clearance(newcomer.role, scope):
        await give(tx, user_id, newcomer.role, scope)
    return user_id


async def check_other(tx: Transaction, user_id: UUID) -> User:
    """Give a user who is not oneself; raises NotFoundError or ForbiddenError."""
    found = await user(tx, user_id)
    if found.id == tx.actor.user_id:
        raise ForbiddenError(NOT_ONES_OWN)
    return found


async def _keep_an_administrator(tx: Transaction, *, grant_id: UUID | None = None, user_id: UUID | None = None) -> None:
    """Refuse an act that would leave nobody who manages users, for good; two at a time wait for each other."""
    held = await tx.all(HeldRole, SQL["administrators"])
    if held and all(one.id == grant_id or one.user_id == user_id for one in held):
        raise ConflictError(LAST)


async def add_service_account(tx: Transaction, login: str, name: str) -> UUID:
    """Add an account for a program, with the role integration: it has no password and cannot sign in."""
    try:
        user_id: UUID = await tx.value(SQL["add_service_account"], {"login": login.lower(), "name": name})
    except UniqueViolation as error:
        raise ConflictError(f"There is already a user '{login}'; choose another name.") from error
    except CheckViolation as error:
        raise InvalidError("A login has 2 to 64 characters, a name 1 to 120; choose others.") from error
    await audit.record(tx, "added", "user", user_id, {"login": login.lower(), "kind": "service"})
    await access.grant(tx, user_id, "integration")
    return user_id
