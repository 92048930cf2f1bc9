"""What the record of acts, and the walls with it, cost the busiest writes; each is committed, as it is in earnest."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from hub.alarms import service as alarms
from hub.alarms.definitions import load
from hub.audit import service as audit
from hub.ingest.acts import Ask
from hub.ingest.commit import Committer
from hub.ingest.counts import Counts
from hub.ingest.session import Sessions
from hub.main import judge_by
from hub.work import service as work
from tests.bench.bare import Bed, Work, beds, over
from tests.bench.row import Row
from tests.builders import ENGINEER, MEASURES
from tests.builders_wire import PretendEdge

ROUNDS = 400  # each of its own alarm and order
FRAMES = 4  # of each device in a batch
BATCH_S = 10


async def measure(folder: Path) -> list[Row]:
    """Measure acknowledging, a step of an order and a batch of readings."""
    async with beds(folder) as (walled, bare):
        both, record = "walls and record", "record"
        return [
            await over(
                f"{both}, acknowledge an alarm", (walled, _acknowledge(0)), (bare, _off(_acknowledge(0))), ROUNDS
            ),
            await over(f"{both}, a step of an order", (walled, _step(0)), (bare, _off(_step(0))), ROUNDS),
            await over(
                f"{both}, a batch of readings", (walled, _batches(walled)), (bare, _off(_batches(bare))), ROUNDS
            ),
            await over(
                f"{record}, acknowledge an alarm", (walled, _acknowledge(1)), (walled, _off(_acknowledge(2))), ROUNDS
            ),
            await over(f"{record}, a step of an order", (walled, _step(1)), (walled, _off(_step(2))), ROUNDS),
        ]


def _acknowledge(part: int) -> Work:
    async def once(bed: Bed, n: int) -> None:
        async with bed.database.transaction(bed.park.organisation, ENGINEER) as tx:
            await alarms.acknowledge(tx, bed.alarms[part * ROUNDS + n], datetime.now(UTC), "seen")

    return once


def _step(part: int) -> Work:
    async def once(bed: Bed, n: int) -> None:
        order = bed.orders[part * ROUNDS + n]
        async with bed.database.transaction(bed.park.organisation, ENGINEER) as tx:
            await work.act(tx, order, "assign", uuid4(), datetime.now(UTC), assignee_id=bed.technician)

    return once


def _batches(bed: Bed) -> Work:
    """Give what commits one batch after the other, as a gateway with all the park's meters sends them."""
    lines = {line.code: line.gateway for line in bed.park.file.line}
    gateway = bed.park.file.gateway[0].code
    devices = {device.code: device.profile for device in bed.park.file.device if lines[device.line] == gateway}
    edge = PretendEdge(site=bed.park.file.site.code, gateway=gateway, devices=devices)
    sessions, begun = Sessions(), datetime.now(UTC)
    committer = Committer(bed.database, judge_by(load(())), Counts(), begun)

    async def once(_: Bed, n: int) -> None:
        now = begun + timedelta(seconds=n * BATCH_S)
        messages = edge.births() if n == 0 else []
        for frame in range(FRAMES):
            at = now + timedelta(seconds=frame)
            messages += [
                edge.data(code, [(measure, at, float(n)) for measure in MEASURES[profile]])
                for code, profile in devices.items()
            ]
        acts = [act for message in messages for act in sessions.take(message, now)]
        await committer.commit([act for act in acts if not isinstance(act, Ask)], now)

    return once


def _off(work_: Work) -> Work:
    """Give the same without the record."""

    async def once(bed: Bed, n: int) -> None:
        async with _unrecorded():
            await work_(bed, n)

    return once


@asynccontextmanager
async def _unrecorded() -> AsyncIterator[None]:
    held: Callable[..., Awaitable[None]] = audit.record

    async def nothing(*_: Any, **__: Any) -> None:
        pass

    audit.record = nothing
    try:
        yield
    finally:
        audit.record = held  # type: ignore[assignment]
