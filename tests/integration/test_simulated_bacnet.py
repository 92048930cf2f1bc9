"""A simulated site on BACnet/IP as the gateway's own driver meets it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.bacnet.cov import PROOF_CYCLES
from drivers.catalogue import driver_of
from drivers.driver import Driver, Releasing, Station
from drivers.errors import RefusedError, UnreachableError
from edge_agent import config
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.model.site import SiteFile
from simulators import site_run
from simulators.control import ask_async
from simulators.served import PortTakenError
from simulators.world import UnfitSiteError, World
from tests.contract.ground_bacnet import free_udp_port
from tests.field import HOST, free_port, site_text, write_site

NOW = datetime(2026, 11, 17, 3, 7, 12, 345000, tzinfo=UTC)
SEED = 7


def text(*ports: int) -> str:
    base = site_text(0, "#")
    head = base[: base.index("[[line]]")]
    return f"""{head}
[[line]]
code = "L1"
gateway = "GW-1"
driver = "bacnet"
interface = "{HOST}:{free_udp_port()}"
poll_s = 1
timeout_s = 0.5
{device("EM-4", ports[0], "rs-em4", "main", 1)}{device("AHU-2", ports[1], "rs-ahu2", "plant", 2)}"""


def device(code: str, port: int, profile: str, role: str, instance: int) -> str:
    return f"""
[[device]]
code = "{code}"
name_zh = "{code}"
name_en = "{code}"
line = "L1"
address = "{instance}@{HOST}:{port}"
profile = "{profile}"
role = "{role}"
space = "A"
"""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Running:
    site: SiteFile
    world: World
    clock: Clock
    control: int
    truth: Path
    meter: Station
    unit: Station

    async def inject(self, **fault: Any) -> str:
        reply = await ask_async(self.control, {"do": "inject", **fault})
        assert reply["ok"], reply
        return str(reply["id"])

    async def clear(self, number: str) -> None:
        assert (await ask_async(self.control, {"do": "clear", "id": number}))["ok"]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    path = write_site(tmp_path, text(free_udp_port(), free_udp_port()))
    site, devices = config.read(path)
    clock, ready, control = Clock(), asyncio.Event(), free_port()
    task = asyncio.create_task(
        site_run.run(
            site, seed=SEED, truth=tmp_path / "truth.jsonl", control_port=control, ready=ready.set, clock=clock
        )
    )
    async with asyncio.timeout(60):
        await ready.wait()
    driver: Driver = driver_of(site.line[0], lambda: datetime.now(UTC))
    yield Running(
        site, World(site, SEED), clock, control, tmp_path / "truth.jsonl",
        driver.station(devices["EM-4"]), driver.station(devices["AHU-2"]),
    )  # fmt: skip
    await driver.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def shown(station: Station) -> dict[str, Reading]:
    return {reading.point.partition(".")[2]: reading for reading in await station.read()}


async def test_the_meter_shows_what_the_world_counts(running: Running) -> None:
    readings = await shown(running.meter)
    assert {reading.quality for reading in readings.values()} == {Quality.GOOD}
    assert round((readings["energy"].value or 0) * 100) == running.world.face("EM-4", NOW)
    levels = running.world.values("EM-4", NOW)
    assert readings["voltage_l1"].value == pytest.approx(levels["voltage_l1"], abs=0.01)
    told = [json.loads(line) for line in running.truth.read_text("utf-8").splitlines()]
    assert [row["count"] for row in told if row["device"] == "EM-4"] == [running.world.face("EM-4", NOW)]


async def test_the_unit_follows_its_set_point_and_lets_go_of_it(running: Running) -> None:
    before = await shown(running.unit)
    assert before["supply_setpoint"].value == 18.0
    assert (await running.unit.write("supply_setpoint", 22.0)).value == 22.0
    running.clock.now += timedelta(minutes=30)
    warm = (before["supply_temp"].value or 0) + 3
    assert await until(running.unit, "supply_temp", lambda value: value > warm)
    assert isinstance(running.unit, Releasing)
    assert (await running.unit.release("supply_setpoint")).value == 18.0
    with pytest.raises(RefusedError):
        await running.unit.write("supply_setpoint", 31.0)


async def test_faults_of_the_board_are_seen(running: Running) -> None:
    await shown(running.unit)
    silent = await running.inject(kind="silent", device="AHU-2")
    assert await lost(running.unit)
    await running.clear(silent)
    out = await running.inject(kind="out_of_service", device="AHU-2")
    assert {reading.quality for reading in (await shown(running.unit)).values()} == {Quality.UNCERTAIN}
    await running.clear(out)
    await running.inject(kind="busy", device="EM-4")
    readings = await shown(running.meter)
    assert {reading.quality for reading in readings.values()} == {Quality.BAD}
    assert all("device-busy" in reading.error for reading in readings.values())


async def test_what_is_not_available_is_bad(running: Running) -> None:
    await running.inject(kind="sentinel", device="AHU-2", measure="return_temp")
    readings = await shown(running.unit)
    assert readings["return_temp"].quality is Quality.BAD
    assert readings["supply_temp"].quality is Quality.GOOD


async def test_changes_are_told_and_a_restart_forgets_whom_to_tell(running: Running) -> None:
    first = (await shown(running.unit))["outdoor_temp"].value
    running.clock.now += timedelta(hours=6)
    last = await until(running.unit, "outdoor_temp", lambda value: value != first)
    off = await running.inject(kind="restart", device="AHU-2")
    await asyncio.sleep(1.2)
    await running.clear(off)
    running.clock.now += timedelta(hours=6)
    await until(running.unit, "outdoor_temp", lambda value: value != last)


async def lost(station: Station) -> bool:
    """Read until nobody answers: at the latest when all is polled as a proof of life."""
    for _ in range(PROOF_CYCLES + 1):
        try:
            await station.read()
        except UnreachableError:
            return True
    return False


async def until(station: Station, measure: str, true: Callable[[float], bool]) -> float:
    """Read until a measure is as wanted: what is told comes within a second or two."""
    for _ in range(50):
        with contextlib.suppress(UnreachableError):
            value = (await shown(station))[measure].value
            if value is not None and true(value):
                return value
        await asyncio.sleep(0.1)
    raise AssertionError(measure)


async def test_a_site_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    port = free_udp_port()
    for wrong, reason, kind in (
        (text(port, port), "is taken", PortTakenError),
        (text(port, free_udp_port()).replace(f"@{HOST}:{port}", ""), "no port of its own", UnfitSiteError),
        (text(port, free_udp_port()).replace("rs-em4", "rs-em3"), "no BACnet data sheet", UnfitSiteError),
    ):
        site, _ = config.read(write_site(tmp_path, wrong))
        with pytest.raises(kind, match=reason):
            await site_run.run(site, seed=1, control_port=free_port())
