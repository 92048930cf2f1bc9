"""The door: sign in, prove again who one is, sign out, choose a language."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.access import door
from hub.access import service as access
from hub.access.rows import SignedIn
from hub.errors import ForbiddenError
from web import language
from web.render import render
from web.session import (
    LANGUAGE_COOKIE,
    YEAR_S,
    Anyone,
    cookie_name,
    halfway_of,
    knock_of,
    language_of,
    let_in,
    same,
    set_cookie,
    token_of,
    visitor_of,
)
from web.words import N_

router = APIRouter()
DOOR_COOKIE = "plantroom_door"  # holds the form secret while nobody is signed in
DOOR_LIFE_S = 3600
STALE_FORM = N_("This form is out of date; try again.")
# What the browser forgets at sign-out.  Not "cookies": that would take those of every host of the same domain.
CLEAR = '"cache", "storage"'


def inside(path: str) -> str:
    """Give ``path``, fit for a header, if it leads to a page of ours, else the front page.

    Browsers drop tabs and line ends from addresses and take a backslash for a slash: with those it is nobody's page.
    """
    ours = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return quote(path, safe="/?=&%#:@!$'()*+,;~") if ours else "/"


def further(opened: SignedIn, back: str) -> str:
    """Give the page that follows: where one wanted to go, or where the second factor is asked for or set up."""
    if opened.through:
        return back
    page = "/second-factor" if opened.enrolled else "/second-factor/set-up"
    return page if back == "/" else f"{page}?next={quote(back)}"


@router.get("/sign-in")
async def show(request: Request, next: str = "/", language: str = "") -> Response:  # noqa: A002 - the field's name
    """Show the form; ``language`` switches and is remembered in a cookie."""
    if await visitor_of(request):
        return RedirectResponse(inside(next), status_code=303)
    if who := await halfway_of(request):
        waiting = SignedIn("", "", who.expires_at, through=False, enrolled=who.enrolled)
        return RedirectResponse(further(waiting, inside(next)), status_code=303)
    return form(request, "sign_in.html", spoken=spoken(request, language), next=inside(next))


def spoken(request: Request, wanted: str = "") -> str:
    """Give the language of the door's pages."""
    return wanted if wanted in language.LANGUAGES else language_of(request)


def form(request: Request, template: str, problem: str = "", status: int = 200, **said: Any) -> HTMLResponse:
    """Answer with a page of the door for somebody who is not signed in; its form secret lies in a cookie as well."""
    settings = request.app.state.settings
    speaks = said.pop("spoken", "") or spoken(request)
    secret = request.cookies.get(cookie_name(settings, DOOR_COOKIE)) or secrets.token_urlsafe(24)
    known = {"problem": problem, "visit": None, "site": None, "csrf": secret, "providers": settings.providers}
    response = HTMLResponse(render(speaks, template, **known, **said), status)
    set_cookie(response, settings, DOOR_COOKIE, secret, DOOR_LIFE_S)
    set_cookie(response, settings, LANGUAGE_COOKIE, speaks, YEAR_S)
    return response


def is_ours(request: Request, csrf: str) -> bool:
    """Whether a form of the door comes from a page of the door in this browser."""
    kept = request.cookies.get(cookie_name(request.app.state.settings, DOOR_COOKIE), "")
    return bool(kept) and same(csrf, kept)


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
    back = inside(next)
    if not is_ours(request, csrf):
        return form(request, "sign_in.html", STALE_FORM, 403, next=back)
    knock = knock_of(request, datetime.now(UTC))
    try:
        opened = await door.sign_in(
            request.app.state.database, login, password, knock.address, knock.now,
            browser=knock.browser, keeper=settings.keeper, request_id=knock.request_id,
        )  # fmt: skip
    except ForbiddenError as refusal:
        return form(request, "sign_in.html", str(refusal), 403, next=back)
    if before := token_of(request):
        await access.sign_out(request.app.state.database, before)
    response = RedirectResponse(further(opened, back), status_code=303)
    let_in(response, settings, opened)
    response.delete_cookie(cookie_name(settings, DOOR_COOKIE), path="/", secure=settings.secure_cookies)
    return response


@router.get("/sign-in/again")
async def show_again(visit: Anyone, next: str = "/") -> HTMLResponse:  # noqa: A002 - the field's name
    """Ask somebody who is signed in for his password, and the code of his second factor."""
    return _again(visit, inside(next), "", 200)


@router.post("/sign-in/again")
async def again(
    visit: Anyone,
    password: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Check both, and give the session a new token."""
    try:
        opened = await door.again(
            visit.database, visit.who, token_of(visit.request), password, code, visit.knock, visit.settings.keeper
        )
    except ForbiddenError as refusal:
        return _again(visit, inside(next), str(refusal), 403)
    response = visit.go(inside(next))
    let_in(response, visit.settings, opened)
    return response


def _again(visit: Anyone, back: str, problem: str, status: int) -> HTMLResponse:
    return HTMLResponse(visit.text("account/again.html", None, next=back, problem=problem), status)


@router.post("/sign-out")
async def sign_out(visit: Anyone) -> Response:
    """End the session; the browser forgets what it kept."""
    return await goodbye(visit)


async def goodbye(visit: Anyone) -> Response:
    """End a session, also one that is halfway, and lead back to the door."""
    await access.sign_out(visit.database, token_of(visit.request))
    response = visit.go("/sign-in")
    if visit.settings.secure_cookies:
        response.headers["Clear-Site-Data"] = CLEAR
    set_cookie(response, visit.settings, LANGUAGE_COOKIE, visit.language, YEAR_S)
    response.delete_cookie(cookie_name(visit.settings), path="/", secure=visit.settings.secure_cookies)
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
