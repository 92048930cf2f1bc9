"""CJ/T 188: published frames, units that the meter chooses, and answers that belong to their question."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drivers.catalogue import driver_of, parse
from drivers.cjt188.fields import decode, fields
from drivers.cjt188.frame import Frame, encode, take
from drivers.cjt188.line import Cjt188Driver
from drivers.errors import MisconfiguredError, UnreachableError
from drivers.profile import InvalidProfileError
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.ground_cjt188 import PROFILE, Cjt188Ground

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WATER, HEAT = 0x10, 0x20
# Frames that makers and users of meters have published, and what they say of them.
ASKED = [
    ("FE FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16", WATER, "78330011223344", "1F 90 00"),
    ("68 10 88 05 27 10 15 20 00 01 03 90 1F 01 25 16", WATER, "00201510270588", "90 1F 01"),
    ("FE FE FE FE 68 20 32 41 31 40 00 00 00 01 03 90 1F 01 20 16", HEAT, "00000040314132", "90 1F 01"),
]
ANSWERED = [
    ("68 10 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C 00 00 00 00 2C 00 00 00 00 00 00 00 00 00 48 16",
     WATER, {"volume": 123.0, "settlement_volume": 0.0, "valve": 0.0, "battery": 0.0}),
    ("68 10 18 02 12 20 20 00 00 81 16 90 1F 00 00 02 00 00 2C 00 02 00 00 2C 00 00 00 00 00 00 00 00 FF 85 16",
     WATER, {"volume": 2.0, "settlement_volume": 2.0, "valve": 0.0}),
    ("68 10 01 00 23 09 18 20 00 81 16 90 1F 01 60 00 00 00 2C 60 00 00 00 2C 60 20 20 00 00 00 00 00 00 DC 16",
     WATER, {"volume": 0.6, "settlement_volume": 0.6}),
    ("FE FE 68 10 45 41 10 05 15 33 78 81 16 90 1F AA 00 59 59 00 2C FF FF FF FF 2C FF FF FF FF FF FF FF 00 00 C2 16",
     WATER, {"volume": 5959.0, "settlement_volume": None}),
]  # fmt: skip


@asynccontextmanager
async def served(ground: Cjt188Ground) -> AsyncIterator[Cjt188Driver]:
    await ground.start()
    driver = driver_of(ground.line, lambda: NOW)
    assert isinstance(driver, Cjt188Driver)
    try:
        yield driver
    finally:
        await driver.close()
        await ground.stop()


@pytest.mark.parametrize(("wire", "kind", "address", "data"), ASKED)
def test_a_published_question_is_read_and_written_as_it_stands(wire: str, kind: int, address: str, data: str) -> None:
    frame = Frame(kind, address, 0x01, bytes.fromhex(data))
    assert take(bytes.fromhex(wire)).frame == frame
    assert encode(frame).lstrip(b"\xfe") == bytes.fromhex(wire).lstrip(b"\xfe")


@pytest.mark.parametrize(("wire", "kind", "values"), ANSWERED)
def test_a_published_answer_has_the_values_that_were_published(
    wire: str, kind: int, values: dict[str, float | None]
) -> None:
    frame = take(bytes.fromhex(wire)).frame
    assert frame is not None
    assert (frame.kind, frame.control) == (kind, 0x81)
    there = fields(kind)
    units = {name: "m³" if there[name].coded else "" for name in values}
    assert {name: decode(there[name], frame.data[3:], units[name]).value for name in values} == values


def test_a_published_heat_meter_tells_units_before_numbers() -> None:
    frame = take(
        bytes.fromhex("68 20 32 41 31 40 00 00 00 81 2E 90 1F 01 08 02 00 00 00 08 02 00 00 00 17 00 00 00 00 35 00 00")
        + bytes.fromhex("00 00 2C 34 10 00 00 35 25 00 66 25 00 00 00 00 53 00 12 10 07 15 20 00 00 31 16")
    ).frame
    assert frame is not None
    units = {"energy": "MWh", "power": "kW", "flow": "m³/h", "volume": "m³", "supply_temperature": "°C",
             "return_temperature": "°C", "hours": "h", "valve": ""}  # fmt: skip
    told = [decode(fields(HEAT)[n], frame.data[3:], u, unit_first=True).value for n, u in units.items()]
    assert told == [0.02, 0.0, 0.0, 10.34, 25.35, 25.66, 0.0, 0.0]


def test_a_published_answer_with_a_wrong_sum_is_none() -> None:
    taken = take(
        bytes.fromhex("68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21")
        + bytes.fromhex("84 08 16")
    )
    assert taken.frame is None
    assert taken.spoilt


async def test_one_question_gives_all_fields_of_a_heat_meter() -> None:
    ground = Cjt188Ground()
    ground.show({COUNTER: 123456.78, GAUGE: 12.34, SETPOINT: 25.66})
    async with served(ground) as driver:
        station = driver.station(ground.device)
        readings = await station.read()
    assert station.plan == ("901F",)
    assert [reading.value for reading in readings] == [123456.78, 12.34, 25.66]
    assert readings[0].raw == (0x78, 0x56, 0x34, 0x12, 0x05)
    assert len(ground.asked) == 1


@pytest.mark.parametrize(
    ("code", "value", "sentence"),
    [(0x08, 12340.0, ""), (0x02, 0.01234, ""), (0x11, None, "GJ"), (0x77, None, "77H"), (0x35, None, "m³/h")],
)
async def test_the_unit_that_the_meter_has_chosen_counts(code: int, value: float | None, sentence: str) -> None:
    ground = Cjt188Ground()
    ground.show({COUNTER: 12.34})
    ground.units[COUNTER] = code
    async with served(ground) as driver:
        reading = (await driver.station(ground.device).read())[0]
    assert reading.value == value
    assert reading.quality is (Quality.BAD if value is None else Quality.GOOD)
    assert sentence in reading.error


@pytest.mark.parametrize(("status", "valve", "battery"), [(0b000, 0, 0), (0b001, 1, 0), (0b011, 3, 0), (0b100, 0, 1)])
def test_status_bits_are_states(status: int, valve: int, battery: int) -> None:
    data = bytes(17) + bytes([status, 0x84])
    there = fields(WATER)
    assert decode(there["valve"], data, "").value == valve
    assert decode(there["battery"], data, "").value == battery
    assert decode(there["status"], data, "").value == status + 0x8400


async def test_an_answer_to_another_question_is_never_taken() -> None:
    ground = Cjt188Ground()
    async with served(ground) as driver:
        right = ground.frame
        ground.frame = lambda control, data: right(control, data[:2] + bytes([data[2] ^ 1]) + data[3:])  # type: ignore[method-assign]
        with pytest.raises(UnreachableError, match="other answers came"):
            await driver.station(ground.device).read()


async def test_a_silent_meter_is_not_the_line() -> None:
    ground = Cjt188Ground()
    async with served(ground) as driver:
        with pytest.raises(UnreachableError, match="no answer from meter 00000000000009") as caught:
            await driver.station(replace(ground.device, address="9")).read()
        assert not caught.value.link
        assert (await driver.station(ground.device).read())[0].quality is Quality.GOOD


@pytest.mark.parametrize(
    ("how", "sentence"),
    [(Trouble.REFUSING, "refuses"), (Trouble.MALFORMED, "checksum"), (Trouble.HUGE, "more than")],
)
async def test_a_no_and_rubbish_are_bad_readings_with_the_reason(how: Trouble, sentence: str) -> None:
    ground = Cjt188Ground()
    async with served(ground) as driver:
        ground.trouble(how)
        readings = await driver.station(ground.device).read()
        assert all(reading.value is None and sentence in reading.error for reading in readings)
        ground.trouble(None)
        assert (await driver.station(ground.device).read())[0].quality is Quality.GOOD


@pytest.mark.parametrize("how", [Trouble.SILENT, Trouble.HALF, Trouble.SLOW])
async def test_no_whole_answer_in_time_is_no_answer(how: Trouble) -> None:
    ground = Cjt188Ground()
    async with served(ground) as driver:
        ground.trouble(how)
        with pytest.raises(UnreachableError):
            await driver.station(ground.device).read()
        ground.trouble(None)
        assert (await driver.station(ground.device).read())[0].quality is Quality.GOOD


async def test_a_converter_that_restarts_is_found_again_every_time() -> None:
    ground = Cjt188Ground()
    async with served(ground) as driver:
        station = driver.station(ground.device)
        for _ in range(20):
            assert (await station.read())[0].quality is Quality.GOOD
            await ground.stop()
            await ground.start()


async def test_nothing_is_written() -> None:
    ground = Cjt188Ground()
    with pytest.raises(MisconfiguredError, match="only read"):
        await driver_of(ground.line, lambda: NOW).station(ground.device).write("valve", 1.0)


def test_a_field_that_the_kind_of_meter_lacks_is_refused() -> None:
    with pytest.raises(InvalidProfileError, match="has no field 'power'"):
        parse(
            PROFILE.replace("kind = 0x20", "kind = 0x10").replace('field = "energy"', 'field = "volume"'),
            "ground-cjt188",
        )
    with pytest.raises(InvalidProfileError, match="cannot be read in 'kWh'"):
        parse(PROFILE.replace('unit = "°C"', 'unit = "kWh"'), "ground-cjt188")
