"""Choosing a password by a link: the first one, or another one for one that is forgotten."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from hub.access import invitation
from hub.access import password as passwords
from hub.access.rows import Invitation
from hub.errors import ForbiddenError, InvalidError
from hub.notify import service as notify
from hub.notify.rows import Recipient
from hub.store.database import Transaction
from web import letters
from web.session import knock_of
from web.sign_in import STALE_FORM, form, is_ours, spoken
from web.words import N_

router = APIRouter()
LIMITS: dict[str, Any] = {"least": str(passwords.CHARACTERS_MIN), "most": str(passwords.CHARACTERS_MAX)}
UNEQUAL = N_("The two passwords are not the same; type them again.")


@router.get("/welcome")
async def show(request: Request, language: str = "") -> Response:
    """Show the form; what stands behind the # of the link, a module of the page moves into it."""
    return form(request, "welcome.html", spoken=spoken(request, language), token="", **LIMITS)


@router.post("/welcome")
async def choose(
    request: Request,
    token: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Keep the password and lead to the door, where it is asked for, and the second factor after it."""
    if not is_ours(request, csrf):
        return form(request, "welcome.html", STALE_FORM, 403, token=token, **LIMITS)
    if password != repeated:
        return form(request, "welcome.html", UNEQUAL, 422, token=token, **LIMITS)
    knock = knock_of(request, datetime.now(UTC))
    try:
        await invitation.accept(request.app.state.database, token, password, knock.actor(""), knock.now)
    except InvalidError as refusal:
        return form(request, "welcome.html", str(refusal), 422, token=token, **LIMITS)
    except ForbiddenError as refusal:
        return form(request, "welcome.html", str(refusal), 403, token="", **LIMITS)
    return RedirectResponse("/sign-in", status_code=303)


@router.get("/reset")
async def forgot(request: Request, language: str = "") -> Response:
    """Ask whose password is forgotten."""
    return form(request, "reset.html", spoken=spoken(request, language), asked="")


@router.post("/reset")
async def ask(
    request: Request,
    who: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Have a link sent to whoever it is; says the same, as late, where it is nobody."""
    if not is_ours(request, csrf):
        return form(request, "reset.html", STALE_FORM, 403, asked="")
    now = datetime.now(UTC)

    async def post(tx: Transaction, made: Invitation) -> None:
        await send(tx, made, now)

    await invitation.ask_reset(request.app.state.database, who, knock_of(request, now).actor(""), now, post)
    return form(request, "reset.html", asked="yes")


async def send(tx: Transaction, made: Invitation, now: datetime) -> None:
    """Put the mail with a link into the outbox; nobody gets one who has no mail address."""
    if made.email:
        await notify.mail(tx, Recipient(made.email, made.language), letters.of(made), now)
