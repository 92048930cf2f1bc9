"""What users of other gateways suffer from bad devices, each tried here with a whole gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.constants import ExcCodes

from deploy.broker import Broker as EmbeddedBroker
from edge_agent.agent import run
from edge_agent.config import load
from edge_agent.publisher import Broker
from tests.field import HOST, Meter, TinyHub, device_text, free_port, serving, site_text, until, write_site

SECOND_LINE = f"""
[[line]]
code = "L2"
gateway = "GW-1"
driver = "modbus"
host = "{HOST}"
port = PORT
poll_s = 0.2
timeout_s = 0.3
"""


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[TinyHub]:
    hub = TinyHub(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    yield hub
    hub.stop()


@asynccontextmanager
async def gateway(folder: Path, broker: EmbeddedBroker, text: str) -> AsyncIterator[None]:
    account = Broker(broker.host, broker.port, broker.username, broker.password)
    task = asyncio.create_task(run(load(write_site(folder, text)), account, folder))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def values(hub: TinyHub, point: str) -> list[float | None]:
    return [value for (name, _), value in sorted(hub.readings.items()) if name == point]


async def test_a_busy_device_is_never_recorded_as_zero(tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub) -> None:
    """home-assistant 54345"""
    port, meter = free_port(), Meter(1, {1: 5000})
    async with serving(port, meter), gateway(tmp_path, broker, site_text(port)):
        await until(lambda: values(hub, "EM-1.energy")[:1] == [50.0])
        meter.replies += [ExcCodes.DEVICE_BUSY] * 4
        await until(lambda: not meter.replies)
        meter.registers[1] = 5100
        await until(lambda: 51.0 in values(hub, "EM-1.energy"))
    assert set(values(hub, "EM-1.energy")) <= {50.0, 51.0, None}


async def test_a_dead_device_does_not_delay_those_on_other_lines(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub
) -> None:
    """thingsboard-gateway 1456"""
    ports, dead, live = (free_port(), free_port()), Meter(1, silent=True), Meter(1, {1: 100})
    other = SECOND_LINE.replace("PORT", str(ports[1])) + device_text("EM-2", 1).replace('"L1"', '"L2"')
    text = site_text(ports[0], device_text("EM-1", 1)) + other
    async with serving(ports[0], dead), serving(ports[1], live), gateway(tmp_path, broker, text):
        await until(lambda: len(values(hub, "EM-2.energy")) >= 15)
    assert len(live.asked) >= 5 * len(dead.asked)  # as often as it should, while the dead one is asked less and less
    assert set(values(hub, "EM-1.energy")) <= {None}
