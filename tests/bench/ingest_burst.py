"""Ten times the load for a minute: the edges' spools take it, the hub's memory stays as it is, nothing is lost."""

import asyncio
import time
from pathlib import Path

import psycopg

from deploy import memory
from tests.bench.edges import Load
from tests.bench.ingest import DEVICES, GATEWAYS, POINTS, SITES, Ground, ground
from tests.bench.row import Row

CALM_PER_S, TIMES, CALM_S, BURST_S = 6.0, 10, 20, 60  # messages of each gateway
FLAT = 0.2
LOOK_S = 1.0


async def measure(folder: Path) -> list[Row]:
    async with ground(folder) as made, made.hub() as hub:
        calm_rounds = int(CALM_PER_S * CALM_S / DEVICES) + 1
        burst_rounds = int(CALM_PER_S * TIMES * BURST_S / DEVICES) + 1
        calm = made.load(calm_rounds, per_second=CALM_PER_S, step_ms=100)
        await _sent(made, hub.pid, calm)
        before = memory.resident_bytes({hub.pid})
        burst = made.load(
            burst_rounds, per_second=CALM_PER_S * TIMES, step_ms=100, first_number=calm.frames_per_gateway + 1
        )
        most, took_s = await _sent(made, hub.pid, burst)
        with psycopg.connect(made.there.owner) as connection:
            ((stored,),) = connection.execute("SELECT count(*) FROM samples").fetchall()
    lost = calm.readings + burst.readings - stored
    grown = most / before
    name = f"ingest: {TIMES} times {CALM_PER_S * GATEWAYS * SITES * POINTS:,.0f} readings/s for {BURST_S} s"
    return [
        Row(f"{name}, readings lost (all acknowledged after {took_s:.0f} s)", lost, 1, "readings", "0", lost == 0),
        Row(
            f"{name}, the hub's memory at most, of {before / 1e6:.0f} MB before", round(grown, 2), 1 + FLAT, "of it",
            f"<= {1 + FLAT}", grown <= 1 + FLAT,
        ),
    ]  # fmt: skip


async def _sent(made: Ground, pid: int, load: Load) -> tuple[int, float]:
    """Send a load; give the most memory that the hub had meanwhile, and how long it took in s."""
    async with made.edges(load) as edges:
        await made.points_known(SITES * GATEWAYS * DEVICES * POINTS)
        begun_s, most = time.monotonic(), 0
        done = asyncio.create_task(edges.all_of_it())
        while not done.done():
            most = max(most, memory.resident_bytes({pid}))
            await asyncio.wait([done], timeout=LOOK_S)
        await done
        return most, time.monotonic() - begun_s
