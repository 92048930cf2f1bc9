"""Signing in by another sign-in (OpenID Connect): leaving for the provider, coming back, linking and unlinking."""

import secrets
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.access import identity
from hub.access import service as access
from hub.access.identity import Answer, Ticket
from hub.access.issuer import Issuer
from hub.errors import NotFoundError
from web.render import render
from web.session import (
    Anyone,
    AnyoneAgain,
    cookie_name,
    knock_of,
    language_of,
    let_in,
    set_cookie,
    token_of,
    visitor_of,
)
from web.settings import WebSettings
from web.sign_in import STALE_FORM, form, further, inside, is_ours

router = APIRouter()
AWAY_COOKIE = "plantroom_away"  # by which a browser proves that it is the one that left
AWAY_S = int(identity.AWAY.total_seconds())
ANSWER_CHARACTERS_MAX = 4_000


@router.post("/sign-in/with/{provider}")
async def leave(
    request: Request,
    provider: str,
    csrf: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
    token: Annotated[str, Form()] = "",
) -> Response:
    """Send somebody to a provider, to sign in or, with its ``token``, to answer an invitation."""
    if not is_ours(request, csrf):
        return form(request, "sign_in.html", STALE_FORM, 403, next=inside(next))
    return await _away(request, provider, Ticket(inside(next), invitation=token), language_of(request))


@router.post("/sign-in/again/with/{provider}")
async def leave_again(
    visit: Anyone,
    provider: str,
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Send somebody who is signed in to prove once more who he is; he comes back to a new session."""
    return await _away(visit.request, provider, Ticket(inside(next), again=True), visit.language)


@router.post("/account/identities/with/{provider}")
async def link(visit: AnyoneAgain, provider: str) -> Response:
    """Send somebody to a provider whose identity becomes his."""
    return await _away(visit.request, provider, Ticket("/account", visit.who.user_id, again=True), visit.language)


@router.post("/account/identities/{identity_id}/remove")
async def unlink(visit: AnyoneAgain, identity_id: UUID) -> Response:
    """Take the link to an identity away."""
    async with visit.at_home() as tx:
        await identity.unlink(tx, identity_id, visit.who.user_id)
    return visit.go("/account")


@router.get("/oidc/{provider}/callback")
async def come_back(
    request: Request, provider: str, state: str = "", code: str = "", iss: str | None = None, error: str = ""
) -> Response:
    """Let in who comes back from a provider, if everything fits."""
    settings, issuer = _settings(request), _issuer(request, provider)
    said = Answer(state[:ANSWER_CHARACTERS_MAX], code[:ANSWER_CHARACTERS_MAX], iss, error)
    browser = request.cookies.get(cookie_name(settings, AWAY_COOKIE), "")
    arrived = await identity.arrive(
        request.app.state.database, issuer, browser, _back(settings, issuer), said,
        knock_of(request, datetime.now(UTC)), settings.keeper, await visitor_of(request),
    )  # fmt: skip
    if arrived.opened is None:
        return RedirectResponse(arrived.back, status_code=303)
    if before := token_of(request):
        await access.sign_out(request.app.state.database, before)
    response = RedirectResponse(further(arrived.opened, arrived.back), status_code=303)
    let_in(response, settings, arrived.opened)
    response.delete_cookie(cookie_name(settings, AWAY_COOKIE), path="/", secure=settings.secure_cookies)
    return response


async def _away(request: Request, provider: str, ticket: Ticket, spoken: str) -> Response:
    """Answer with a page that leads to the provider: browsers follow no redirect of a form to another host."""
    settings, issuer = _settings(request), _issuer(request, provider)
    browser = request.cookies.get(cookie_name(settings, AWAY_COOKIE)) or secrets.token_urlsafe(identity.SECRET_BYTES)
    address = await identity.depart(
        request.app.state.database, issuer, browser, _back(settings, issuer), ticket, datetime.now(UTC)
    )
    text = render(spoken, "away.html", address=address, provider=issuer.provider, visit=None, site=None)
    response = HTMLResponse(text)
    set_cookie(response, settings, AWAY_COOKIE, browser, AWAY_S)
    return response


def _settings(request: Request) -> WebSettings:
    settings: WebSettings = request.app.state.settings
    return settings


def _issuer(request: Request, provider: str) -> Issuer:
    issuer: Issuer | None = request.app.state.issuers.get(provider)
    if issuer is None:
        raise NotFoundError("There is no such page.")
    return issuer


def _back(settings: WebSettings, issuer: Issuer) -> str:
    return f"{settings.public_address}/oidc/{issuer.provider.code}/callback"
