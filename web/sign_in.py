"""The door: sign in, sign out, choose a language."""

import secrets
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.access import service as access
from hub.errors import ForbiddenError
from web import language
from web.render import render
from web.session import (
    COOKIE,
    LANGUAGE_COOKIE,
    YEAR_S,
    Anyone,
    address_of,
    cookie_name,
    language_of,
    same,
    set_cookie,
    visitor_of,
)

router = APIRouter()
DOOR_COOKIE = "plantroom_door"  # holds the form secret while nobody is signed in
DOOR_LIFE_S = 3600
STALE_FORM = "This form is out of date; try again."


def inside(path: str) -> str:
    """Give ``path``, fit for a header, if it leads to a page of ours, else the front page.

    Browsers drop tabs and line ends from addresses and take a backslash for a slash: with those it is nobody's page.
    """
    ours = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return quote(path, safe="/?=&%#:@!$'()*+,;~") if ours else "/"


@router.get("/sign-in")
async def show(request: Request, next: str = "/", language: str = "") -> Response:  # noqa: A002 - the field's name
    """Show the form; ``language`` switches and is remembered in a cookie."""
    if await visitor_of(request):
        return RedirectResponse(inside(next), status_code=303)
    return _form(request, _spoken(request, language), inside(next), "", 200)


def _spoken(request: Request, wanted: str) -> str:
    return wanted if wanted in language.LANGUAGES else language_of(request)


def _form(request: Request, spoken: str, back: str, problem: str, status: int) -> Response:
    settings = request.app.state.settings
    secret = request.cookies.get(cookie_name(settings, DOOR_COOKIE)) or secrets.token_urlsafe(24)
    text = render(spoken, "sign_in.html", next=back, csrf=secret, problem=problem, visit=None, site=None)
    response = HTMLResponse(text, status)
    set_cookie(response, settings, DOOR_COOKIE, secret, DOOR_LIFE_S)
    set_cookie(response, settings, LANGUAGE_COOKIE, spoken, YEAR_S)
    return response


@router.post("/sign-in")
async def sign_in(
    request: Request,
    login: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Check the password; a refusal shows the form again with one sentence."""
    settings = request.app.state.settings
    spoken, back = language_of(request), inside(next)
    if not same(csrf, request.cookies.get(cookie_name(settings, DOOR_COOKIE), "") or secrets.token_hex()):
        return _form(request, spoken, back, STALE_FORM, 403)
    try:
        opened = await access.sign_in(
            request.app.state.database, login, password, address_of(request), datetime.now(UTC)
        )
    except ForbiddenError as refusal:
        return _form(request, spoken, back, str(refusal), 403)
    if before := request.cookies.get(cookie_name(settings)):
        await access.sign_out(request.app.state.database, before)
    response = RedirectResponse(back, status_code=303)
    set_cookie(response, settings, COOKIE, opened.token, int(access.SESSION_LIFE.total_seconds()))
    response.delete_cookie(cookie_name(settings, DOOR_COOKIE), path="/", secure=settings.secure_cookies)
    return response


@router.post("/sign-out")
async def sign_out(visit: Anyone) -> Response:
    """End the session."""
    settings = visit.request.app.state.settings
    await access.sign_out(visit.database, visit.request.cookies[cookie_name(settings)])
    response = visit.go("/sign-in")
    set_cookie(response, settings, LANGUAGE_COOKIE, visit.language, YEAR_S)
    response.delete_cookie(cookie_name(settings), path="/", secure=settings.secure_cookies)
    return response


@router.post("/language")
async def speak(
    visit: Anyone,
    language: Annotated[str, Form()],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Switch the language of the visitor's screens, here and wherever he signs in."""
    async with visit.transaction() as tx:
        await access.set_language(tx, visit.who.user_id, language)
    return visit.go(inside(next))
