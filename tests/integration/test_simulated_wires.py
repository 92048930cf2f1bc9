"""Simulated meters on lines of bytes, read by the drivers that buildings use, and what goes wrong on purpose."""

import asyncio
import contextlib
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.catalogue import driver_of
from drivers.driver import Driver, Station
from drivers.errors import DriverError, UnreachableError
from edge_agent.config import read
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.model.site import SiteFile, parse
from simulators import site_run
from simulators.control import ask_async
from simulators.faults import InvalidFaultError, parse_fault
from simulators.world import World
from tests.field import HOST, free_port

SEED = 7
NOW = datetime(2026, 11, 17, 3, 7, 12, 345000, tzinfo=UTC)
HEAD = """
[organisation]
code = "ORG"
name_zh = "组织"
name_en = "Organisation"
[site]
code = "S1"
name_zh = "园区"
name_en = "Park"
timezone = "Asia/Shanghai"
currency = "CNY"
[[building]]
code = "A"
name_zh = "甲"
name_en = "A"
floors = []
[[gateway]]
code = "GW-1"
"""
LINES = {
    "dlt645": (("E-1", "3761", "dlt645-2007-three-phase"),),
    "cjt188": (("W-1", "40314132", "cjt188-water"), ("H-1", "40314133", "cjt188-heat")),
    "mbus": (
        ("M-1", "5", "kamstrup-multical-601"), ("M-2", "068558172D2C0804", "landis-gyr-ultraheat-t230"),
        ("M-3", "7", "itron-cyble-water"),
    ),
    "modbus": (("P-1", "1", "rs-em3"), ("P-2", "2", "rs-em1")),
}  # fmt: skip


def site_text(ports: dict[str, int]) -> str:
    text = HEAD
    for driver, devices in LINES.items():
        text += f"""
[[line]]
code = "L-{driver}"
gateway = "GW-1"
driver = "{driver}"
host = "{HOST}"
port = {ports[driver]}
poll_s = 1
timeout_s = 0.4
"""
        for code, address, profile in devices:
            text += f"""
[[device]]
code = "{code}"
name_zh = "{code}"
name_en = "{code}"
line = "L-{driver}"
address = "{address}"
profile = "{profile}"
role = "common"
space = "A"
"""
    return text


@dataclass
class Running:
    """A simulated site, and stations of its devices."""

    file: SiteFile
    world: World
    control: int
    stations: dict[str, Station]
    now: datetime = NOW

    async def inject(self, device: str, kind: str, **more: Any) -> str:
        reply = await ask_async(self.control, {"do": "inject", "device": device, "kind": kind, **more})
        assert reply["ok"], reply
        return str(reply["id"])

    async def clear(self, number: str) -> None:
        await ask_async(self.control, {"do": "clear", "id": number})

    async def read(self, device: str) -> dict[str, Reading]:
        return {r.point.partition(".")[2]: r for r in await self.stations[device].read()}

    async def value(self, device: str, measure: str) -> float | None:
        return (await self.read(device))[measure].value


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    text = site_text({driver: free_port() for driver in LINES})
    path = tmp_path / "site.toml"
    path.write_text(text, "utf-8")
    file, devices = read(path)
    control, ready = free_port(), asyncio.Event()
    made = Running(file, World(parse(tomllib.loads(text)), SEED), control, {})
    run = site_run.run(file, seed=SEED, control_port=control, ready=ready.set, clock=lambda: made.now)
    task, up = asyncio.create_task(run), asyncio.create_task(ready.wait())
    await asyncio.wait([task, up], timeout=60, return_when=asyncio.FIRST_COMPLETED)
    assert up.done(), task
    drivers: dict[str, Driver] = {line.code: driver_of(line, lambda: datetime.now(UTC)) for line in file.line}
    made.stations = {d.code: drivers[d.line].station(devices[d.code]) for d in file.device}
    yield made
    for driver in drivers.values():
        await driver.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("device", [code for devices in LINES.values() for code, *_ in devices])
async def test_a_device_shows_what_the_world_says(running: Running, device: str) -> None:
    found = await running.read(device)
    levels = running.world.values(device, NOW)
    sheet = running.world.sheet(device)
    assert sheet.counter is not None
    counter = found.pop(sheet.counter.measure)
    assert counter.value == pytest.approx(running.world.face(device, NOW) * float(sheet.counter.step), abs=1e-9)
    assert found
    for measure, reading in found.items():
        shown = sheet.named(measure)
        assert shown is not None
        assert reading.quality is Quality.GOOD, (measure, reading.error)
        assert reading.value == pytest.approx(levels[measure], abs=float(shown.step)), measure


async def test_every_meter_counts_on(running: Running) -> None:
    for devices in LINES.values():
        for code, *_ in devices:
            counter = running.world.sheet(code).counter
            assert counter is not None
            before = await running.value(code, counter.measure)
            running.now = NOW + timedelta(days=2)
            after = await running.value(code, counter.measure)
            assert before != after, code
            running.now = NOW


@pytest.mark.parametrize("device", ["E-1", "H-1", "M-1", "P-1"])
async def test_a_counter_rolls_over_and_a_meter_is_exchanged(running: Running, device: str) -> None:
    counter = running.world.sheet(device).counter
    assert counter is not None
    step = float(counter.step)
    number = await running.inject(device, "rollover", amount=20 * step)
    assert await running.value(device, counter.measure) == pytest.approx((counter.modulus - 20) * step)
    running.now = NOW + timedelta(days=3)
    after = await running.value(device, counter.measure)
    assert after is not None
    assert after < counter.modulus * step / 2  # it has begun again
    await running.clear(number)
    await running.inject(device, "exchange", amount=7 * step)
    assert await running.value(device, counter.measure) == pytest.approx(7 * step)


@pytest.mark.parametrize("device", ["E-1", "W-1", "M-1", "P-1"])
@pytest.mark.parametrize("kind", ["silent", "wrong_checksum", "half_frame"])
async def test_answers_that_go_wrong_give_nothing_and_the_neighbours_are_well(
    running: Running, device: str, kind: str
) -> None:
    await running.read(device)
    number = await running.inject(device, kind)
    with contextlib.suppress(DriverError):
        assert all(reading.value is None for reading in (await running.read(device)).values())
    others = {"W-1": "H-1", "M-1": "M-3", "P-1": "P-2"}
    if (other := others.get(device)) is not None:
        for _ in range(3):  # a line falls silent after bytes that were no answer
            with contextlib.suppress(DriverError):
                assert (await running.read(other)).popitem()[1].value is not None
                break
        else:
            raise AssertionError(other)
    await running.clear(number)
    for _ in range(3):
        with contextlib.suppress(DriverError):
            found = await running.read(device)
            if all(reading.value is not None for reading in found.values()):
                return
    raise AssertionError(kind)


async def test_modbus_answers_with_the_exception_that_was_asked_for(running: Running) -> None:
    await running.inject("P-1", "exception", amount=3)
    found = (await running.read("P-1")).values()
    assert all(reading.value is None and reading.error for reading in found)


async def test_a_late_answer_is_late(running: Running) -> None:
    loop = asyncio.get_running_loop()
    await running.read("E-1")
    await running.inject("E-1", "delay", amount=0.05)
    begun = loop.time()
    await running.read("E-1")
    assert loop.time() - begun >= 0.05


async def test_a_share_of_the_answers_never_comes(running: Running) -> None:
    await running.inject("P-2", "drop", amount=1.0)
    with pytest.raises(UnreachableError):
        await running.read("P-2")


@pytest.mark.parametrize("device", ["E-1", "M-1", "P-1"])
async def test_a_power_cut_takes_the_whole_line_and_it_comes_back(running: Running, device: str) -> None:
    await running.read(device)
    number = await running.inject(device, "power_cut")
    await asyncio.sleep(3 * site_run.LOOK_EVERY_S)
    with pytest.raises(UnreachableError) as lost:
        await running.read(device)
    assert lost.value.link
    await running.clear(number)
    await asyncio.sleep(3 * site_run.LOOK_EVERY_S)
    for _ in range(5):
        with contextlib.suppress(UnreachableError):
            assert await running.read(device)
            return
        await asyncio.sleep(0.1)
    raise AssertionError(device)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "delay", "amount": 61}, "from 0 to 60"),
        ({"kind": "drop", "amount": 2}, "from 0 to 1"),
        ({"kind": "exception", "amount": 0.0}, "needs an amount"),
        ({"kind": "exception", "amount": 99}, "from 1 to 11"),
    ],
)
def test_an_amount_that_makes_no_sense_is_refused(fault: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidFaultError, match=said):
        parse_fault({"device": "P-1", **fault})
