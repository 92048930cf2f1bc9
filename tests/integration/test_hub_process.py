"""The whole hub between a real broker and a real database, with a small edge that sends again until acknowledged."""

import asyncio
import contextlib
import json
import queue
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.broker import Broker
from hub.main import HubSettings, run
from rules.wire import topics
from rules.wire.sparkplug import Metric, decode
from tests.builders import Park
from tests.builders_wire import PretendEdge

MAIN = "EM-A-MAIN"
NCMD = "spBv1.0/RIVERSIDE/NCMD/GW-1"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Wire:
    """A connected client of the broker that hears the hub's commands and its STATE."""

    client: Client
    heard: "queue.SimpleQueue[tuple[str, bytes]]" = field(default_factory=queue.SimpleQueue)

    def send(self, *messages: Any) -> None:
        for one in messages:
            self.client.publish(one.topic, one.payload, qos=1)

    async def hear(self, fits: Callable[[str, dict[str, Any]], bool], within_s: float = 10) -> dict[str, Any]:
        """The first thing heard that fits."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            try:
                topic, payload = self.heard.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.02)
                continue
            said = json.loads(payload) if "STATE" in topic else {m.name: m.value for m in decode(payload).metrics}
            if fits(topic, said):
                return said
        raise AssertionError("the hub did not say it")

    async def committed(self, number: int, spool: str = "spool-one") -> None:
        await self.hear(lambda _, said: said.get(topics.COMMITTED) == number and said[topics.COMMITTED_OF] == spool)


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    client = Client(CallbackAPIVersion.VERSION2, "test-edge", protocol=MQTTProtocolVersion.MQTTv5)
    client.username, client.password = broker.username, broker.password
    wire = Wire(client)

    def hear(_client: Client, _data: Any, message: MQTTMessage) -> None:
        wire.heard.put((message.topic, bytes(message.payload)))

    client.on_message = hear
    client.connect(broker.host, broker.port)
    client.subscribe([(NCMD, 1), ("spBv1.0/STATE/#", 1)])
    client.loop_start()
    yield wire
    client.disconnect()
    client.loop_stop()


def settings(park: Park, broker: Broker) -> HubSettings:
    return HubSettings(park.dsns.hub, broker.host, broker.port, broker.username, broker.password)


@contextlib.asynccontextmanager
async def running(park: Park, broker: Broker, wire: Wire) -> AsyncIterator[None]:
    task = asyncio.create_task(run(settings(park, broker)))
    try:
        await wire.hear(lambda topic, said: "STATE" in topic and said["online"])
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def rows(park: Park, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(park.dsns.owner) as connection:
        return connection.execute(query.encode()).fetchall()


def energies(park: Park) -> list[float]:
    query = f"SELECT value FROM samples WHERE point_id = {park.points[MAIN + '.energy']} ORDER BY at"
    return [value for (value,) in rows(park, query)]


async def test_readings_travel_are_acknowledged_and_survive_a_restart_of_the_hub(
    park: Park, broker: Broker, wire: Wire
) -> None:
    edge, began = PretendEdge(), now()
    async with running(park, broker, wire):
        wire.send(*edge.births(), *(edge.data(MAIN, [("energy", began + timedelta(seconds=n), n)]) for n in range(50)))
        await wire.committed(50)
    await wire.hear(lambda topic, said: "STATE" in topic and not said["online"])
    async with running(park, broker, wire):
        lost_to_the_restart = edge.data(MAIN, [("energy", began + timedelta(seconds=50), 50)])
        wire.send(lost_to_the_restart)
        await wire.hear(lambda _, said: said.get(topics.REBIRTH) is True)
        wire.send(*edge.births(50), edge.data(MAIN, [("energy", began + timedelta(seconds=50), 50)], number=51))
        await wire.committed(51)
    assert energies(park) == list(range(51))


async def test_a_database_that_is_away_delays_but_loses_and_doubles_nothing(
    park: Park, broker: Broker, wire: Wire
) -> None:
    edge, began = PretendEdge(), now()
    database = rows(park, "SELECT current_database()")[0][0]
    async with running(park, broker, wire):
        wire.send(*edge.births(), edge.data(MAIN, [("energy", began, 0.0)]))
        await wire.committed(1)
        with psycopg.connect(park.dsns.owner, dbname="postgres", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false".encode())
            admin.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
            wire.send(*(edge.data(MAIN, [("energy", began + timedelta(seconds=n), n)]) for n in range(1, 20)))
            await asyncio.sleep(1)
            admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true".encode())
        await wire.committed(20, "spool-one")
    assert energies(park) == list(range(20))


async def test_a_hot_supply_raises_one_alarm_and_one_work_order(park: Park, broker: Broker, wire: Wire) -> None:
    [ahu] = [device.code for device in park.file.device if device.profile == "rs-ahu1"]
    edge, began = PretendEdge(devices={ahu: "rs-ahu1"}), now() - timedelta(minutes=15)
    async with running(park, broker, wire):
        wire.send(*edge.births())
        for minute in range(12):
            at = began + timedelta(minutes=minute)
            said = [
                ("fan_running", at, 1),
                ("supply_setpoint", at, 18.0),
                ("supply_temp", at, 27.0),
                ("freeze_trip", at, 0),
            ]
            wire.send(edge.data(ahu, said))
        await wire.committed(12)
    assert len(rows(park, "SELECT 1 FROM alarms WHERE cleared_at IS NULL")) == 1
    assert len(rows(park, "SELECT 1 FROM work_orders")) == 1


async def test_the_jobs_of_the_hub_seal_the_audit_chain_and_roll_up(park: Park, broker: Broker, wire: Wire) -> None:
    edge, hour = PretendEdge(), now().replace(minute=0, second=0) - timedelta(hours=2)
    async with running(park, broker, wire):
        said = [("energy", hour + timedelta(minutes=15 * n), 10.0 * n) for n in range(4)]
        wire.send(*edge.births(), edge.data(MAIN, said, historical=True))
        await wire.committed(1)
        for _ in range(200):
            if rows(park, "SELECT 1 FROM hourly") and not rows(park, "SELECT 1 FROM audit_entries WHERE hash IS NULL"):
                break
            await asyncio.sleep(0.05)
    assert rows(park, "SELECT n, good_n, sum, min, max, first, last FROM hourly") == [(4, 4, 60, 0, 30, 0, 30)]
    assert rows(park, "SELECT count(*) FROM audit_entries WHERE hash IS NULL") == [(0,)]
    assert len(rows(park, "SELECT 1 FROM pg_inherits WHERE inhparent = 'samples'::regclass")) >= 3


async def test_poison_on_the_wire_is_quarantined_with_a_sentence_and_the_rest_goes_on(
    park: Park, broker: Broker, wire: Wire
) -> None:
    edge, began = PretendEdge(), now()
    topic = f"spBv1.0/RIVERSIDE/DDATA/GW-1/{MAIN}"
    year_2099 = edge.aliases[MAIN, "power"]
    async with running(park, broker, wire):
        wire.send(*edge.births())
        wire.client.publish(topic, random.Random(1).randbytes(300), qos=1)
        wire.client.publish(topic, bytes(1_000_000), qos=1)
        wire.send(
            edge.data(MAIN, [("energy", began, 1.0)], extra=[Metric(alias=4711, at=began, value=1.0)]),
            edge.data(MAIN, [], extra=[Metric(alias=year_2099, at=datetime(2099, 1, 1, tzinfo=UTC), value=1.0)]),
            edge.data(MAIN, [("energy", began + timedelta(seconds=1), 2.0)]),
        )
        await wire.committed(3)
    assert energies(park) == [1.0, 2.0]
    said = [reason for (reason,) in rows(park, "SELECT reason FROM quarantine ORDER BY id")]
    for reason, words in zip(said, ("not a Sparkplug B payload", "1000000 bytes", "alias 4711", "2099"), strict=True):
        assert words in reason
