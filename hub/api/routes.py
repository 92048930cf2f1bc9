"""The JSON answers: health, readings, alarms.  Who may ask is decided by whoever mounts them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query

from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.errors import InvalidError
from hub.readings import service as readings
from hub.store.database import Database, Transaction
from rules.model.period import Period

BUCKETS = 600
HOUR = timedelta(hours=1)


class Caller(Protocol):
    """Somebody who may ask: opens transactions in his own name."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""


def create(database: Database, needs: Callable[[Right], Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in."""
    router = APIRouter(prefix="/api")
    console = Depends(needs(Right.SEE_CONSOLE))
    points = Depends(needs(Right.SEE_POINTS))

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Say whether the database answers; raises UnavailableError."""
        async with database.transaction(None) as tx:
            await tx.value(b"SELECT 1")
        return {"status": "ok"}

    @router.get("/readings")
    async def chart(
        point: str,
        start: Annotated[datetime, Query(alias="from")],
        end: Annotated[datetime, Query(alias="to")],
        caller: Caller = points,
    ) -> dict[str, Any]:
        """Give min, max and last of a point's good readings per step between two aware times."""
        period = _period(start, end)
        async with caller.transaction() as tx:
            found = await readings.point(tx, point)
            buckets = await readings.chart(tx, found, period, BUCKETS)
        return {"point": found.code, "unit": found.unit, "buckets": [asdict(bucket) for bucket in buckets]}

    @router.get("/alarms")
    async def active(caller: Caller = console) -> list[dict[str, Any]]:
        """Give the active alarms, most urgent first."""
        async with caller.transaction() as tx:
            return [asdict(alarm) for alarm in await alarms.active(tx)]

    return router


def _period(start: datetime, end: datetime) -> Period:
    if start.tzinfo is None or end.tzinfo is None:
        raise InvalidError("Give 'from' and 'to' with an offset, e.g. 2026-01-31T16:00:00Z.")
    try:
        return Period(start, end)
    except ValueError:
        raise InvalidError("'from' lies after 'to'; exchange them.") from None
