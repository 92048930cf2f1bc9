"""Coming in by another sign-in: people leave for a provider, come back once, and are known by issuer and subject.

Never by a mail address or a login: those change hands.  A person and his identity are linked by himself, from his
account page or with his invitation; at first sight by mail only where the file of providers says so.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.errors import UniqueViolation

from hub import refusals
from hub.access import door, session
from hub.access.door import Keeper, Knock
from hub.access.id_token import Claims, RefusedIdentityError
from hub.access.issuer import AUTHENTICATED_WITHIN, Issuer, Secrets
from hub.access.rows import Account, SignedIn, Visitor
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, NotFoundError
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

AWAY = timedelta(minutes=10)
DEPARTURES_MAX = 20_000  # kept at the same time; the oldest goes
SECRET_BYTES = 32
TAKEN = "This identity, or one of the same provider, is linked already; take that link away first."


@dataclass(frozen=True, slots=True)
class Departure:
    """What is kept of a browser that was sent to a provider, until it comes back."""

    nonce: str
    verifier: str
    user_id: UUID | None
    invitation_hash: bytes | None
    again: bool
    back: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at a provider, as a list shows it."""

    id: UUID
    user_id: UUID
    issuer: str
    linked_at: datetime
    linked_by: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """Why somebody leaves for a provider, and where he goes afterwards.

    ``user_id`` links the identity to his account, ``invitation`` answers an invitation with it; neither: he signs in.
    ``again``: he has to prove anew there who he is.
    """

    back: str = "/"
    user_id: UUID | None = None
    invitation: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """Who came back: with a session, or to an account that has an identity more."""

    back: str
    opened: SignedIn | None


def digest(text: str) -> bytes:
    """Give what is stored of a secret of ours."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


async def depart(
    database: Database, issuer: Issuer, browser: str, redirect_uri: str, ticket: Ticket, now: datetime
) -> str:
    """Give the address to which the browser that holds the secret ``browser`` is sent; raises ProviderDownError."""
    made = Secrets(*(secrets.token_urlsafe(SECRET_BYTES) for _ in range(3)))
    address = await issuer.departure(made, redirect_uri, now, _within(again=ticket.again))
    values = {
        "state": digest(made.state), "browser": digest(browser), "provider": issuer.provider.code,
        "nonce": made.nonce, "verifier": made.verifier, "user": ticket.user_id, "back": ticket.back,
        "invitation": digest(ticket.invitation) if ticket.invitation else None, "again": ticket.again,
        "expires_at": now + AWAY,
    }  # fmt: skip
    async with database.transaction(None, role=Role.DOOR) as tx:
        await tx.run(SQL["drop_departures"], {"now": now, "most": DEPARTURES_MAX})
        await tx.run(SQL["depart"], values)
    return address


def _within(*, again: bool) -> timedelta:
    return session.FRESH if again else AUTHENTICATED_WITHIN


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider sent a browser back with."""

    state: str
    code: str
    issuer: str | None
    error: str


async def arrive(
    database: Database,
    issuer: Issuer,
    browser: str,
    redirect_uri: str,
    answer: Answer,
    knock: Knock,
    keeper: Keeper,
    who: Visitor | None,
) -> Arrived:
    """Let in, or link, who came back; ``who`` is signed in in this browser.

    Raises RefusedIdentityError, whatever is wrong, ProviderDownError, and ConflictError for a link that cannot be made.
    """
    try:
        left = await _returned(database, issuer, browser, answer, knock, who)
        sent = Secrets(answer.state, left.nonce, left.verifier)
        within = _within(again=left.again)
        claims = await issuer.arrival(answer.code, answer.issuer, sent, redirect_uri, knock.now, within)
        return await _let_in(database, issuer, left, claims, knock, keeper)
    except RefusedIdentityError as refusal:
        place = f"{issuer.provider.code} from {knock.address}"
        refusals.note("another sign-in", place, why=refusal.why, request=knock.request_id)
        raise


async def _returned(
    database: Database, issuer: Issuer, browser: str, answer: Answer, knock: Knock, who: Visitor | None
) -> Departure:
    asked = {"state": digest(answer.state), "browser": digest(browser), "provider": issuer.provider.code}
    async with database.transaction(None, role=Role.DOOR) as tx:
        left = await tx.maybe(Departure, SQL["come_back"], {**asked, "now": knock.now})
    if left is None:
        raise RefusedIdentityError("nobody left for this answer, or it came too late, or a second time")
    if answer.error or not answer.code:
        raise RefusedIdentityError(f"the provider says: {answer.error or 'nothing'}")
    if left.user_id is not None and (who is None or who.user_id != left.user_id):
        raise RefusedIdentityError("somebody else is signed in now")
    return left


async def _let_in(
    database: Database, issuer: Issuer, left: Departure, claims: Claims, knock: Knock, keeper: Keeper
) -> Arrived:
    provider = issuer.provider
    async with database.transaction(None, role=Role.DOOR) as tx:
        organisation: UUID | None = await tx.value(SQL["open_organisation_named"], {"code": provider.organisation})
    if organisation is None:
        raise RefusedIdentityError("its organisation is not here, or closed")
    async with database.transaction(organisation, knock.actor("?"), Role.DOOR) as tx:
        user_id, new = await _whose(tx, issuer, left, claims, knock.now)
        account = await door.account_of(tx, user_id, knock.now)
        if account.active and account.organisation_id == organisation:
            tx.actor = knock.actor(account.login, account.id)
            if new:
                await _link(tx, account.id, provider.issuer, claims.subject, knock.now, new)
            opened = None if left.user_id else await _open(tx, account, issuer, claims, knock, keeper)
            return Arrived(left.back, opened)
        if account.organisation_id == organisation:
            await audit.record(tx, "sign-in refused", "user", account.id, {"why": "not active"})
    raise RefusedIdentityError("this person may not sign in")


async def _open(
    tx: Transaction, account: Account, issuer: Issuer, claims: Claims, knock: Knock, keeper: Keeper
) -> SignedIn:
    said = {"issuer": issuer.provider.issuer, "amr": sorted(claims.amr)}
    await audit.record(tx, "came by another sign-in", "user", account.id, said)
    proved = "oidc-mfa" if claims.amr & issuer.provider.trusted_amr else "oidc"
    return await session.begin(tx, account, (proved,), knock.browser, knock.now, keeper.policy)


async def _whose(tx: Transaction, issuer: Issuer, left: Departure, claims: Claims, now: datetime) -> tuple[UUID, str]:
    """Give whose identity this is, and where it is new, how it became his: by himself, an invitation or his mail."""
    if left.user_id is not None:
        return left.user_id, "himself"
    asked = {"organisation": tx.organisation, "issuer": issuer.provider.issuer, "subject": claims.subject, "now": now}
    if left.invitation_hash is not None:
        found, new = await tx.value(SQL["answer_invitation"], {"hash": left.invitation_hash, **asked}), "invitation"
    else:
        found, new = await tx.value(SQL["use_identity"], asked), ""
        if found is None:
            found, new = await _by_mail(tx, issuer, claims), "mail"
    if found is None:
        raise RefusedIdentityError(f"nobody here is known by the subject {claims.subject[:40]}")
    return found, new


async def _by_mail(tx: Transaction, issuer: Issuer, claims: Claims) -> UUID | None:
    if not issuer.provider.by_email or claims.email is None:
        return None
    asked = {"organisation": tx.organisation, "email": claims.email.strip().lower()}
    found: UUID | None = await tx.value(SQL["staff_by_mail"], asked)
    return found


async def _link(tx: Transaction, user_id: UUID, issuer: str, subject: str, now: datetime, how: str) -> None:
    values = {
        "organisation": tx.organisation, "user": user_id, "issuer": issuer, "subject": subject, "now": now, "by": how,
    }  # fmt: skip
    try:
        if not await tx.run(SQL["link"], values):
            raise RefusedIdentityError("only staff signs in by another sign-in")
    except UniqueViolation as error:
        raise ConflictError(TAKEN) from error
    await audit.record(tx, "linked an identity", "user", user_id, {"issuer": issuer, "how": how})


async def identities(tx: Transaction, user_id: UUID) -> list[Identity]:
    """Give by which providers a user of the organisation can sign in."""
    async with tx.under(Role.DOOR):
        return await tx.all(Identity, SQL["identities"], {"user": user_id, "organisation": tx.organisation})


async def unlink(tx: Transaction, identity_id: UUID, user_id: UUID) -> None:
    """Take a link away; raises NotFoundError, and ForbiddenError where it is the only way in of who asks."""
    async with tx.under(Role.DOOR):
        asked = {"id": identity_id, "user": user_id, "organisation": tx.organisation}
        found = await tx.maybe(Identity, SQL["unlink"], asked)
        if found is None:
            raise NotFoundError("There is no such link.")
        account = await door.account_of(tx, user_id, found.linked_at)
        if account.password_hash is None and tx.actor.user_id == user_id:
            raise ForbiddenError("This is your only way in; choose a password first.")
        await audit.record(tx, "took an identity away", "user", user_id, {"issuer": found.issuer})
