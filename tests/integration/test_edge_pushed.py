"""Configurations pushed to a running gateway over a real broker, with real devices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent import agent, configuration, trial
from edge_agent.config import load
from edge_agent.link import Broker
from rules.wire.configuration import State, Told, digest
from tests.field import Meter, device_text, free_port, serving, site_text, until, write_site
from tests.pushing import Pusher


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[Pusher]:
    hub = Pusher(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LOOK_S", 0.05)
    monkeypatch.setattr(trial, "LOOK_S", 0.05)
    monkeypatch.setattr(trial, "SETTLE_S", 0.5)
    monkeypatch.setattr(configuration, "CONFIRM_S", 3.0)


@asynccontextmanager
async def running(path: Path, broker: EmbeddedBroker) -> AsyncIterator[None]:
    account = Broker(broker.host, broker.port, broker.username, broker.password)
    task = asyncio.create_task(agent.run(load(path), account, path.parent, site=path))
    try:
        yield
    finally:
        task.cancel()
        async with asyncio.timeout(3):
            await asyncio.gather(task, return_exceptions=True)


async def test_a_pushed_configuration_is_tried_confirmed_and_still_there_after_a_restart(
    tmp_path: Path, broker: EmbeddedBroker, hub: Pusher
) -> None:
    port, one, two = free_port(), Meter(1, ticking=True), Meter(2)
    path = write_site(tmp_path, site_text(port))
    wanted = site_text(port, device_text("EM-1", 1) + device_text("EM-2", 2))
    async with serving(port, one, two):
        async with running(path, broker):
            await until(lambda: hub.state() is State.LOCAL and len(hub.readings) > 20)
            hub.push(1, wanted)
            await until(lambda: hub.state() is State.IN_FORCE)
            await until(lambda: any(name.startswith("EM-2.") for name, _ in hub.readings))
            assert hub.told == Told(1, digest(wanted), State.IN_FORCE)
            seen = [round(100 * v) for (name, _), v in sorted(hub.readings.items()) if name == "EM-1.energy" and v]
            assert seen == list(range(seen[0], seen[0] + len(seen)))  # no poll of the untouched device is missing
        asked = len(two.asked)
        async with running(path, broker):
            await until(lambda: len(two.asked) > asked + 3)


async def test_a_configuration_that_loses_devices_or_the_hub_is_rolled_back_by_the_gateway(
    tmp_path: Path, broker: EmbeddedBroker, hub: Pusher
) -> None:
    port, one = free_port(), Meter(1)
    path = write_site(tmp_path, site_text(port))
    async with serving(port, one), running(path, broker):
        await until(lambda: hub.state() is State.LOCAL and len(hub.readings) > 20)
        hub.push(1, site_text(port, device_text("EM-1", 7)))
        await until(lambda: hub.state() is State.TRIAL)
        await until(lambda: hub.state() is State.ROLLED_BACK)
        assert hub.told is not None
        assert hub.told.reason == "these no longer answer: EM-1"
        stood = len(one.asked)
        await until(lambda: len(one.asked) > stood + 2)
        hub.deaf = True
        hub.push(2, site_text(port, poll_s=0.3))
        await until(lambda: hub.state() is State.TRIAL)
        await until(lambda: hub.state() is State.ROLLED_BACK)
        assert hub.told is not None
        assert "has not acknowledged" in hub.told.reason


async def test_a_file_for_another_gateway_is_refused_and_an_old_one_ignored(
    tmp_path: Path, broker: EmbeddedBroker, hub: Pusher
) -> None:
    port, one = free_port(), Meter(1)
    path = write_site(tmp_path, site_text(port))
    async with serving(port, one), running(path, broker):
        await until(lambda: hub.state() is State.LOCAL)
        hub.push(5, site_text(port).replace('code = "S1"', 'code = "S2"'))
        await until(lambda: hub.state() is State.REFUSED)
        hub.push(4, site_text(port, device_text("EM-9", 1)))
        await asyncio.sleep(0.5)
        assert hub.told is not None
        assert (hub.told.number, hub.told.sha256) == (5, digest(site_text(port)))
