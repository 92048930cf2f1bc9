"""Simulated plant behind OPC UA, as the driver meets it: values, set points, faults, restarts, every profile."""

import asyncio
import socket
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua.server.internal_server import InternalServer

from drivers.catalogue import driver_of, load, names
from drivers.driver import Asked, Device, Station
from drivers.errors import RefusedError, UnreachableError
from drivers.opcua.profile import OpcuaProfile
from rules.model.point import Point
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.model.site import SiteFile, parse
from simulators import site_run
from simulators.control import ask_async
from simulators.served import PortTakenError
from simulators.world import UnfitSiteError
from tests.contract.ground_opcua import Space
from tests.field import HOST, free_port, site_text

PROFILES = [name for name in names() if isinstance(load(name), OpcuaProfile) and name.startswith("rs-")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard's own nodes are made once."""
    make = InternalServer.load_standard_address_space

    async def give(server: Any, _: Any = None) -> None:
        monkeypatch.setattr(InternalServer, "load_standard_address_space", make)
        try:
            await Space.give(server)
        finally:
            monkeypatch.setattr(InternalServer, "load_standard_address_space", give)

    monkeypatch.setattr(InternalServer, "load_standard_address_space", give)


def site_with(profile: str, port: int, more: str = "", count: int = 1) -> SiteFile:
    head = site_text(502).partition("[[line]]")[0]
    line = f"""
[[line]]
code = "U1"
gateway = "GW-1"
driver = "opcua"
url = "opc.tcp://{HOST}:{port}/plant"
poll_s = 1
timeout_s = 1
publish_s = 0.1
{more}
"""
    device = """
[[device]]
code = "D{number}"
name_zh = "D"
name_en = "D"
line = "U1"
profile = "{profile}"
role = "{role}"
space = "A"
"""
    role = "plant" if profile == "rs-ua1" else "main"
    devices = "".join(device.format(number=n, profile=profile, role=role) for n in range(count))
    return parse(tomllib.loads(head + line + devices))


class Plant:
    def __init__(self, station: Station, control: int) -> None:
        self.station, self.control = station, control

    async def read(self) -> dict[str, Reading]:
        return {reading.point.partition(".")[2]: reading for reading in await self.station.read()}

    async def inject(self, **fault: Any) -> None:
        reply = await ask_async(self.control, {"do": "inject", "device": "D0", **fault})
        assert reply["ok"], reply

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(15):
            while not await true():  # noqa: ASYNC110  # what is waited for happens in a server
                await asyncio.sleep(0.1)

    async def answers(self) -> bool:
        try:
            await self.station.read()
        except UnreachableError:
            return False
        return True


@asynccontextmanager
async def running(profile: str) -> AsyncIterator[Plant]:
    site, control = site_with(profile, free_port()), free_port()
    ready = asyncio.Event()
    task = asyncio.create_task(site_run.run(site, seed=7, control_port=control, ready=ready.set))
    async with asyncio.timeout(30):
        await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
    shape = load(profile)
    points = tuple(
        Asked(Point(f"D0.{m.name}", "D0", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in shape.measures
    )
    driver = driver_of(site.line[0], lambda: datetime.now(UTC))
    try:
        yield Plant(driver.station(Device("D0", "", shape, points)), control)
    finally:
        await driver.close()
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize("profile", PROFILES)
async def test_every_profile_reads_from_the_plant_that_is_built_from_its_sheet(profile: str) -> None:
    async with running(profile) as plant:
        readings = await plant.read()
    assert {reading.quality for reading in readings.values()} == {Quality.GOOD}
    assert list(readings) == [measure.name for measure in load(profile).measures]


async def test_a_set_point_is_taken_and_one_out_of_range_refused() -> None:
    async with running("rs-ua1") as plant:
        assert (await plant.read())["supply_setpoint"].value == 18.0
        assert (await plant.station.write("supply_setpoint", 21.5)).value == 21.5
        with pytest.raises(RefusedError):
            await plant.station.write("supply_setpoint", 31.0)
        await plant.until(lambda: holds(plant, 21.5))


async def holds(plant: Plant, value: float) -> bool:
    return (await plant.read())["supply_setpoint"].value == value


async def test_a_counter_counts_and_its_faults_are_seen() -> None:
    async with running("rs-ue1") as plant:
        first, later = await plant.read(), await plant.read()
        assert first["energy"].value is not None
        assert later["energy"].value is not None
        assert later["energy"].value >= first["energy"].value
        await plant.inject(kind="sentinel", measure="power", duration_s=3600)
        bad = (await plant.read())["power"]
        assert (bad.value, bad.quality) == (None, Quality.BAD)
        assert "BadSensorFailure" in bad.error
        await plant.inject(kind="freeze", measure="voltage_l1")
        assert len({(await plant.read())["voltage_l1"].value for _ in range(3)}) == 1
        await plant.inject(kind="busy", duration_s=3600)
        with pytest.raises(UnreachableError, match="BadResourceUnavailable"):
            await plant.station.read()


async def test_a_silent_plant_is_gone_and_comes_back_by_itself() -> None:
    async with running("rs-ua1") as plant:
        assert await plant.answers()
        await plant.inject(kind="silent", duration_s=1.5)

        async def gone() -> bool:
            return not await plant.answers()

        await plant.until(gone)
        await plant.until(plant.answers)
        assert {reading.quality for reading in (await plant.read()).values()} == {Quality.GOOD}


@pytest.mark.parametrize(
    ("more", "count", "said"), [('security = "Basic256Sha256"', 1, "security"), ("", 0, "0 devices")]
)
async def test_a_line_that_cannot_be_simulated_is_said(more: str, count: int, said: str) -> None:
    with pytest.raises(UnfitSiteError, match=said):
        await site_run.run(site_with("rs-ua1", free_port(), more, count), seed=1, control_port=free_port())


async def test_a_plant_that_restarts_is_read_again() -> None:
    async with running("rs-ua1") as plant:
        assert await plant.answers()
        await plant.inject(kind="restart")

        async def gone() -> bool:
            return not await plant.answers()

        await plant.until(gone)
        await plant.until(plant.answers)


async def test_a_late_plant_is_unreachable_for_as_long() -> None:
    async with running("rs-ue1") as plant:
        await plant.inject(kind="delay", amount=2.5, duration_s=60)
        with pytest.raises(UnreachableError, match="no answer"):
            await plant.station.read()


async def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} of line 'U1'"):
            await site_run.run(site_with("rs-ua1", port), seed=1, control_port=free_port())
