"""Between password and page: the code of the second factor, or setting one up."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.access import door, factor, session
from hub.audit import service as audit
from hub.errors import ForbiddenError, InvalidError
from web.qr import drawing
from web.session import HalfwayVisit, Visit, let_in, token_of
from web.sign_in import goodbye, inside

router = APIRouter()


@router.get("/second-factor")
async def ask(visit: HalfwayVisit, next: str = "/") -> Response:  # noqa: A002 - the field's name
    """Ask for a code."""
    if not visit.who.enrolled:
        return RedirectResponse("/second-factor/set-up", status_code=303)
    return _page(visit, "code.html", "", 200, next=inside(next))


@router.post("/second-factor")
async def give(
    visit: HalfwayVisit,
    code: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Check the code, and let its holder through with a new session token."""
    try:
        opened = await door.second_factor(
            visit.database, visit.who, token_of(visit.request), code, visit.knock, visit.settings.keeper
        )
    except ForbiddenError as refusal:
        return _page(visit, "code.html", str(refusal), 403, next=inside(next))
    response = RedirectResponse(inside(next), status_code=303)
    let_in(response, visit.settings, opened)
    return response


@router.get("/second-factor/set-up")
async def show_set_up(visit: HalfwayVisit, next: str = "/") -> Response:  # noqa: A002 - the field's name
    """Show a seed to whoever needs a second factor and has none."""
    if visit.who.enrolled:
        return RedirectResponse("/second-factor", status_code=303)
    return set_up_page(visit, factor.new_seed(), "", 200, next=inside(next))


@router.post("/second-factor/set-up")
async def set_up(
    visit: HalfwayVisit,
    offer: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Keep the seed that a code proves, show the recovery codes, and let its holder through."""
    return await keep_seed(visit, offer, code, inside(next))


@router.post("/second-factor/leave")
async def leave(visit: HalfwayVisit) -> Response:
    """Go back to the door."""
    return await goodbye(visit)


async def keep_seed(visit: Visit, offer: str, code: str, back: str) -> Response:
    """Make the offered seed the visitor's, whose session goes on under a new token with this factor."""
    vault, token = visit.settings.keeper.vault, token_of(visit.request)
    seed = factor.offered(vault, offer, visit.who.session_id)
    try:
        async with visit.at_home() as tx:
            who = visit.who
            codes = await factor.set_up(tx, vault, who.user_id, seed, code, visit.now, instead=who.through)
            opened = await session.renew(tx, visit.who, token, ("totp",), visit.now)
            if not visit.who.through:
                said = {"address": visit.knock.address, "factors": sorted({*visit.who.factors, "totp"})}
                await audit.record(tx, "signed in", "user", visit.who.user_id, said)
            await session.end_all(tx, visit.who.user_id, but=visit.who.session_id)
    except InvalidError as refusal:
        return set_up_page(visit, seed, str(refusal), 422, next=back)
    inside_now = replace(visit.who, through=True, enrolled=True, csrf=opened.csrf)
    response = codes_page(replace(visit, who=inside_now), codes, back)
    let_in(response, visit.settings, opened)
    return response


def set_up_page(visit: Visit, seed: bytes, problem: str, status: int, **said: Any) -> HTMLResponse:
    """Show a seed as QR code and as text, and ask for a code of it."""
    shown = {
        "qr": drawing(factor.address(seed, visit.who.login)), "key": factor.key(seed),
        "offer": factor.offer(visit.settings.keeper.vault, seed, visit.who.session_id),
    }  # fmt: skip
    return _page(visit, "set_up.html", problem, status, **shown, **said)


def codes_page(visit: Visit, codes: list[str], back: str) -> HTMLResponse:
    """Show recovery codes, for the one time."""
    return _page(visit, "codes.html", "", 200, codes=codes, next=back)


def _page(visit: Visit, template: str, problem: str, status: int, **said: Any) -> HTMLResponse:
    return HTMLResponse(visit.text(f"factor/{template}", None, problem=problem, **said), status)
