"""The JSON answers: health, readings, alarms, what there is to ask.  Who may ask is decided by whoever mounts them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.api.answers import Alarm, Bucket, Chart, Failure, Health
from hub.errors import InvalidError
from hub.readings import service as readings
from hub.store.database import Database, Transaction
from rules.model.period import Period

BUCKETS = 600
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
    points = Depends(needs(Right.SEE_POINTS))
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

    @router.get("/readings", dependencies=by_token)
    async def chart(
        point: str,
        start: Annotated[datetime, Query(alias="from")],
        end: Annotated[datetime, Query(alias="to")],
        caller: Caller = points,
    ) -> Chart:
        """Give min, max and last of a point's good readings per step between two aware times."""
        period = _period(start, end)
        async with caller.reading() as tx:
            found = await readings.point(tx, point)
            buckets = await readings.chart(tx, found, period, BUCKETS)
        return Chart(point=found.code, unit=found.unit, buckets=[Bucket.model_validate(bucket) for bucket in buckets])

    @router.get("/alarms", dependencies=by_token)
    async def active(caller: Caller = console) -> list[Alarm]:
        """Give the active alarms, most urgent first."""
        async with caller.transaction() as tx:
            return [Alarm.model_validate(alarm) for alarm in await alarms.active(tx)]

    return router


def _period(start: datetime, end: datetime) -> Period:
    if start.tzinfo is None or end.tzinfo is None:
        raise InvalidError("Give 'from' and 'to' with an offset, e.g. 2026-01-31T16:00:00Z.")
    try:
        return Period(start, end)
    except ValueError:
        raise InvalidError("'from' lies after 'to'; exchange them.") from None
