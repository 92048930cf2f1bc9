"""Setting a point from its page: the form, what became of the last commands, and giving what was agreed to."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Form, Response

from hub.access.rights import Right
from hub.commands import service as commands
from hub.commands.rows import Command, Wish
from hub.errors import InvalidError, NotFoundError
from hub.store.database import Transaction
from web.forms import ALONE, Sent
from web.lists import LiveList
from web.session import Needs, Visit, zone_of

router = APIRouter()
NO_NUMBER = "Give the value as a number, for example 21.5."
NO_SUCH = "There is no such command."
CommandVisit = Annotated[Visit, Depends(Needs(Right.COMMAND_POINTS))]


class CommandForm(Sent):
    """What is to be set; ``id`` came with the page, so that a form that is sent twice is one command."""

    id: UUID
    value: Annotated[str, Form(max_length=40)] = ""
    reason: Annotated[str, Form(max_length=commands.REASON_CHARACTERS_MAX)] = ""
    back: bool = False  # give it back to its own control


async def of_point(tx: Transaction, filters: Mapping[str, str]) -> list[Command]:
    """Give the last commands for the point that the filter names."""
    return await commands.of_point(tx, filters.get("code", ""))


LIST = LiveList(
    "commands", frozenset({"command"}), Right.SEE_CONSOLE, "rows/command.html", of_point,
    key=lambda row: str(row.id), sort=lambda row: str(10**12 - int(row.asked_at.timestamp())),
)  # fmt: skip


async def setting(tx: Transaction, visit: Visit, code: str) -> dict[str, Any]:
    """Give what the point's page needs: what may be set (None: nothing), and what waits for this person to be given."""
    allowed = await commands.allowed(tx, code)
    found = await commands.of_point(tx, code) if visit.who.may(Right.SEE_CONSOLE) else []
    ready = [
        one
        for one in found
        if one.state == "asked" and one.approval_state == "approved" and one.given_by == visit.who.login
    ]
    rows = LIST.rows(found, visit.language, visit.who.rights, await zone_of(tx))
    return {"allowed": allowed, "command_rows": rows, "ready": ready, "command_id": uuid4()}


@router.post("/points/{code}/commands")
async def give(visit: CommandVisit, code: str, sent: Annotated[CommandForm, Form()]) -> Response:
    """Set the point, or ask a second person where it is critical."""
    async with visit.transaction() as tx:
        value = None if sent.back else _number(sent.value)
        await commands.give(tx, Wish(sent.id, code, value, sent.reason), visit.now)
    return visit.go(f"/points/{code}")


@router.post("/points/{code}/commands/{command_id}/give", dependencies=ALONE)
async def give_approved(visit: CommandVisit, code: str, command_id: UUID) -> Response:
    """Set the point as a second person has agreed."""
    async with visit.transaction() as tx:
        if (await commands.command(tx, command_id)).point != code:
            raise NotFoundError(NO_SUCH)
        await commands.give_approved(tx, command_id, visit.now)
    return visit.go(f"/points/{code}")


def _number(text: str) -> float:
    try:
        return float(text.strip())
    except ValueError:
        raise InvalidError(NO_NUMBER) from None
