"""My account: password, second factor, mail address, sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from hub.access import door, factor, identity, password, session
from hub.access import service as access
from hub.access.rows import Opened, SignedIn
from hub.errors import ConflictError, ForbiddenError, InvalidError
from hub.store.database import Role
from web.export import table
from web.second_factor import codes_page, keep_seed, set_up_page
from web.session import Anyone, AnyoneAgain, Visit, let_in, token_of
from web.words import N_

router = APIRouter()
HOME = "/account"
UNEQUAL = N_("The two passwords are not the same; type them again.")
NEEDED = N_("Your roles ask for a second factor; you can replace it, but not go without.")


@router.get(HOME)
async def show(visit: Anyone) -> HTMLResponse:
    """Show what opens my account, and where it is open."""
    async with visit.at_home() as tx:
        mine = await access.credentials(tx, visit.who.user_id)
        opened = await session.sessions(tx, visit.who.user_id, visit.now)
        linked = await identity.identities(tx, visit.who.user_id)
    said = {"mine": mine, "sessions": opened, "needed": _needs_factor(visit), "fresh": session.FRESH, "linked": linked}
    async with visit.transaction() as tx:
        return await visit.page(tx, "account/account.html", **said)


def _needs_factor(visit: Visit) -> bool:
    return session.asks_second_factor(visit.who, visit.now, visit.settings.keeper.policy)


@router.get("/account/sessions.csv")
async def export(visit: Anyone) -> Response:
    """Give my sessions as CSV."""
    async with visit.at_home() as tx:
        return table(
            "sessions", [_cells(row, visit) for row in await session.sessions(tx, visit.who.user_id, visit.now)]
        )


def _cells(row: Opened, visit: Visit) -> dict[str, object]:
    return {
        "this_one": row.id == visit.who.session_id, "address": row.address, "browser": row.user_agent,
        "factors": " ".join(row.factors), "began_at": row.created_at, "seen_at": row.seen_at,
        "ends_at": row.expires_at,
    }  # fmt: skip


@router.post("/account/sessions/end-others")
async def end_others(visit: AnyoneAgain) -> Response:
    """End all my sessions but this one."""
    async with visit.at_home() as tx:
        await session.end_all(tx, visit.who.user_id, but=visit.who.session_id)
    return visit.go(HOME)


@router.post("/account/sessions/{session_id}/end")
async def end_one(visit: AnyoneAgain, session_id: UUID) -> Response:
    """End one of my sessions."""
    async with visit.at_home() as tx:
        await session.end(tx, session_id, visit.who.user_id)
    return visit.go(HOME)


@router.get("/account/password")
async def show_password(visit: Anyone) -> Response:
    """Ask for the present password, the code of the second factor, and a new password."""
    return await _password_page(visit, "", 200)


@router.post("/account/password")
async def change_password(
    visit: Anyone,
    current: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    chosen: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
    others: Annotated[str, Form()] = "",
) -> Response:
    """Keep the new password; ``others`` ends all other sessions."""
    if chosen != repeated:
        return await _password_page(visit, UNEQUAL, 422)
    try:
        opened = await door.again(
            visit.database, visit.who, token_of(visit.request), current, code, visit.knock, visit.settings.keeper
        )
    except ForbiddenError as refusal:
        return await _password_page(visit, str(refusal), 403)
    return await _keep(visit, opened, chosen, others)


async def _keep(visit: Visit, opened: SignedIn, chosen: str, others: str) -> Response:
    user_id = visit.who.user_id
    try:
        async with visit.at_home(Role.APP) as tx:
            known = await password.words(tx, user_id)
            async with tx.under(Role.DOOR):
                before = await password.before(tx, user_id)
        kept = await password.hashed(chosen, known, before)
        async with visit.at_home() as tx:
            await password.change(tx, user_id, kept, visit.now, how="own")
            if others:
                await session.end_all(tx, user_id, but=visit.who.session_id)
        response = visit.go(HOME)
    except InvalidError as refusal:
        response = await _password_page(visit, str(refusal), 422)
    let_in(response, visit.settings, opened)
    return response


async def _password_page(visit: Visit, problem: str, status: int) -> Response:
    said = {"problem": problem, "least": password.CHARACTERS_MIN, "most": password.CHARACTERS_MAX}
    async with visit.transaction() as tx:
        answer = await visit.page(tx, "account/password.html", **said)
    answer.status_code = status
    return answer


@router.get("/account/factor")
async def show_factor(visit: AnyoneAgain) -> HTMLResponse:
    """Show a new seed, for the first telephone or another one."""
    return set_up_page(visit, factor.new_seed(), "", 200, next=HOME)


@router.post("/account/factor")
async def set_factor(
    visit: AnyoneAgain, offer: Annotated[str, Form()] = "", code: Annotated[str, Form()] = ""
) -> Response:
    """Keep the seed that a code proves; all other sessions end."""
    return await keep_seed(visit, offer, code, HOME)


@router.post("/account/factor/give-up")
async def give_up(visit: AnyoneAgain) -> Response:
    """Go without a second factor, where the policy lets one."""
    if _needs_factor(visit):
        raise ConflictError(NEEDED)
    async with visit.at_home() as tx:
        await factor.give_up(tx, visit.who.user_id)
    return visit.go(HOME)


@router.post("/account/codes")
async def renew_codes(visit: AnyoneAgain) -> Response:
    """Give new recovery codes, once."""
    if not visit.who.enrolled:
        raise ConflictError("Set up a second factor first; recovery codes stand in for it.")
    async with visit.at_home() as tx:
        return codes_page(visit, await factor.renew_codes(tx, visit.who.user_id), HOME)


@router.post("/account/email")
async def set_email(visit: AnyoneAgain, email: Annotated[str, Form()] = "") -> Response:
    """Change where I am reached by mail."""
    async with visit.at_home() as tx:
        await access.set_email(tx, visit.who.user_id, email)
    return RedirectResponse(HOME, status_code=303)
