"""API tokens: keys with which programs ask in the name of a service account, or of the person who made them."""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from hub import refusals
from hub.access.rights import Right
from hub.access.rows import CutGrant, Grant, User, Visitor
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, HubError, InvalidError, NotFoundError
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

START = "plantroom_"  # by which a scanner of published code knows what it has found
SECRET_BYTES = 32
FORM = re.compile(START + r"[A-Za-z0-9_-]{43}")
PREFIX_CHARACTERS = len(START) + 6  # shown in lists; the other 222 bits are secret
LIFE_MAX = timedelta(days=365)
WARN_BEFORE = timedelta(days=14)
USED_EVERY = timedelta(minutes=1)
REFUSED_EVERY = timedelta(hours=1)
TOKENS_MAX = 20  # of one account
RIGHTS = (Right.SEE_CONSOLE, Right.SEE_POINTS, Right.ADD_STILLS, Right.COMMAND_POINTS)  # what routes under /api ask for
KINDS = ("staff", "service")  # of users; the API has nothing for people from outside
REFUSAL = "This token is not known here, has ended or was revoked; ask an administrator for another."


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose an API token is, and whether it opens anything now."""

    id: UUID
    name: str
    rights: list[str]
    site_id: UUID | None
    building_id: UUID | None
    expires_at: datetime
    revoked: bool
    user_id: UUID
    organisation_id: UUID
    login: str
    kind: str
    language: str
    active: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as a list shows it; ``refused_at`` is when it was last tried in vain."""

    id: UUID
    user_id: UUID
    login: str
    kind: str
    name: str
    prefix: str
    rights: list[str]
    site_id: UUID | None
    building_id: UUID | None
    place_zh: str | None
    place_en: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    last_used_address: str
    refused_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None


class TokenRefusedError(HubError):
    """A token opens nothing; the sentence does not say why."""

    status = 401


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a token reaches: some rights, everywhere or inside one site or building."""

    rights: frozenset[Right]
    site_id: UUID | None = None
    building_id: UUID | None = None

    def cut(self, grants: Collection[Grant]) -> tuple[Grant, ...]:
        """Give what is left of its owner's roles."""
        placed = [grant.inside(self.site_id, self.building_id) if self.site_id else grant for grant in grants]
        cut = [
            CutGrant(one.role, one.scope, one.site_id, one.building_id, self.rights)
            for one in placed
            if one is not None
        ]
        return tuple(grant for grant in cut if grant.rights)


def digest(secret: str) -> bytes:
    """Give what is stored of a secret; it is random, so it needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


async def visitor(database: Database, secret: str, address: str, now: datetime, request_id: str = "") -> Visitor:
    """Give in whose name a token asks, with what it and its owner's roles allow together now.

    Raises TokenRefusedError.
    """
    if not FORM.fullmatch(secret):
        raise TokenRefusedError(REFUSAL)
    async with database.transaction(None, role=Role.DOOR) as tx:
        found = await tx.maybe(TokenOwner, SQL["token_owner"], {"hash": digest(secret)})
        why = _fault(found, now)
        if found is not None and not why:
            used = {"id": found.id, "now": now, "stale": now - USED_EVERY, "address": address}
            await tx.run(SQL["use_token"], used)
            held = await tx.all(Grant, SQL["grants"], {"user": found.user_id, "now": now, "home": True})
            reach = Reach(frozenset(one for one in Right if one in found.rights), found.site_id, found.building_id)
            return _visitor(found, reach.cut(held))
        if found is not None:
            await _note_refusal(
                tx, found, why, now, Actor(f"{found.login}/{found.name}", address=address, request_id=request_id)
            )
    refusals.note("an API token", secret[:PREFIX_CHARACTERS], why=why, address=address)
    raise TokenRefusedError(REFUSAL)


def _fault(found: TokenOwner | None, now: datetime) -> str:
    if found is None:
        return "unknown"
    if found.closed or not found.active or found.kind not in KINDS:
        return "its owner may not sign in"
    if found.revoked:
        return "revoked"
    return "expired" if found.expires_at <= now else ""


async def _note_refusal(tx: Transaction, found: TokenOwner, why: str, now: datetime, actor: Actor) -> None:
    """Record it, once an hour: a program that nobody told asks on and on."""
    if await tx.run(SQL["refuse_token"], {"id": found.id, "now": now, "stale": now - REFUSED_EVERY}):
        tx.organisation, tx.actor = found.organisation_id, actor
        await audit.record(tx, "refused", "api token", found.id, {"why": why, "address": actor.address})


def _visitor(found: TokenOwner, grants: tuple[Grant, ...]) -> Visitor:
    return Visitor(
        user_id=found.user_id,
        organisation_id=found.organisation_id,
        home_id=found.organisation_id,
        login=f"{found.login}/{found.name}",
        name=found.name,
        kind=found.kind,
        tenant_id=None,
        language=found.language,
        csrf=secrets.token_urlsafe(),  # nobody knows it: a token fills in no form
        expires_at=found.expires_at,
        grants=grants,
    )


async def create(
    tx: Transaction, owner_id: UUID, name: str, reach: Reach, expires_at: datetime, now: datetime
) -> tuple[UUID, str]:
    """Make a token for oneself or, for whoever manages users, a service account; gives its id and the secret, once.

    Raises InvalidError for a right that the owner does not have there, a name of another form or an end beyond a year;
    ConflictError for a name that one of the owner's tokens has; ForbiddenError for somebody else's account.
    """
    owner = await _owner(tx, owner_id)
    if not now < expires_at <= now + LIFE_MAX:
        raise InvalidError(f"A token ends after now and within {LIFE_MAX.days} days; choose another end.")
    held = await tx.all(Grant, SQL["grants"], {"user": owner.id, "now": now, "home": True})
    missing = reach.rights - frozenset().union(*(grant.rights for grant in reach.cut(held)))
    if missing or not reach.rights or not reach.rights <= set(RIGHTS):
        raise InvalidError("A token can have rights only that its owner has there himself; choose others.")
    if await tx.value(SQL["count_tokens"], {"user": owner.id, "now": now}) >= TOKENS_MAX:
        raise ConflictError(f"An account holds at most {TOKENS_MAX} tokens; revoke one first.")
    secret = START + secrets.token_urlsafe(SECRET_BYTES)
    values = {
        "user": owner.id, "name": name, "prefix": secret[:PREFIX_CHARACTERS], "hash": digest(secret),
        "rights": sorted(reach.rights), "site": reach.site_id, "building": reach.building_id, "now": now,
        "by": tx.actor.name, "expires_at": expires_at,
    }  # fmt: skip
    token_id = await _add(tx, values)
    said = {"name": name, "of": owner.login, "rights": sorted(reach.rights), "ends": expires_at.isoformat()}
    await audit.record(tx, "made", "api token", token_id, {**said, "site": str(reach.site_id or "")})
    return token_id, secret


async def _add(tx: Transaction, values: dict[str, object]) -> UUID:
    try:
        token_id: UUID = await tx.value(SQL["add_token"], values)
    except UniqueViolation as error:
        raise ConflictError(f"There is already a token '{values['name']}'; choose another name.") from error
    except CheckViolation as error:
        raise InvalidError(
            "The name of a token has up to 40 lower-case letters, digits, dots and dashes, and no dash in front."
        ) from error
    except ForeignKeyViolation as error:
        raise InvalidError("A token is for one site or building of this organisation, or for all.") from error
    return token_id


async def _owner(tx: Transaction, owner_id: UUID) -> User:
    owner = await tx.one(User, SQL["user"], {"id": owner_id}, what="user")
    _check_may_change(tx.actor, owner.id, owner.kind)
    if not owner.active or owner.kind not in KINDS:
        raise InvalidError("A token belongs to an active service account or member of the staff.")
    return owner


def _check_may_change(actor: Actor, owner_id: UUID, kind: str) -> None:
    manages = actor.rights is None or actor.may(Right.MANAGE_USERS)
    if owner_id != actor.user_id and not (manages and kind == "service"):
        raise ForbiddenError("Everybody makes tokens for himself; administrators make those of service accounts too.")


async def revoke(tx: Transaction, token_id: UUID, now: datetime) -> None:
    """End a token: one's own or, for whoever manages users, anybody's.  One that is revoked already stays as it is."""
    token = await one(tx, token_id)
    if token.user_id != tx.actor.user_id and not (tx.actor.rights is None or tx.actor.may(Right.MANAGE_USERS)):
        raise NotFoundError("There is no such API token.")
    if await tx.run(SQL["revoke_token"], {"id": token_id, "now": now, "by": tx.actor.name}):
        await audit.record(tx, "revoked", "api token", token_id, {"name": token.name, "of": token.login})


async def revoke_all(tx: Transaction, user_id: UUID, now: datetime) -> int:
    """End all tokens of a user who goes, and give how many there were."""
    return await tx.run(SQL["revoke_tokens"], {"user": user_id, "now": now, "by": tx.actor.name})


async def one(tx: Transaction, token_id: UUID) -> Token:
    """Give one token; raises NotFoundError."""
    return await tx.one(Token, SQL["token"], {"id": token_id}, what="API token")


async def tokens(tx: Transaction, user_id: UUID | None = None) -> list[Token]:
    """Give the tokens of a user, or of the whole organisation: those in force first, then by their end."""
    return await tx.all(Token, SQL["tokens"], {"user": user_id})


async def service_accounts(tx: Transaction) -> list[User]:
    """Give the accounts of programs that are active."""
    return [user for user in await tx.all(User, SQL["users"]) if user.kind == "service" and user.active]
