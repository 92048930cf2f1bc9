"""Several hubs on one database and one broker: each takes in its share, and who remains takes over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import psycopg

from deploy.broker import Broker
from hub.main import HubSettings, run
from rules.wire import topics
from tests.builders import Park
from tests.builders_wire import PretendEdge
from tests.integration.test_hub_process import MAIN, Wire, energies, wire

__all__ = ["wire"]
WITHIN_S = 30.0
SHARDS = """
SELECT count(DISTINCT pid), count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
AND classid = (hashtext('plantroom.shards')::bigint & 4294967295)::oid
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def shards(park: Park) -> tuple[int, int]:
    """By how many sessions how many shards are held."""
    with psycopg.connect(park.dsns.owner) as connection:
        ((holders, held),) = connection.execute(SHARDS).fetchall()
        return holders, held


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  it lives in the database
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def hub(park: Park, broker: Broker) -> AsyncIterator[None]:
    settings = HubSettings(park.dsns.hub, broker.host, broker.port, broker.username, broker.password)
    task = asyncio.create_task(run(settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send_until_committed(edge: PretendEdge, wire: Wire, number: int, at: datetime) -> None:
    """Be an edge that has its births asked for and sends again."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            wire.send(*edge.births(number - 1), edge.data(MAIN, [("energy", at, float(number))], number=number))
            with contextlib.suppress(AssertionError):
                await wire.hear(lambda _, said: said.get(topics.COMMITTED, 0) >= number, within_s=2)
                return


async def test_two_hubs_share_the_shards_and_the_one_that_remains_takes_over(
    park: Park, broker: Broker, wire: Wire
) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    edge = PretendEdge()
    async with hub(park, broker):
        await until(lambda: shards(park) == (1, 2))  # the site and the rest
        await send_until_committed(edge, wire, 1, began)
        async with hub(park, broker):
            await until(lambda: shards(park) == (2, 2))
            await send_until_committed(edge, wire, 2, began + timedelta(seconds=1))
        await until(lambda: shards(park) == (1, 2))
        await send_until_committed(edge, wire, 3, began + timedelta(seconds=2))
        wire.client.unsubscribe("spBv1.0/STATE/#")
        wire.client.subscribe("spBv1.0/STATE/#")  # what is retained: whoever went, the hub is there
        await wire.hear(lambda topic, said: "STATE" in topic and bool(said["online"]))
    await until(lambda: shards(park) == (0, 0))
    assert energies(park) == [1.0, 2.0, 3.0]
