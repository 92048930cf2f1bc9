"""A simulated site with a camera, a door and a reader: what happens before them reaches the drivers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.catalogue import driver_of
from drivers.credentials import credential
from drivers.driver import Station, Telling
from drivers.errors import DriverError
from edge_agent.config import load, read
from rules.model.event import BadgeEvent, Event, Still
from simulators import site_run
from simulators.control import ask_async
from simulators.site_run import wall_clock
from tests.field import HOST, device_text, free_port, site_text, write_site

KEY = "000102030405060708090a0b0c0d0e0f"
TRIES = 40


@dataclass
class Site:
    control: int
    stations: dict[str, Station]

    async def do(self, **request: object) -> dict[str, Any]:
        return await ask_async(self.control, request)

    async def told(self, device: str) -> Event:
        station = self.stations[device]
        assert isinstance(station, Telling)
        for _ in range(TRIES):
            with contextlib.suppress(DriverError):
                await station.read()
            if events := station.take_events():
                return events[0]
            await asyncio.sleep(0.1)
        raise AssertionError(device)

    async def value(self, point: str, wanted: float) -> None:
        for _ in range(TRIES):
            with contextlib.suppress(DriverError):
                readings = await self.stations[point.partition(".")[0]].read()
                if [r.value for r in readings if r.point == point][-1] == wanted:
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(point)


def lines(onvif: int, osdp: int) -> str:
    places = (
        ("CAM-1", "L2", "", "onvif-camera"),
        ("DOOR-1", "L2", "D1", "onvif-door"),
        ("R-1", "L3", 1, "osdp-reader"),
        ("R-2", "L3", 2, "osdp-reader"),
    )
    devices = "".join(
        device_text(code, 0, profile).replace('"L1"', f'"{line}"').replace("address = 0", f'address = "{address}"')
        for code, line, address, profile in places
    )
    return f"""
[[line]]
code = "L2"
gateway = "GW-1"
driver = "onvif"
url = "http://{HOST}:{onvif}/onvif/device_service"
user = "plantroom"
poll_s = 1
[[line]]
code = "L3"
gateway = "GW-1"
driver = "osdp"
host = "{HOST}"
port = {osdp}
poll_s = 1
{devices.replace('role = "main"', 'role = "plant"')}
"""


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    (tmp_path / "onvif-L2-password").write_text("open-sesame", "utf-8")
    (tmp_path / "osdp-R-1-key").write_text(KEY, "utf-8")
    meter = device_text("EM-1", 1, more='commodity = "electricity"')
    text = site_text(free_port(), meter + lines(free_port(), free_port()))
    path, control, ready = write_site(tmp_path, text), free_port(), asyncio.Event()
    config = load(path)
    run = site_run.run(read(path)[0], seed=1, control_port=control, ready=ready.set, credential=credential)
    running = asyncio.create_task(run)
    await asyncio.wait_for(ready.wait(), 20)
    drivers = [driver_of(line.line, wall_clock) for line in config.lines]
    stations = {
        device.code: driver.station(device)
        for driver, line in zip(drivers, config.lines, strict=True)
        for device in line.devices
    }
    for code in ("CAM-1", "DOOR-1", "R-1", "R-2"):
        with contextlib.suppress(DriverError):
            await stations[code].read()
    yield Site(control, stations)
    for driver in drivers:
        await driver.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_badge_at_a_door_is_told_with_what_became_of_it(site: Site) -> None:
    assert (await site.do(do="badge", device="DOOR-1", card="4711", granted=True))["ok"]
    event = await site.told("DOOR-1")
    assert isinstance(event, BadgeEvent)
    assert (event.device, event.result, event.badge) == ("DOOR-1", "granted", "4711")
    await site.value("DOOR-1.locked", 0)


async def test_a_card_at_a_reader_that_opens_nothing_was_turned_away(site: Site) -> None:
    await site.value("R-1.door_open", 0)
    await site.value("R-2.door_open", 0)
    for reader, card in (("R-1", "65"), ("R-2", "66")):
        assert (await site.do(do="badge", device=reader, card=card))["ok"]
    for reader, badge in (("R-1", "32:00000041"), ("R-2", "32:00000042")):
        event = await site.told(reader)
        assert isinstance(event, BadgeEvent)
        assert (event.device, event.result, event.badge) == (reader, "denied", badge)


async def test_a_forced_door_is_told_by_controller_and_judged_at_a_reader(site: Site) -> None:
    await site.value("R-1.door_open", 0)
    await site.value("DOOR-1.door_open", 0)
    for device in ("DOOR-1", "R-1"):
        assert (await site.do(do="door", device=device, state="forced"))["ok"]
        event = await site.told(device)
        assert isinstance(event, BadgeEvent)
        assert (event.device, event.result, event.badge) == (device, "forced", None)
        await site.value(f"{device}.forced", 1)
        await site.do(do="door", device=device, state="closed")
        await site.value(f"{device}.forced", 0)


async def test_a_camera_that_sees_a_motion_takes_a_still(site: Site) -> None:
    await site.value("CAM-1.motion", 0)
    await site.do(do="show", device="CAM-1", what="motion", on=True)
    event = await site.told("CAM-1")
    assert isinstance(event, Still)
    assert event.cause == "motion"
    assert event.jpeg.startswith(b"\xff\xd8")
    await site.value("CAM-1.motion", 1)


async def test_a_power_cut_and_a_wrong_clock_are_got_over(site: Site) -> None:
    await site.do(do="skew", device="CAM-1", seconds=-7200)
    for device in ("CAM-1", "R-1"):
        await site.do(do="power_cut", device=device)
    await asyncio.sleep(0.7)
    await site.value("DOOR-1.locked", 1)
    await site.value("R-1.door_open", 0)
    await site.value("CAM-1.tamper", 0)


async def test_what_cannot_happen_is_refused_in_one_sentence(site: Site) -> None:
    for request in (
        {"do": "badge", "device": "NO-1", "card": "1"}, {"do": "badge", "device": "CAM-1", "card": "1"},
        {"do": "badge", "device": "R-1", "card": "x"}, {"do": "door", "device": "DOOR-1", "state": "ajar"},
        {"do": "door", "device": "CAM-1", "state": "open"}, {"do": "show", "device": "DOOR-1", "what": "ghost"},
        {"do": "skew", "device": "R-1", "seconds": 1}, {"do": "skew", "device": "CAM-1", "seconds": 1e12},
    ):  # fmt: skip
        said = await site.do(**request)
        assert not said["ok"]
        assert said["error"]
