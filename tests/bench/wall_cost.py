"""What the walls (row-level security, the role and places of each transaction) cost the busiest reads."""

from pathlib import Path

from hub.alarms import service as alarms
from hub.assets import service as assets
from hub.readings import service as readings
from hub.store.database import Transaction
from hub.work import service as work
from tests.bench.bare import Bed, beds, over
from tests.bench.row import Row
from tests.builders import ENGINEER

ROUNDS = 120


async def _alarms(tx: Transaction) -> object:
    return await alarms.active(tx)


async def _board(tx: Transaction) -> object:
    return await readings.latest(tx)


async def _orders(tx: Transaction) -> object:
    return await work.orders(tx)


async def _devices(tx: Transaction) -> object:
    return await assets.devices(tx)


async def _history(tx: Transaction) -> object:
    return await work.orders(tx, open_only=False)


READS = {
    "alarm list": _alarms,
    "board of latest readings": _board,
    "open work orders": _orders,
    "all work orders": _history,
    "devices": _devices,
}


async def measure(folder: Path) -> list[Row]:
    """Measure every read of READS."""
    async with beds(folder) as (walled, bare):
        rows = []
        for name, read in READS.items():

            async def once(bed: Bed, _: int, read: object = read) -> None:
                async with bed.database.transaction(bed.park.organisation, ENGINEER) as tx:
                    await read(tx)  # type: ignore[operator]

            rows.append(await over(f"walls, {name}", (walled, once), (bare, once), ROUNDS))
        return rows
