"""The JSON answers: health, alarms, what there is to ask.  Who may ask is decided by whoever mounts them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.api.answers import Alarm, Failure, Health
from hub.store.database import Database, Transaction

REFUSALS = (401, 403, 404, 422, 429, 503)


class Caller(Protocol):
    """Somebody who may ask: opens transactions in his own name."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction that only reads and may show what was some seconds ago."""


def create(database: Database, needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    router = APIRouter(prefix="/api", responses={status: {"model": Failure} for status in REFUSALS})
    console = Depends(needs(Right.SEE_CONSOLE))
    by_token = [Depends(HTTPBearer(auto_error=False, description="An API token."))]  # says so in the description only

    @router.get("/health")
    async def health() -> Health:
        """Say whether the database answers; raises UnavailableError."""
        async with database.transaction(None) as tx:
            await tx.value(b"SELECT 1")
        return Health()

    @router.get("/openapi.json", include_in_schema=False, dependencies=[Depends(needs())])
    async def description(request: Request) -> JSONResponse:
        """Describe every route: what to send, what comes back."""
        return JSONResponse(request.app.openapi())

    @router.get("/alarms", dependencies=by_token)
    async def active(caller: Caller = console) -> list[Alarm]:
        """Give the active alarms, most urgent first."""
        async with caller.transaction() as tx:
            return [Alarm.model_validate(alarm) for alarm in await alarms.active(tx)]

    return router
