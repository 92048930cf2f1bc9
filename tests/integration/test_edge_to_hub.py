"""The real edge's publisher and spool against the real hub: the wire as both sides understand it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from deploy.broker import Broker as EmbeddedBroker
from edge_agent.clock import Clock
from edge_agent.config import load
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.link import Broker
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from hub.main import HubSettings, run
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.builders import RIVERSIDE, Park

DEVICES = ("EM-A-MAIN", "EM-A-101", "WM-A-MAIN")
MEASURE = {"EM-A-MAIN": "energy", "EM-A-101": "energy", "WM-A-MAIN": "volume"}


@contextlib.asynccontextmanager
async def hub_of(park: Park, broker: EmbeddedBroker) -> AsyncIterator[None]:
    settings = HubSettings(park.dsns.hub, broker.host, broker.port, broker.username, broker.password)
    task = asyncio.create_task(run(settings))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def frames(first: int, past: int, *, historical: bool) -> list[Frame]:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30 if historical else 0)
    return [
        Frame(
            device,
            (Reading(f"{device}.{MEASURE[device]}", began + timedelta(seconds=number), number / 8, Quality.GOOD),),
            historical,
        )
        for number in range(first, past)
        for device in DEVICES
    ]


async def emptied(spool: Spool, within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while spool.depth():  # noqa: ASYNC110  the spool has no event for this
            await asyncio.sleep(0.05)


async def test_the_hub_empties_the_spool_of_the_real_edge_and_stores_every_reading_once(
    park: Park, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool.sqlite", max_mb=16)
    config = load(RIVERSIDE, "GW-1")
    edge_broker = Broker(broker.host, broker.port, broker.username, broker.password)
    publisher = Publisher(
        config, edge_broker, spool=spool, roster=Roster(config, set()), clock=Clock(None), health=Health()
    )
    spool.append(frames(0, 100, historical=True))
    edge = asyncio.create_task(publisher.run())
    try:
        async with hub_of(park, broker):
            await emptied(spool)
        spool.append(frames(100, 150, historical=False))  # while the hub is away
        publisher.nudge()
        await asyncio.sleep(0.5)
        async with hub_of(park, broker):
            await emptied(spool)
    finally:
        edge.cancel()
        await asyncio.gather(edge, return_exceptions=True)
        spool.close()
    with psycopg.connect(park.dsns.owner) as connection:
        counted = connection.execute("SELECT count(*), sum(value) FROM samples").fetchone()
        [row] = connection.execute("SELECT committed, spool FROM gateways").fetchall()
        online = connection.execute("SELECT count(*) FROM devices WHERE NOT online").fetchone()
        kept = connection.execute("SELECT reason FROM quarantine").fetchall()
    assert counted == (450, sum(n / 8 for n in range(150)) * 3)
    assert row == (450, spool.identity)
    assert online == (0,)
    assert kept == []
