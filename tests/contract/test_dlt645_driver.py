"""DL/T 645-2007: published frames, blocks read once, continued answers, and lines that are shared or dirty."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from drivers.catalogue import driver_of, parse
from drivers.dlt645.decode import decode
from drivers.dlt645.frame import Frame, encode, identifier_bytes, refusal, take
from drivers.dlt645.line import Dlt645Driver
from drivers.dlt645.profile import Dlt645Measure
from drivers.errors import MisconfiguredError, UnreachableError
from drivers.profile import InvalidProfileError
from rules.model.line import Dlt645Line
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, Trouble
from tests.contract.ground_dlt645 import ADDRESS, PROFILE, Dlt645Ground, device_of
from tests.field import HOST, free_port

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PUBLISHED = [  # frames that makers and users of meters have published, and what they say of them
    ("68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16", "000000000161", 0x11, "00 00 01 00"),
    ("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16", "000000000161", 0x91, "00 00 01 00 26 00 00 00"),
    ("68 61 01 00 00 00 00 68 91 06 33 34 34 35 34 43 10 16", "000000000161", 0x91, "00 01 01 02 01 10"),
    ("FE FE FE FE 68 37 03 00 92 81 39 68 11 04 33 33 34 33 38 16", "398192000337", 0x11, "00 00 01 00"),
    ("68 37 03 00 92 81 39 68 91 08 33 33 34 33 37 33 33 33 8C 16", "398192000337", 0x91, "00 00 01 00 04 00 00 00"),
    ("FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16", "AAAAAAAAAAAA", 0x13, ""),
    ("68 16 00 00 00 15 20 68 11 04 33 33 36 35 01 16", "201500000016", 0x11, "00 00 03 02"),
]


def measure(**more: object) -> Dlt645Measure:
    told = {"name": "x", "kind": "gauge", "unit": "kW", "identifier": "02030000", "digits": 6, "decimals": 4, **more}
    return Dlt645Measure.model_validate(told)


@asynccontextmanager
async def served(ground: Dlt645Ground) -> AsyncIterator[Dlt645Driver]:
    await ground.start()
    driver = Dlt645Driver(ground.line, lambda: NOW)
    try:
        yield driver
    finally:
        await driver.close()
        await ground.stop()


@pytest.mark.parametrize(("wire", "address", "control", "data"), PUBLISHED)
def test_a_published_frame_is_read_and_written_as_it_stands(wire: str, address: str, control: int, data: str) -> None:
    frame = Frame(address, control, bytes.fromhex(data))
    taken = take(bytes.fromhex(wire))
    assert (taken.frame, taken.used) == (frame, len(bytes.fromhex(wire)))
    assert encode(frame).lstrip(b"\xfe") == bytes.fromhex(wire).lstrip(b"\xfe")


def test_a_published_frame_with_a_wrong_sum_is_none() -> None:
    taken = take(bytes.fromhex("68 37 03 00 92 81 39 68 91 06 33 34 34 35 C7 56 B6 16"))
    assert taken.frame is None
    assert taken.spoilt


def test_published_answers_have_the_values_that_were_published() -> None:
    energy = measure(identifier="00010000", digits=8, decimals=2)
    voltage = measure(identifier="02010100", digits=4, decimals=1)
    assert decode(energy, bytes.fromhex("26 00 00 00")).value == 0.26
    assert decode(voltage, bytes.fromhex("01 10")).value == 100.1
    assert identifier_bytes("02010100") == bytes.fromhex("00 01 01 02")


@pytest.mark.parametrize(
    ("data", "value", "sentence"),
    [
        ("01 00 80", -0.0001, ""),
        ("99 99 79", 79.9999, ""),
        ("00 00 80", 0.0, ""),
        ("FF FF FF", None, "not available"),
        ("EE EE EE", None, "not available"),
        ("0A 00 00", None, "no decimal digits"),
        ("01 00", None, "too short"),
    ],
)
def test_a_sign_is_the_top_bit_and_what_is_no_number_is_none(data: str, value: float | None, sentence: str) -> None:
    decoded = decode(measure(signed=True), bytes.fromhex(data))
    assert decoded.value == value
    assert sentence in decoded.error


def test_error_bits_are_said_in_words() -> None:
    assert refusal(Frame(ADDRESS, 0xD1, b"\x02")) == "it has no such data"
    assert "password" in refusal(Frame(ADDRESS, 0xD1, b"\x06"))
    assert refusal(Frame(ADDRESS, 0x91, b"\x02")) == ""


def test_values_of_one_identifier_are_of_one_width_and_stand_apart() -> None:
    with pytest.raises(InvalidProfileError, match="different digits"):
        parse(PROFILE.replace("digits = 6", "digits = 4", 1), "ground-dlt645")
    with pytest.raises(InvalidProfileError, match="the same value"):
        parse(PROFILE.replace("place = 1", "place = 0"), "ground-dlt645")


async def test_a_block_is_asked_once_and_gives_all_its_values() -> None:
    ground = Dlt645Ground()
    ground.show({COUNTER: 123456.78, GAUGE: -1.2345})
    async with served(ground) as driver:
        station = driver.station(ground.device)
        readings = await station.read()
    assert station.plan == ("00010000", "0203FF00")
    assert [reading.value for reading in readings] == [123456.78, -1.2345, 0.0]
    assert [reading.quality for reading in readings] == [Quality.GOOD] * 3
    assert readings[0].raw == (0x78, 0x56, 0x34, 0x12)
    assert readings[0].at == NOW
    assert len(ground.asked) == 2


async def test_an_answer_that_is_continued_is_put_together() -> None:
    ground = Dlt645Ground(fragment=2)
    ground.show({COUNTER: 987654.32, GAUGE: 79.9999})
    async with served(ground) as driver:
        assert [r.value for r in await driver.station(ground.device).read()] == [987654.32, 79.9999, 0.0]
    assert [question[8] for question in ground.asked] == [0x11, 0x12, 0x11, 0x12, 0x12]


async def test_an_answer_that_is_continued_for_ever_is_given_up() -> None:
    ground = Dlt645Ground(fragment=0)
    async with served(ground) as driver:
        reading = (await driver.station(ground.device).read())[0]
    assert reading.quality is Quality.BAD
    assert "without an end" in reading.error


async def test_the_only_meter_of_a_line_tells_its_address() -> None:
    async with served(Dlt645Ground()) as driver:
        assert await driver.find() == ADDRESS


async def test_an_answer_of_another_meter_is_never_taken() -> None:
    ground = Dlt645Ground()
    async with served(ground) as driver:
        right = ground.frame
        ground.frame = lambda control, data: _of_another(right(control, data))  # type: ignore[method-assign]
        with pytest.raises(UnreachableError, match="other answers came") as caught:
            await driver.station(ground.device).read()
        assert not caught.value.link


def _of_another(frame: bytes) -> bytes:
    body = bytearray(frame.lstrip(b"\xfe"))
    body[1] ^= 0x01
    body[-2] = sum(body[:-2]) % 256
    return bytes(body)


async def test_a_late_answer_does_not_meet_the_next_question() -> None:
    ground = Dlt645Ground()
    ground.show({COUNTER: 1.0})
    async with served(ground) as driver:
        station = driver.station(ground.device)
        ground.trouble(Trouble.SLOW)
        with pytest.raises(UnreachableError):
            await station.read()
        ground.trouble(None)
        await asyncio.sleep(0.6)
        ground.show({COUNTER: 2.0})
        assert (await station.read())[0].value == 2.0


async def test_a_silent_meter_is_not_the_line_and_its_neighbour_is_read() -> None:
    ground = Dlt645Ground()
    async with served(ground) as driver:
        dead = driver.station(replace(ground.device, address="1"))
        with pytest.raises(UnreachableError, match="no answer from meter 000000000001") as caught:
            await dead.read()
        assert not caught.value.link
        assert (await driver.station(ground.device).read())[0].quality is Quality.GOOD


async def test_a_dead_end_is_the_whole_line() -> None:
    line = Dlt645Line(driver="dlt645", code="L", gateway="G", host=HOST, port=free_port(), poll_s=1)
    driver = Dlt645Driver(line, lambda: NOW)
    with pytest.raises(UnreachableError, match="it refuses the connection") as caught:
        await driver.station(Dlt645Ground().device).read()
    assert caught.value.link
    await driver.close()


@pytest.mark.parametrize(
    ("how", "sentence"), [(Trouble.REFUSING, "password"), (Trouble.MALFORMED, "checksum"), (Trouble.HUGE, "more than")]
)
async def test_a_no_and_rubbish_are_bad_readings_with_the_reason(how: Trouble, sentence: str) -> None:
    ground = Dlt645Ground()
    async with served(ground) as driver:
        ground.trouble(how)
        readings = await driver.station(ground.device).read()
        assert [reading.value for reading in readings] == [None] * 3
        assert all(sentence in reading.error for reading in readings)
        ground.trouble(None)
        assert (await driver.station(ground.device).read())[0].quality is Quality.GOOD


async def test_a_converter_that_restarts_is_found_again_every_time() -> None:
    ground = Dlt645Ground()
    async with served(ground) as driver:
        station = driver.station(ground.device)
        for _ in range(20):
            assert (await station.read())[0].quality is Quality.GOOD
            await ground.stop()
            await ground.start()


async def test_nothing_is_written_and_other_profiles_are_refused() -> None:
    ground = Dlt645Ground()
    driver = driver_of(ground.line, lambda: NOW)
    with pytest.raises(MisconfiguredError, match="only read"):
        await driver.station(ground.device).write(GAUGE, 1.0)
    other = device_of(
        '\ncode = "x"\ntitle = "x"\ntable = "input"\n[[measure]]\nname = "a"\nkind = "gauge"\nunit = ""\n'
        'address = 1\nencoding = "uint16"\n',
        "x",
        "1",
    )
    with pytest.raises(MisconfiguredError, match="not of dlt645"):
        driver.station(other)


@asynccontextmanager
async def on_a_serial_port(ground: Dlt645Ground) -> AsyncIterator[Callable[[], Dlt645Driver]]:
    """The meter behind a pseudo terminal."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    loop, data = asyncio.get_running_loop(), b""

    def serve() -> None:
        nonlocal data
        question, data = ground.split(data + os.read(ours, 500))
        if question is not None:
            os.write(ours, question[:4] + ground.answer(question))  # noise first: the beginning of an echo

    loop.add_reader(ours, serve)
    line = Dlt645Line.model_validate(
        {"driver": "dlt645", "code": "L", "gateway": "G", "poll_s": 1, "timeout_s": 0.5, "delay_s": 0.01,
         "serial": {"port": os.ttyname(theirs), "baud": 2400, "parity": "N"}}
    )  # fmt: skip
    try:
        yield lambda: Dlt645Driver(line, lambda: NOW)
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


async def test_a_meter_on_a_serial_port_is_read() -> None:
    ground = Dlt645Ground()
    ground.show({COUNTER: 42.42})
    async with on_a_serial_port(ground) as open_driver:
        driver = open_driver()
        assert (await driver.station(ground.device).read())[0].value == 42.42
        await driver.close()
        await driver.close()
        assert (await driver.station(ground.device).read())[0].value == 42.42
        await driver.close()


async def test_a_serial_port_that_is_not_there_is_the_whole_line() -> None:
    line = Dlt645Line.model_validate(
        {"driver": "dlt645", "code": "L", "gateway": "G", "poll_s": 1, "serial": {"port": "/dev/none"}}
    )
    driver = Dlt645Driver(line, lambda: NOW)
    with pytest.raises(UnreachableError, match="cannot be opened") as caught:
        await driver.station(Dlt645Ground().device).read()
    assert caught.value.link


def test_the_step_of_a_measure_is_its_last_decimal() -> None:
    assert measure().step == Decimal("0.0001")
