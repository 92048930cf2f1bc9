"""OSDP in particular: keys, several readers on one line, cards and doors, refusals, noise on the line."""

import asyncio
import os
import random
import time
import tty
from binascii import crc_hqx
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from osdp.constants import Command

from drivers.driver import Station
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.osdp.frame import Listener
from drivers.osdp.line import OsdpDriver, OsdpStation
from drivers.osdp.port import NOT_WRITTEN, Port, PortChannel
from rules.model.event import BadgeEvent
from rules.model.line import OsdpLine, Serial
from rules.model.quality import Quality
from simulators.osdp_reader import Converter, OsdpReader
from tests.contract.event_ground import written
from tests.contract.ground_osdp import PROFILE
from tests.field import HOST, free_port

KEYS = {code: bytes([number] * 16) for number, code in enumerate(("R1", "R2", "R3"), 1)}
TRIES = 30


class Line:
    """Three readers on one converter, each with a key of its own."""

    def __init__(self, port: int) -> None:
        self.readers = {code: OsdpReader(number, KEYS[code]) for number, code in enumerate(KEYS, 1)}
        self.converter = Converter(port, list(self.readers.values()))
        line = OsdpLine(driver="osdp", code="L1", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=1.0)
        self.driver = OsdpDriver(line, lambda: datetime.now(UTC))

    def stations(self, profile: str = PROFILE) -> dict[str, OsdpStation]:
        return {
            code: self.driver.station(written(profile, "ground-osdp", code, str(reader.address)))
            for code, reader in self.readers.items()
        }


@pytest.fixture
async def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    for code, key in KEYS.items():
        (tmp_path / f"osdp-{code}-key").write_text(key.hex(), "utf-8")
    made = Line(free_port())
    await made.converter.start()
    yield made
    await made.driver.close()
    await made.converter.stop()


async def value(station: Station, measure: str, wanted: float) -> None:
    said: object = None
    for _ in range(TRIES):
        try:
            said = {r.point.partition(".")[2]: r.value for r in await station.read()}
        except DriverError as error:
            said = error
        else:
            if said[measure] == wanted:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(said)


async def events(station: OsdpStation, count: int) -> list[BadgeEvent]:
    found: list[BadgeEvent] = []
    for _ in range(TRIES):
        found += [event for event in station.take_events() if isinstance(event, BadgeEvent)]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


async def test_several_readers_on_one_line_tell_their_own(line: Line) -> None:
    stations = line.stations()
    for station in stations.values():
        await value(station, "door_open", 0)
    line.readers["R2"].open(on=True)
    line.readers["R3"].badge(0x77)
    await value(stations["R2"], "door_open", 1)
    await value(stations["R1"], "door_open", 0)
    assert [e.badge for e in await events(stations["R3"], 1)] == ["32:00000077"]
    assert stations["R1"].take_events() == []


async def test_a_dead_reader_leaves_its_neighbours_alone_and_comes_back(line: Line) -> None:
    stations = line.stations()
    for station in stations.values():
        await value(station, "door_open", 0)
    line.readers["R2"].silent = True
    for _ in range(TRIES):
        try:
            await stations["R2"].read()
        except UnreachableError:
            break
        await asyncio.sleep(0.1)
    with pytest.raises(UnreachableError, match="R2"):
        await stations["R2"].read()
    begun = time.monotonic()
    line.readers["R1"].open(on=True)
    await value(stations["R1"], "door_open", 1)
    assert time.monotonic() - begun < 3
    line.readers["R2"].silent = False
    line.readers["R2"].open(on=True)
    await value(stations["R2"], "door_open", 1)


async def test_a_wrong_key_lets_nobody_on_and_says_so(line: Line, tmp_path: Path) -> None:
    (tmp_path / "osdp-R1-key").write_text("00" * 16, "utf-8")
    stations = line.stations()
    with pytest.raises(UnreachableError, match="key"):
        await stations["R1"].read()
    await value(stations["R2"], "door_open", 0)


async def test_a_key_that_is_none_is_told_and_the_line_goes_on(line: Line, tmp_path: Path) -> None:
    (tmp_path / "osdp-R1-key").write_text("no key", "utf-8")
    stations = line.stations()
    readings = await stations["R1"].read()
    assert {reading.quality for reading in readings} == {Quality.BAD}
    assert "32 hexadecimal digits" in readings[0].error
    with pytest.raises(MisconfiguredError):
        await stations["R1"].write("strike", 1)
    await value(stations["R2"], "door_open", 0)


async def test_a_new_reader_takes_its_key_only_where_the_profile_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    (tmp_path / "osdp-R1-key").write_text(KEYS["R1"].hex(), "utf-8")
    for install in (False, True):
        reader, port = OsdpReader(1, new=True), free_port()
        converter = Converter(port, [reader])
        await converter.start()
        made = OsdpLine(driver="osdp", code="L1", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=1.0)
        driver = OsdpDriver(made, lambda: datetime.now(UTC))
        profile = PROFILE.replace("[door]", f"install = {str(install).lower()}\n[door]", 1)
        station = driver.station(written(profile, "ground-osdp", "R1", "1"))
        if install:
            await value(station, "door_open", 0)
        else:
            with pytest.raises(UnreachableError, match="key"):
                await station.read()
        keys = [command["data"] for command in reader.commands if command["command"] == Command.Keyset]
        assert keys == ([KEYS["R1"]] if install else [])
        await driver.close()
        await converter.stop()


async def test_a_card_is_granted_when_the_lock_is_released_soon_after_it(line: Line) -> None:
    stations = line.stations(PROFILE.replace("granted_s = 0.2", "granted_s = 2"))
    station = stations["R1"]
    await value(station, "door_open", 0)
    line.readers["R1"].badge(1)
    await asyncio.sleep(0.3)
    assert station.take_events() == []  # not decided yet
    await station.write("strike", 1)
    [event] = await events(station, 1)
    assert (event.result, event.badge) == ("granted", "32:00000001")
    assert event.at < datetime.now(UTC)


async def test_a_strike_falls_back_and_a_door_opened_meanwhile_is_in_order_until_it_is_held(line: Line) -> None:
    station = line.stations()["R1"]
    await value(station, "door_open", 0)
    await station.write("strike", 1)
    line.readers["R1"].open(on=True)
    await value(station, "door_open", 1)
    await value(station, "forced", 0)
    await value(station, "strike", 0)
    await value(station, "held", 1)
    assert [event.result for event in await events(station, 1)] == ["held"]


async def test_what_the_reader_refuses_is_refused_and_it_stays_usable(line: Line) -> None:
    profile = PROFILE + '[[measure]]\nname = "far"\nkind = "state"\nunit = ""\nfrom = "output"\nnumber = 9\n'
    station = line.stations(profile)["R1"]
    await value(station, "door_open", 0)
    with pytest.raises(RefusedError, match="R1"):
        await station.write("far", 1)
    await value(station, "door_open", 0)
    assert (await station.write("strike", 1)).value == 1


async def test_noise_between_answers_does_no_harm(line: Line) -> None:
    noise = random.Random(7)
    station = line.stations()["R1"]
    await value(station, "door_open", 0)
    for number in range(20):
        line.converter._write(noise.randbytes(noise.randrange(1, 60)))
        line.readers["R1"].open(on=bool(number % 2))
        await asyncio.sleep(0.02)
    line.readers["R1"].open(on=True)
    await value(station, "door_open", 1)


async def test_a_reader_on_a_serial_port_is_read_and_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    (tmp_path / "osdp-R1-key").write_text(KEYS["R1"].hex(), "utf-8")
    far, near = os.openpty()
    os.set_blocking(far, False)
    tty.setraw(near)
    reader, loop = OsdpReader(1, KEYS["R1"]), asyncio.get_running_loop()
    reader.power_on(lambda data: os.write(far, data) and None)

    async def live() -> None:
        while True:
            reader.refresh()
            await asyncio.sleep(0.005)

    loop.add_reader(far, lambda: reader.received.extend(os.read(far, 4096)))
    living = asyncio.create_task(live())
    serial = Serial(port=os.ttyname(near), baud=9600, parity="N")
    made = OsdpLine(driver="osdp", code="L1", gateway="G", serial=serial, poll_s=1, timeout_s=1.0)
    driver = OsdpDriver(made, lambda: datetime.now(UTC))
    station = driver.station(written(PROFILE, "ground-osdp", "R1", "1"))
    await value(station, "door_open", 0)
    assert (await station.write("strike", 1)).value == 1
    assert reader.outputs[0]
    await driver.close()
    living.cancel()
    loop.remove_reader(far)
    os.close(far)
    os.close(near)


async def test_a_port_nobody_listens_on_is_the_whole_lines_trouble(line: Line) -> None:
    station = line.stations()["R1"]
    await line.converter.stop()
    with pytest.raises(UnreachableError) as caught:
        await station.read()
    assert caught.value.link


async def test_a_write_to_a_line_that_is_gone_is_a_number_not_an_exception() -> None:
    port = Port()
    channel = PortChannel(port)
    assert channel.write(b"x") == NOT_WRITTEN
    assert channel.read(10) == b""
    port.data_received(b"x" * 100_000)
    assert len(port.data) <= 16_384


def test_a_listener_finds_whole_replies_in_any_pieces_and_among_noise() -> None:
    body = bytes([0x53, 0x85, 8, 0, 0x04, 0x40])
    whole = body + crc_hqx(body, 0x1D0F).to_bytes(2, "little")
    summed = bytes([0x53, 0x86, 7, 0, 0x00, 0x40])
    summed += bytes([-sum(summed) % 256])
    stream = b"\xff\x53\x53\x00" + whole + b"\x53\xff\xff" + summed
    for size in (1, 2, 3, 7, len(stream)):
        listener = Listener()
        found: set[int] = set()
        for start in range(0, len(stream), size):
            found |= listener.hear(stream[start : start + size])
        found |= listener.hear(bytes(2000))
        assert found == {5, 6}, size
    assert Listener().hear(whole[:-1] + bytes([whole[-1] ^ 1])) == set()
