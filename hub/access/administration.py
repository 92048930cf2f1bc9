"""Who belongs to an organisation and what he may do there: accounts and roles, as administrators keep them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.errors import CheckViolation, UniqueViolation

from hub.access import service as access
from hub.access.rights import CLEARANCES, RIGHTS, Right, rights_of
from hub.access.rows import HeldRole, Spot, User
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

# What whoever manages users may give without having it: work of one's own hands, one's own papers, pictures, badges.
GIVEN = frozenset({Right.DO_ORDERS, Right.SEE_OWN_PAPERS, Right.SEE_STILLS, Right.SEE_BADGES, Right.ADD_STILLS})
NOT_ONES_OWN = "Nobody changes his own roles or closes his own account; ask another administrator."
LAST = "This is the last administrator of the organisation; make somebody else one first."


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
    """Whether a role opens fields or zones that few people see: a second administrator has to approve of it."""
    return bool(rights_of(role, scope.name) & CLEARANCES)


async def give(tx: Transaction, user_id: UUID, role: str, scope: Scope) -> None:
    """Let a user hold a role.

    Raises ForbiddenError for one's own account and for a role beyond what one may do oneself, InvalidError for a role
    that does not fit the kind of user or the place.
    """
    await _other(tx, user_id)
    if role not in RIGHTS:
        raise InvalidError(f"'{role}' is not a role; choose one of {', '.join(RIGHTS)}.")
    if not may_give(tx.actor, role, scope):
        raise ForbiddenError("This role allows more than your own; ask somebody who may do all that it allows.")
    await access.grant(
        tx, user_id, role,
        site_id=scope.site_id, building_id=scope.building_id, since=scope.since, until=scope.until,
    )  # fmt: skip


def may_give(actor: Actor, role: str, scope: Scope) -> bool:
    """Whether somebody may give a role there: he has every right of it himself, but those of GIVEN and clearances."""
    return actor.rights is None or rights_of(role, scope.name) - GIVEN - CLEARANCES <= actor.rights


async def end_role(tx: Transaction, grant_id: UUID, now: datetime) -> None:
    """Take a role back.

    Raises NotFoundError, ForbiddenError for one's own role and ConflictError for that of the last administrator.
    """
    held = await tx.one(HeldRole, SQL["role"], {"id": grant_id}, what="role")
    await _other(tx, held.user_id)
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
        await end_role(tx, one.id, now)


async def _other(tx: Transaction, user_id: UUID) -> User:
    """Give a user who is not oneself."""
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
