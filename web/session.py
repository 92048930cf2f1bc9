"""Who is asking, in which language, and whether he may: every route declares the right that it needs."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import HTTPConnection

from hub.access import session as sessions
from hub.access import tokens, whereabouts
from hub.access.door import Knock
from hub.access.rights import Right
from hub.access.rows import Browser, SignedIn, Visitor
from hub.access.whereabouts import Sibling
from hub.assets import service as assets
from hub.assets.rows import Site
from hub.errors import ForbiddenError
from hub.store.database import Database, Role, Transaction
from rules.detect.book import RuleBook
from web import bearer, language
from web.render import UTC_ZONE, render
from web.settings import WebSettings

COOKIE = "plantroom_session"
LANGUAGE_COOKIE = "plantroom_language"
BROWSER_COOKIE = "plantroom_browser"  # by which the door knows a browser again; it opens nothing
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
YEAR_S = 365 * 24 * 3600


class SignInNeededError(Exception):
    """Nobody is signed in, or no longer."""


class FreshProofNeededError(Exception):
    """Somebody is signed in, but proved who he is too long ago for this act."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    who: Visitor
    database: Database
    now: datetime
    needed: tuple[Right, ...] = ()

    @property
    def language(self) -> str:
        """The language of the visitor's screens."""
        return self.who.language

    @property
    def rules(self) -> RuleBook:
        """The rule book of this hub."""
        book: RuleBook = self.request.app.state.rules
        return book

    @property
    def partial(self) -> bool:
        """Whether a part of a page is asked for (by htmx), not a whole one."""
        return self.request.headers.get("HX-Request") == "true"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open the request's transaction, in the visitor's name, where he has the right that the route needs."""
        actor = self.who.actor(*self.needed, address=address_of(self.request), request_id=self.request.state.request_id)
        async with self.database.transaction(self.who.organisation_id, actor) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a transaction like ``transaction`` that only reads and may show what was some seconds ago."""
        actor = self.who.actor(*self.needed, address=address_of(self.request), request_id=self.request.state.request_id)
        async with self.database.reading(self.who.organisation_id, actor) as tx:
            yield tx

    @asynccontextmanager
    async def at_home(self, role: Role = Role.DOOR) -> AsyncIterator[Transaction]:
        """Open a transaction about the visitor's own account, in his own organisation."""
        actor = self.knock.actor(self.who.login, self.who.user_id)
        async with self.database.transaction(self.who.home_id, actor, role) as tx:
            yield tx

    @property
    def settings(self) -> WebSettings:
        """What the web process was told."""
        told: WebSettings = self.request.app.state.settings
        return told

    @property
    def knock(self) -> Knock:
        """The request as the door sees it."""
        return knock_of(self.request, self.now)

    def text(self, template: str, site: Site | None, **context: Any) -> str:
        """Render a template with what every page knows."""
        here: dict[str, Any] = {"visit": self, "site": site, "zone": site.zone if site else UTC_ZONE, "now": self.now}
        return render(self.language, template, **{**here, **context})

    async def page(self, tx: Transaction, template: str, **context: Any) -> HTMLResponse:
        """Answer with a page, in the time of the chosen site, or of the first."""
        sites = await self.sites(tx)
        site = next((one for one in sites if self.who.site_id in (None, one.id)), None)
        said = {"choice": sites, "organisations": await self.organisations(tx), **context}
        return HTMLResponse(self.text(template, site, **said))

    async def sites(self, tx: Transaction) -> list[Site]:
        """Give the sites among which the visitor can choose: all that he sees when he has chosen none."""
        if self.who.site_id is None:
            return await assets.sites(tx)
        async with tx.unconfined():
            return [one for one in await assets.sites(tx) if self.who.reaches(one.id)]

    async def organisations(self, tx: Transaction) -> list[Sibling]:
        """Give the organisations among which the visitor can choose; none where there is nothing to choose."""
        return await whereabouts.organisations(tx, self.who) if self.who.travels else []

    def go(self, path: str) -> Response:
        """Send the browser to another page after something was done."""
        if self.partial:
            return Response(status_code=204, headers={"HX-Redirect": path})
        return RedirectResponse(path, status_code=303)


async def first_site(tx: Transaction) -> Site | None:
    """Give the site whose time the pages show."""
    return next(iter(await assets.sites(tx)), None)


async def zone_of(tx: Transaction) -> ZoneInfo:
    """Give the time zone of the pages."""
    site = await first_site(tx)
    return site.zone if site else UTC_ZONE


def cookie_name(settings: WebSettings, name: str = COOKIE) -> str:
    """Give a cookie's name; over https the prefix ties it to this host."""
    return f"__Host-{name}" if settings.secure_cookies else name


def set_cookie(response: Response, settings: WebSettings, name: str, value: str, age_s: int) -> None:
    """Set a cookie that scripts and other sites cannot use."""
    response.set_cookie(
        cookie_name(settings, name), value, max_age=age_s, path="/", httponly=True, samesite="lax",
        secure=settings.secure_cookies,
    )  # fmt: skip


def address_of(connection: HTTPConnection) -> str:
    """Give the network address of who asks."""
    return connection.client.host if connection.client else ""


def token_of(connection: HTTPConnection) -> str:
    """Give the session's token, '' where there is none."""
    return connection.cookies.get(cookie_name(connection.app.state.settings), "")


def knock_of(request: Request, now: datetime) -> Knock:
    """Give what the door asks of a request: when, from where, in which browser."""
    mark = request.cookies.get(cookie_name(request.app.state.settings, BROWSER_COOKIE), "")
    browser = Browser(request.headers.get("User-Agent", ""), mark)
    return Knock(address_of(request), now, browser, request.state.request_id)


def let_in(response: Response, settings: WebSettings, opened: SignedIn) -> None:
    """Give the browser a session's new token, and the mark by which it is known again."""
    set_cookie(response, settings, COOKIE, opened.token, int(sessions.SESSION_LIFE.total_seconds()))
    if opened.mark:
        set_cookie(response, settings, BROWSER_COOKIE, opened.mark, YEAR_S)


async def visitor_of(connection: HTTPConnection) -> Visitor | None:
    """Give who holds the session cookie of a request or a socket; nobody who has not yet given his second factor."""
    token, policy = token_of(connection), connection.app.state.settings.keeper.policy
    return await sessions.visitor(connection.app.state.database, token, datetime.now(UTC), policy) if token else None


async def halfway_of(request: Request) -> Visitor | None:
    """Give who has given his password and has still to give, or to set up, his second factor."""
    token, policy = token_of(request), request.app.state.settings.keeper.policy
    return await sessions.halfway(request.app.state.database, token, datetime.now(UTC), policy) if token else None


def language_of(request: Request) -> str:
    """Give the language for somebody who is not signed in."""
    settings: WebSettings = request.app.state.settings
    cookie = request.cookies.get(cookie_name(settings, LANGUAGE_COOKIE))
    return language.choose(cookie, request.headers.get("Accept-Language", ""))


async def sent_token(request: Request) -> str:
    """Give the form secret that came with a request, in its header or its field."""
    token = request.headers.get(CSRF_HEADER)
    if token is None:
        token = str((await request.form()).get("csrf", ""))
    return token


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


async def _holder(request: Request, secret: str) -> Visitor:
    database, request_id = request.app.state.database, request.state.request_id
    return await tokens.visitor(database, secret, address_of(request), datetime.now(UTC), request_id)


class Needs:
    """A route's declaration of its right: any one of ``rights`` opens it; none named: any signed-in visitor.

    ``fresh``: the visitor has to have proved who he is, with all his factors, a few minutes ago.
    """

    def __init__(self, *rights: Right, fresh: bool = False) -> None:
        self.rights = rights
        self.fresh = fresh

    async def __call__(self, request: Request) -> Visit:
        """Let the visitor in; raises SignInNeededError, ForbiddenError or FreshProofNeededError."""
        secret = bearer.secret(request, cookie_name(request.app.state.settings))
        who = await (visitor_of(request) if secret is None else _holder(request, secret))
        if who is None:
            raise SignInNeededError
        visit = Visit(request, who, request.app.state.database, datetime.now(UTC), self.rights)
        request.state.visit = visit
        if self.rights and not any(who.may(right) for right in self.rights):
            raise ForbiddenError("Your role does not include this page or act; ask an administrator if it should.")
        if secret is None:
            await check_form(request, who)
        if self.fresh and not sessions.is_fresh(who, visit.now):
            raise FreshProofNeededError
        return visit


class Halfway(Needs):
    """A route for somebody who has given his password and still has to give, or to set up, his second factor."""

    async def __call__(self, request: Request) -> Visit:
        """Let him in; raises SignInNeededError for everybody else."""
        who = await halfway_of(request)
        if who is None:
            raise SignInNeededError
        await check_form(request, who)
        return Visit(request, who, request.app.state.database, datetime.now(UTC))


async def check_form(request: Request, who: Visitor) -> None:
    """Refuse a form that does not carry the session's secret; raises ForbiddenError."""
    if request.method not in SAFE_METHODS and not same(await sent_token(request), who.csrf):
        raise ForbiddenError("This form is out of date or comes from elsewhere; reload the page and try again.")


Anyone = Annotated[Visit, Depends(Needs())]
AnyoneAgain = Annotated[Visit, Depends(Needs(fresh=True))]
HalfwayVisit = Annotated[Visit, Depends(Halfway())]
ConsoleVisit = Annotated[Visit, Depends(Needs(Right.SEE_CONSOLE))]
PointsVisit = Annotated[Visit, Depends(Needs(Right.SEE_POINTS))]
AlarmVisit = Annotated[Visit, Depends(Needs(Right.ACKNOWLEDGE_ALARMS))]
OrdersVisit = Annotated[Visit, Depends(Needs(Right.SEE_ORDERS))]
DispatchVisit = Annotated[Visit, Depends(Needs(Right.DIRECT_ORDERS))]
TechnicianVisit = Annotated[Visit, Depends(Needs(Right.DO_ORDERS))]
LeasesVisit = Annotated[Visit, Depends(Needs(Right.SEE_LEASES))]
BillingVisit = Annotated[Visit, Depends(Needs(Right.RUN_BILLS))]
PapersVisit = Annotated[Visit, Depends(Needs(Right.SEE_OWN_PAPERS))]
InvoiceVisit = Annotated[Visit, Depends(Needs(Right.SEE_LEASES, Right.SEE_OWN_PAPERS))]
ApprovalsVisit = Annotated[Visit, Depends(Needs(Right.APPROVE, Right.REQUEST_APPROVAL))]
ApproveVisit = Annotated[Visit, Depends(Needs(Right.APPROVE))]
RequestVisit = Annotated[Visit, Depends(Needs(Right.REQUEST_APPROVAL))]
FlowsVisit = Annotated[Visit, Depends(Needs(Right.MANAGE_FLOWS))]
