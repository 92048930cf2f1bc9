"""A changed site file while the edge runs: nothing that did not change notices."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent import agent
from edge_agent.config import load
from edge_agent.link import Broker
from rules.wire.topics import Verb
from tests.field import HOST, Meter, TinyHub, device_text, free_port, serving, site_text, until, write_site

OPEN = Path("/proc/self/fd")


def open_files() -> int:
    return len(list(OPEN.iterdir()))


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[TinyHub]:
    hub = TinyHub(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LOOK_S", 0.05)


def second_line(port: int, poll_s: float = 0.2) -> str:
    return f"""
[[line]]
code = "L2"
gateway = "GW-1"
driver = "modbus"
host = "{HOST}"
port = {port}
poll_s = {poll_s}
timeout_s = 0.3
"""


@asynccontextmanager
async def running(path: Path, broker: Broker) -> AsyncIterator[None]:
    task = asyncio.create_task(agent.run(load(path), broker, path.parent, site=path))
    try:
        yield
    finally:
        task.cancel()
        async with asyncio.timeout(3):
            await asyncio.gather(task, return_exceptions=True)


def replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def ticks(hub: TinyHub, point: str) -> list[int]:
    return [round(100 * value) for (name, _), value in sorted(hub.readings.items()) if name == point and value]


def account(broker: EmbeddedBroker) -> Broker:
    return Broker(broker.host, broker.port, broker.username, broker.password)


async def test_devices_come_change_and_go_while_their_neighbour_misses_no_poll(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, caplog: pytest.LogCaptureFixture
) -> None:
    port, other = free_port(), free_port()
    one, two, three = Meter(1, ticking=True), Meter(2), Meter(3)
    stays = device_text("EM-1", 1)
    path = write_site(tmp_path, site_text(port, stays))
    async with serving(port, one, two), serving(other, three), running(path, account(broker)):
        await until(lambda: len(ticks(hub, "EM-1.energy")) >= 3)
        replace(path, site_text(port, stays + device_text("EM-2", 2)))
        await until(lambda: any(name == "EM-2.energy" for name, _ in hub.readings))
        far = second_line(other) + device_text("EM-3", 3).replace('"L1"', '"L2"')
        replace(path, site_text(port, stays + device_text("EM-2", 2, "rs-wm1")) + far)
        await until(lambda: any(name == "EM-3.energy" for name, _ in hub.readings))
        await until(lambda: any(name == "EM-2.volume" for name, _ in hub.readings))
        replace(path, site_text(port, stays))
        await until(lambda: (Verb.DDEATH, "EM-2") in hub.seen and (Verb.DDEATH, "EM-3") in hub.seen)
        asked = len(two.asked), len(three.asked)
        replace(path, site_text(port, stays).replace("poll_s", "pol_s"))
        await until(lambda: "not used" in caplog.text)
        stood = len(ticks(hub, "EM-1.energy"))
        await until(lambda: len(ticks(hub, "EM-1.energy")) >= stood + 3)
        assert (len(two.asked), len(three.asked)) == asked
    seen = ticks(hub, "EM-1.energy")
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "pol_s is not a known key" in said[0].getMessage()
    assert "line 26: line 'L1' pol_s" in said[0].getMessage()


async def test_fifty_reloads_leave_no_task_and_no_socket_behind_and_miss_no_cycle(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    one, two, three = Meter(1), Meter(2), Meter(3)
    stays = device_text("EM-1", 1)
    full = site_text(port, stays + device_text("EM-2", 2), poll_s=0.2) + second_line(other)
    full += device_text("EM-3", 3).replace('"L1"', '"L2"')
    path = write_site(tmp_path, full)
    async with serving(port, one, two), serving(other, three):
        async with running(path, Broker(HOST, free_port())):
            await until(lambda: len(one.asked) >= 2 and len(three.asked) >= 1)
            tasks, files = len(asyncio.all_tasks()), open_files()
            loop = asyncio.get_running_loop()
            began_s, began = loop.time(), len(one.asked)
            for number in range(50):
                replace(path, site_text(port, stays) if number % 2 == 0 else full)
                await asyncio.sleep(0.15)
            expected = (loop.time() - began_s) / 0.2
            asked = len(one.asked) - began
            await until(lambda: three.asked != [])
            await asyncio.sleep(0.5)
            gc.collect()
            assert len(asyncio.all_tasks()) <= tasks + 1
            assert open_files() <= files + 2
        per_poll = len(set(one.asked))
        assert asked / per_poll >= expected - 2
