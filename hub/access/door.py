"""The door: what somebody who wants to come in has to prove, step by step.

Every refusal says one sentence after one time, and leaves a trace: in the record of the account's organisation, and in
the security log.
"""

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from uuid import UUID

from hub import refusals
from hub.access import backoff, factor, password, session
from hub.access.rows import Account, Browser, SignedIn, Visitor
from hub.access.vault import BrokenSealError, Vault
from hub.audit import service as audit
from hub.errors import ForbiddenError, UnavailableError
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from rules.model.sign_in import SecondFactor

SQL = queries(__package__)

REFUSAL_TAKES_S = 0.25  # more than the check of a password and the note of a failure together
REFUSAL = "The name or the password is wrong, or the account is locked for a few minutes."
CODE_REFUSAL = "This code is wrong, out of date or was used already; wait for the next one and try again."
AGAIN_REFUSAL = "The password or the code is wrong, or was used already; wait for the next code and try again."
LOGIN_CHARACTERS_MAX = 64
LOGIN = re.compile(rf"[A-Za-z0-9._-]{{2,{LOGIN_CHARACTERS_MAX}}}")
MARK_BYTES = 16
UNKNOWN_BROWSER = Browser()


@dataclass(frozen=True, slots=True)
class Keeper:
    """What the door keeps to: the vault of the second factors, and who needs one (None: the shipped policy)."""

    vault: Vault
    policy: SecondFactor | None = None


@dataclass(frozen=True, slots=True)
class Knock:
    """One attempt to come in, or further: when, and from where."""

    address: str
    now: datetime
    browser: Browser = UNKNOWN_BROWSER
    request_id: str = ""

    def actor(self, login: str, user_id: UUID | None = None) -> Actor:
        """Give in whose name it is recorded."""
        return Actor(login or "?", user_id, address=self.address, request_id=self.request_id)


@asynccontextmanager
async def _slow_refusals() -> AsyncIterator[None]:
    started_s = monotonic()
    try:
        yield
    except ForbiddenError:
        await asyncio.sleep(started_s + REFUSAL_TAKES_S - monotonic())
        raise


async def sign_in(
    database: Database,
    login: str,
    said: str,
    address: str,
    now: datetime,
    *,
    browser: Browser = UNKNOWN_BROWSER,
    keeper: Keeper | None = None,
    request_id: str = "",
) -> SignedIn:
    """Check a password and open a session; halfway where a second factor is set up or needed.

    Raises ForbiddenError with one sentence and after one time, neither of which tells whether there is such a name;
    UnavailableError when too many sign in at once.
    """
    knock = Knock(address, now, browser, request_id)
    async with _slow_refusals(), _checked(database, login, said, knock, keeper) as (tx, account):
        opened = await session.begin(tx, account, ("password",), browser, now, keeper.policy if keeper else None)
        return _marked(opened, keeper, account.id, browser) if opened.through else opened


@asynccontextmanager
async def _checked(
    database: Database, typed: str, said: str, knock: Knock, keeper: Keeper | None
) -> AsyncIterator[tuple[Transaction, Account]]:
    """Give the account whose name was typed and password said, in a transaction of Role.DOOR; raises ForbiddenError."""
    login = typed.strip()
    login = login.lower() if LOGIN.fullmatch(login) else ""  # checked first: lower() makes ASCII of some look-alikes
    asked = {"login": login, "now": knock.now}
    async with database.transaction(None, knock.actor(login), Role.DOOR) as tx:
        account = await tx.maybe(Account, SQL["account"], asked)
        counted = backoff.counts("password", login, knock.address, _known(keeper, knock.browser, account))
        held = await backoff.held(tx, counted, knock.now)
    right, renewed = False, None
    if not held:
        kept = account.password_hash if account else None
        right, renewed = await password.HASHERS.run(password.check, kept or password.nobody(), said)
    organisation, user_id = (account.organisation_id, account.id) if account else (None, None)
    async with database.transaction(organisation, knock.actor(login, user_id), Role.DOOR) as tx:
        await backoff.hold(tx, counted)
        held = held or await backoff.held(tx, counted, knock.now)
        fresh = await tx.maybe(Account, SQL["account"], asked)
        why = "held back" if held else _fault(account, fresh, said, right=right)
        if fresh is not None and not why:
            await backoff.forgive(tx, counted)
            if renewed:
                await tx.run(SQL["renew_hash"], {"user": fresh.id, "hash": renewed})
            yield tx, fresh
            return
        await _refused(tx, "sign-in refused", counted, typed, user_id, why, knock)
    raise ForbiddenError(REFUSAL)


def _fault(account: Account | None, fresh: Account | None, said: str, *, right: bool) -> str:
    """Give why somebody does not come in, for the record; '' if he does."""
    if account is None or fresh is None:
        return "unknown name"
    if account.password_hash is None:
        return "no password"
    # The hash that was checked is the one that holds now, or somebody changed it meanwhile.
    if not right or len(said) > password.CHARACTERS_MAX or account.password_hash != fresh.password_hash:
        return "wrong password"
    return "" if fresh.active else "not active"


async def _refused(
    tx: Transaction, act: str, counted: backoff.Counts, login: str, user_id: UUID | None, why: str, knock: Knock
) -> None:
    """Count and record a refusal; an unknown name belongs to no organisation and stands in the security log only."""
    if why != "held back":
        await backoff.count(tx, counted, knock.now)
    if user_id is not None:
        await audit.record(tx, act, "user", user_id, {"address": knock.address, "why": why})
    refusals.note(act, f"{login[:LOGIN_CHARACTERS_MAX]} from {knock.address}", why=why, request=knock.request_id)


async def second_factor(
    database: Database, who: Visitor, token: str, code: str, knock: Knock, keeper: Keeper
) -> SignedIn:
    """Let somebody through who is halfway and gives a code of his second factor, or a recovery code.

    Raises ForbiddenError with one sentence and after one time.
    """
    async with _slow_refusals():
        async with database.transaction(who.home_id, knock.actor(who.login, who.user_id), Role.DOOR) as tx:
            proved = await _code(tx, who, code, knock, keeper)
            if proved is not None:
                opened = await session.renew(tx, who, token, (proved,), knock.now)
                said = {"address": knock.address, "factors": sorted({*who.factors, proved})}
                await audit.record(tx, "signed in", "user", who.user_id, said)
                return _marked(opened, keeper, who.user_id, knock.browser)
        raise ForbiddenError(CODE_REFUSAL)


async def _code(tx: Transaction, who: Visitor, code: str, knock: Knock, keeper: Keeper) -> str | None:
    """Use up a code and give which factor it proves; None, counted and recorded, where it proves none."""
    known = _known(keeper, knock.browser, who.user_id)
    counted = backoff.counts("code", who.login, knock.address, known, backoff.CODES)
    await backoff.hold(tx, counted)
    held = await backoff.held(tx, counted, knock.now)
    proved = None if held else await factor.prove(tx, keeper.vault, who.user_id, code, knock.now)
    if proved is not None:
        await backoff.forgive(tx, counted)
        return proved
    why = "held back" if held else "wrong code"
    await _refused(tx, "second factor refused", counted, who.login, who.user_id, why, knock)
    return None


async def again(
    database: Database, who: Visitor, token: str, said: str, code: str, knock: Knock, keeper: Keeper
) -> SignedIn:
    """Let somebody who is signed in prove once more who he is, with all his factors; gives the session's new token.

    Raises ForbiddenError with one sentence and after one time, whichever of the factors was wrong.
    """
    async with _slow_refusals():
        with _one_sentence():
            async with _checked(database, who.login, said, knock, keeper) as (tx, account):
                used = await _code(tx, who, code, knock, keeper) if account.enrolled else ""
                if used is not None:
                    proved = ["password", *([used] if used else [])]
                    opened = await session.renew(tx, who, token, proved, knock.now)
                    await audit.record(tx, "proved again who he is", "user", account.id, {"factors": proved})
                    return opened
        raise ForbiddenError(AGAIN_REFUSAL)


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except ForbiddenError:
        raise ForbiddenError(AGAIN_REFUSAL) from None


def _known(keeper: Keeper | None, browser: Browser, account: Account | UUID | None) -> bytes | None:
    """Give the number of a browser in which this user was let in before; None for any other."""
    user_id = account.id if isinstance(account, Account) else account
    if keeper is None or user_id is None or not browser.mark:
        return None
    try:
        return keeper.vault.open(base64.urlsafe_b64decode(browser.mark), "browser", user_id)
    except (ValueError, BrokenSealError, UnavailableError):  # somebody else's, made up, or of a key that is gone
        return None


def _marked(opened: SignedIn, keeper: Keeper | None, user_id: UUID, browser: Browser) -> SignedIn:
    """Give the browser a mark by which the door knows it again; it opens nothing, it only counts for itself."""
    if keeper is None:
        return opened
    if _known(keeper, browser, user_id) is not None:
        return replace(opened, mark=browser.mark)
    sealed = keeper.vault.seal(secrets.token_bytes(MARK_BYTES), "browser", user_id)
    return replace(opened, mark=base64.urlsafe_b64encode(sealed).decode())


async def account_of(tx: Transaction, user_id: UUID, now: datetime) -> Account:
    """Give what the door knows of a user, for another way in; runs under Role.DOOR.  Raises NotFoundError."""
    return await tx.one(Account, SQL["account_of"], {"user": user_id, "now": now}, what="user")
