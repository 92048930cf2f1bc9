"""The edge agent over a real broker, with real Modbus devices and a hub that counts."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent import nameplate
from edge_agent.agent import run
from edge_agent.check import check, read
from edge_agent.config import EdgeConfig, load
from edge_agent.publisher import Broker
from rules.wire.sparkplug import Payload, encode
from rules.wire.topics import Topic, Verb
from simulators.link import Link
from tests.field import (
    HOST,
    Meter,
    TinyHub,
    device_text,
    free_port,
    serving,
    site_text,
    until,
    write_site,
)


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[TinyHub]:
    hub = TinyHub(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    yield hub
    hub.stop()


def account(broker: EmbeddedBroker, port: int = 0) -> Broker:
    return Broker(broker.host, port or broker.port, broker.username, broker.password)


@asynccontextmanager
async def running(
    config: EdgeConfig, broker: Broker, folder: Path, backfill: Path | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(run(config, broker, folder, backfill=backfill))
    try:
        yield task
    finally:
        task.cancel()
        async with asyncio.timeout(3):
            await asyncio.gather(task, return_exceptions=True)


def ticks(hub: TinyHub, point: str = "EM-1.energy") -> list[float]:
    return [value for (name, _), value in sorted(hub.readings.items()) if name == point and value is not None]


def whole(values: list[float]) -> bool:
    """Every request of the meter was counted by the meter itself: none missing, none twice."""
    steps = [round(100 * value) for value in values]
    return bool(steps) and steps == list(range(steps[0], steps[0] + len(steps)))


async def test_readings_reach_the_hub_and_a_cut_link_loses_none(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub
) -> None:
    port, meter = free_port(), Meter(1, ticking=True)
    config = load(write_site(tmp_path, site_text(port)))
    async with serving(port, meter), Link(broker.port) as link:
        async with running(config, account(broker, link.port), tmp_path):
            await until(lambda: len(ticks(hub)) >= 3)
            link.cut()
            stood = len(ticks(hub))
            await asyncio.sleep(1.5)
            assert len(ticks(hub)) <= stood + 1
            link.restore()
            await until(lambda: len(ticks(hub)) >= stood + 10)
            hub.ask_rebirth()
            births = hub.seen.count((Verb.NBIRTH, ""))
            await until(lambda: hub.seen.count((Verb.NBIRTH, "")) > births)
            stood = len(ticks(hub))
            await until(lambda: len(ticks(hub)) >= stood + 3)
        assert whole(ticks(hub))
        assert ticks(hub)[0] == 0.01
        await until(lambda: hub.seen[-1][0] is Verb.NDEATH)
    birth = {metric.name: metric for metric in hub.births["EM-1"].metrics}
    assert birth["energy"].properties == {
        "engUnit": "kWh",
        "plantroom.kind": "counter",
        "plantroom.resolution": "0.01",
        "plantroom.modulus": "1000000.00",
    }


async def test_a_deaf_hub_gets_everything_once_it_listens_and_a_restarted_edge_goes_on(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub
) -> None:
    port, meter = free_port(), Meter(1, ticking=True)
    config = load(write_site(tmp_path, site_text(port)))
    hub.deaf = True
    async with serving(port, meter):
        async with running(config, account(broker), tmp_path):
            await until(lambda: hub.seen.count((Verb.DDATA, "EM-1")) >= 5)
        hub.deaf = False
        async with running(config, account(broker), tmp_path):
            await until(lambda: len(ticks(hub)) >= 10)
            hub.deaf = True
            await asyncio.sleep(0.5)
            hub.deaf = False  # frames in between are gone: only a resend brings them
            stood = len(ticks(hub))
            await until(lambda: len(ticks(hub)) >= stood + 15)
            await asyncio.sleep(0.5)  # the last acknowledgements
    assert whole(ticks(hub))
    assert ticks(hub)[0] == 0.01
    with sqlite3.connect(tmp_path / "edge-GW-1.sqlite") as spool:
        ((waiting,),) = spool.execute("SELECT count(*) FROM frames")
    spool.close()
    assert waiting <= 2


async def test_without_a_broker_the_edge_polls_and_spools_and_says_so_once(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, caplog: pytest.LogCaptureFixture
) -> None:
    port, meter = free_port(), Meter(1, ticking=True)
    config = load(write_site(tmp_path, site_text(port)))
    async with serving(port, meter):
        async with running(config, Broker(HOST, free_port()), tmp_path):
            await asyncio.sleep(1.5)
        assert sum("cannot be reached" in r.message for r in caplog.records) == 1
        assert len(meter.asked) >= 5
        async with running(config, account(broker), tmp_path):
            await until(lambda: len(ticks(hub)) >= 6)
    assert whole(ticks(hub))
    assert ticks(hub)[0] == 0.01


async def test_a_wrong_password_is_one_sentence(
    tmp_path: Path, broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    config = load(write_site(tmp_path, site_text(port)))
    async with serving(port, Meter(1)), running(config, Broker(HOST, broker.port, "x", "y"), tmp_path):
        await until(lambda: "user name and password" in caplog.text)


async def test_a_dead_device_is_lost_once_and_back_once_beside_a_live_one(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, caplog: pytest.LogCaptureFixture
) -> None:
    port, live, dead = free_port(), Meter(1, ticking=True), Meter(2)
    text = site_text(port, device_text("EM-1", 1) + device_text("EM-2", 2))
    async with (
        serving(port, live, dead),
        running(load(write_site(tmp_path, text)), account(broker), tmp_path),
    ):
        await until(lambda: len(ticks(hub, "EM-2.energy")) >= 2)
        dead.silent = True
        await until(lambda: (Verb.DDEATH, "EM-2") in hub.seen)
        stood = len(ticks(hub))
        await until(lambda: len(ticks(hub)) >= stood + 8)
        dead.silent = False
        births = hub.seen.count((Verb.DBIRTH, "EM-2"))
        await until(lambda: hub.seen.count((Verb.DBIRTH, "EM-2")) > births)
        stood = len(ticks(hub, "EM-2.energy"))
        await until(lambda: len(ticks(hub, "EM-2.energy")) > stood)
    said = [r.message for r in caplog.records if "EM-2" in r.message]
    assert [("lost" in s, "back" in s) for s in said] == [(True, False), (False, True)]
    bad = [value for (point, _), value in hub.readings.items() if point == "EM-2.energy" and value is None]
    assert len(bad) == 1
    assert whole(ticks(hub))


async def test_a_server_restart_loses_the_link_once_and_comes_back(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub
) -> None:
    port = free_port()
    config = load(write_site(tmp_path, site_text(port)))
    async with running(config, account(broker), tmp_path):
        async with serving(port, Meter(1, ticking=True)):
            await until(lambda: len(ticks(hub)) >= 2)
        await until(lambda: (Verb.DDEATH, "EM-1") in hub.seen)
        stood = len(ticks(hub))
        async with serving(port, Meter(1, ticking=True)):
            await until(lambda: len(ticks(hub)) >= stood + 2)


async def test_history_travels_once_before_the_present(tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub) -> None:
    port = free_port()
    config = load(write_site(tmp_path, site_text(port)))
    rows = [f"EM-1,energy,2026-01-{day:02}T{hour:02}:00:00+08:00,{day}.{hour}" for day in (1, 2) for hour in range(24)]
    file = tmp_path / "history.csv"
    file.write_text("\n".join(["device,measure,at,value", *rows, ""]), encoding="utf-8")
    async with serving(port, Meter(1)):
        async with running(config, account(broker), tmp_path, backfill=file):
            await until(lambda: len(ticks(hub)) >= 50)
        stood = hub.committed
        async with running(config, account(broker), tmp_path, backfill=file):
            await until(lambda: hub.committed > stood + 2)
    assert hub.historical == 48
    points = [point for point, _ in hub.readings]
    assert points[:48] == ["EM-1.energy"] * 48


async def test_without_an_acknowledging_host_the_broker_s_word_counts(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub
) -> None:
    port = free_port()
    config = load(write_site(tmp_path, site_text(port, gateway='acknowledge = "none"')))
    hub.acknowledge = lambda: None  # type: ignore[method-assign]
    async with serving(port, Meter(1, ticking=True)), running(config, account(broker), tmp_path):
        await until(lambda: len(ticks(hub)) >= 10)
    assert whole(ticks(hub))
    with sqlite3.connect(tmp_path / "edge-GW-1.sqlite") as spool:
        ((waiting,),) = spool.execute("SELECT count(*) FROM frames")
    spool.close()
    assert waiting <= 2


async def test_poisoned_commands_are_refused_and_the_rest_goes_on(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    config = load(write_site(tmp_path, site_text(port)))
    async with serving(port, Meter(1, ticking=True)), running(config, account(broker), tmp_path):
        await until(lambda: len(ticks(hub)) >= 2)
        topic = str(Topic("S1", Verb.NCMD, "GW-1"))
        hub._client.publish(topic, b"\xff\x00garbage", qos=1)
        hub._client.publish(topic, bytes(300_000), qos=1)
        committed, hub.committed = hub.committed, 10**12
        hub.acknowledge()
        hub.committed = committed
        hub._client.publish(topic, encode(Payload(None, None, ())), qos=1)
        stood = len(ticks(hub))
        await until(lambda: len(ticks(hub)) >= stood + 3)
    assert "a command was refused" in caplog.text
    assert "the hub claims frame 1000000000000" in caplog.text
    assert whole(ticks(hub))


async def test_check_and_read_say_what_is_there_and_who_is_not(tmp_path: Path) -> None:
    port = free_port()
    text = site_text(port, device_text("EM-1", 1) + device_text("EM-2", 2) + device_text("WM-1", 3, "rs-wm1"))
    path = write_site(tmp_path, text)
    nobody = await check(path)
    assert len([p for p in nobody.problems if "refused the connection" in p]) == 3
    async with serving(port, Meter(1, {0: 0, 1: 12345, 4: 0xFFFF}), Meter(2, silent=True), Meter(3)):
        report = await check(path)
        rows = await read(path)
    assert "3 devices, 3 requests a cycle" in report.lines[1]
    assert [p.split(":")[0] for p in report.problems] == [
        "point 'EM-1.voltage_l1' has no good value",
        "device 'EM-2' is unreachable",
    ]
    assert "no answer from address 2" in report.problems[1]
    energy, voltage = rows[0], rows[2]
    assert list(energy) == ["point", "value", "unit", "quality", "at", "raw", "error"]
    assert (energy["point"], energy["value"], energy["unit"]) == ("EM-1.energy", 123.45, "kWh")
    assert (energy["quality"], energy["raw"], energy["error"]) == ("good", [0, 12345], "")
    assert (voltage["value"], voltage["quality"]) == (None, "bad")
    assert "does not exist" in (await check(tmp_path / "none.toml")).problems[0]


async def test_what_devices_say_that_they_are_is_read_beside_what_the_site_file_says(tmp_path: Path) -> None:
    port = free_port()
    path = write_site(tmp_path, site_text(port, device_text("EM-1", 1, more="serial = 65538") + device_text("EM-2", 2)))
    assert load(path).devices[0].serial == "65538"
    async with serving(port, Meter(1, {20: 1, 21: 2}), Meter(2, holes={20, 21})):
        told = await nameplate.read(path)
    assert told == {"EM-1": {"serial": "65538"}}
    assert nameplate.sentence("EM-1", told["EM-1"]) == "EM-1: serial 65538"
    assert await nameplate.read(path) == {}
