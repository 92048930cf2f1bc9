"""Commands over HTTP: give one, see what became of it.  The sender makes the id: sending it again adds nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from hub.access.rights import Right
from hub.api.answers import Answer, Failure
from hub.api.routes import REFUSALS, Caller
from hub.commands import service as commands
from hub.commands.rows import Wish
from hub.errors import InvalidError

NO_ID = "Give the command an id of your own: 'id' in the body, or the header Idempotency-Key (a UUID)."
TWO_IDS = "The id in the body is not the one of the header Idempotency-Key; send one of them, or the same twice."


class Wanted(BaseModel):
    """What is to be set: ``value`` in the point's unit, null to give the point back to its own control."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID | None = None
    point: Annotated[str, Field(min_length=1, max_length=200)]
    value: Annotated[float, Field(allow_inf_nan=False)] | None
    reason: Annotated[str, Field(max_length=commands.REASON_CHARACTERS_MAX)] = ""


class Command(Answer):
    """A command as it stands."""

    id: UUID
    point: str
    unit: str
    value: float | None
    reason: str
    critical: bool
    given_by: str
    asked_at: datetime
    approval: int | None
    seconded_by: str | None
    issued_at: datetime | None
    expires_at: datetime | None
    state: Literal["asked", "given", "sent", "done", "refused", "failed", "uncertain", "expired"]
    answered_at: datetime | None
    shown: float | None
    answer: str


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    router = APIRouter(prefix="/api/commands", responses={status: {"model": Failure} for status in (*REFUSALS, 409)})
    engineer, console = Depends(needs(Right.COMMAND_POINTS)), Depends(needs(Right.SEE_CONSOLE))
    by_token = [Depends(HTTPBearer(auto_error=False, description="An API token."))]

    @router.post("", dependencies=by_token)
    async def give(
        wanted: Wanted, idempotency_key: Annotated[UUID | None, Header()] = None, caller: Caller = engineer
    ) -> Command:
        """Give a command; a critical one waits for a second person, and is given by ``/give`` after that."""
        number = wanted.id or idempotency_key
        if number is None:
            raise InvalidError(NO_ID)
        if None not in (wanted.id, idempotency_key) and wanted.id != idempotency_key:
            raise InvalidError(TWO_IDS)
        async with caller.transaction() as tx:
            wish = Wish(number, wanted.point, wanted.value, wanted.reason)
            return Command.model_validate(await commands.give(tx, wish, datetime.now(UTC)))

    @router.get("/{command_id}", dependencies=by_token)
    async def one(command_id: UUID, caller: Caller = console) -> Command:
        """Give a command and what became of it."""
        async with caller.transaction() as tx:
            return Command.model_validate(await commands.command(tx, command_id))

    @router.post("/{command_id}/give", dependencies=by_token)
    async def give_approved(command_id: UUID, caller: Caller = engineer) -> Command:
        """Give a critical command to which a second person has agreed."""
        async with caller.transaction() as tx:
            return Command.model_validate(await commands.give_approved(tx, command_id, datetime.now(UTC)))

    return router
