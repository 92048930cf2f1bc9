"""M-Bus: published telegrams against another decoder, addressing, many telegrams, and what is no number."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import meterbus
import pytest

from drivers.catalogue import driver_of, parse
from drivers.errors import MalformedError, MisconfiguredError, UnreachableError
from drivers.mbus.frame import matches, secondary_bytes, select, short, take_long
from drivers.mbus.line import MbusDriver
from drivers.mbus.records import Function, Record, decode
from drivers.profile import InvalidProfileError
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.ground_dlt645 import device_of
from tests.contract.ground_mbus import PROFILE, SECONDARY, MbusGround

NOW = datetime(2026, 11, 24, tzinfo=UTC)
# Telegrams of real meters that a public M-Bus library publishes, and what their owners read.
MULTICAL_601 = (
    "68F7F768081172175885062D2C0804040000000C78175885060406E791000004142CDB00000422D90300000459B9270000045D08120000"
    "0461B1150000042D5B010000142DC0010000043B1F020000143B7402000084100600000000842006000000008440140000000084804014"
    "0000000084C0400600000000046D1A2F65114406518200004414B2C30000542D26020000543B03040000C4100600000000C42006000000"
    "00C4401400000000C480401400000000C4C0400600000000426C5F1C0F00000000E7E40000636600000000000000000000000000005BC9"
    "A50234530000E0B20300899C680000000000010001070709010300000000009816"
)
ULTRAHEAT_T230 = (
    "68E2E26808007205026666A7320704011000000974040970080C06000000000C14000000000B2D0000000B3B0000000B5A9501000B5E97"
    "01000B620200F00C7805026666891071073C22693700000C22693700000C26000000008C901006000000009B102D0000009B103B000000"
    "9B105A0703009B105E0705009410AD6F000000009410BB6F000000009410DA6F32147A189410DE6F2B0B69184C06000000004C14000000"
    "007C22693400004C2600000000CC90100600000000DB102D000000DB103B000000DB105A070300DB105E070500848F0F6D0000E1F1046D"
    "040C8D110F09070066017D16"
)
CYBLE = (
    "68 56 56 68 08 01 72 71 00 00 12 77 04 14 07 0A 30 00 00 0C 78 71 00 00 12 0D 7C 08 44 49 20 2E 74 73 75 63 0A 45"
    " 4C 42 59 43 20 54 53 45 54 04 6D 2B 0D 98 11 02 7C 09 65 6D 69 74 20 2E 74 61 62 F2 10 04 14 3D 30 00 00 04 94 7F"
    " 14 00 00 00 44 14 00 00 00 00 0F 10 01 1F 2F 16"
)
POLLUCOM_E = (
    "68 42 42 68 08 00 72 45 00 94 63 AE 4C 08 04 F9 00 00 00 0C 06 19 90 01 00 0C 13 19 11 62 01 0C 3B 00 00 00 00 0C"
    " 2B 00 00 00 00 02 5A 67 01 02 5E E9 00 03 60 46 31 00 0C 78 45 00 94 63 0C FD 10 45 00 94 63 1F B6 16"
)
SVM_F22 = (
    "68 5C 5C 68 08 01 72 89 60 00 01 CD 4E 09 0C 94 70 00 00 04 06 6E 6D 00 00 04 13 45 C6 09 00 84 40 13 45 C6 09 00"
    " 02 5B F3 00 02 5F F3 00 02 62 00 00 04 22 E2 18 00 00 04 26 DB 18 00 00 04 3B 00 00 00 00 04 2C 00 00 00 00 04 6D"
    " 0C 15 A8 22 84 40 6E 00 00 00 00 84 80 40 6E 00 00 00 00 1F A7 16"
)
REALS = (
    "68 31 31 68 08 01 72 45 58 57 03 B4 05 34 04 9E 00 27 B6 03 06 F9 34 15 03 15 C6 00 4D 05 2E 00 00 00 00 05 3D 00"
    " 00 00 00 05 5B 22 F3 26 42 05 5F C7 DA 0D 42 FA 16"
)
PUBLISHED = {
    "multical 601": (MULTICAL_601, {("energy", "instant", 0): 37351000.0, ("volume", "instant", 0): 561.08,
        ("supply_temperature", "instant", 0): 101.69, ("return_temperature", "instant", 0): 46.16,
        ("temperature_difference", "instant", 0): 55.53, ("power", "instant", 0): 34700.0,
        ("power", "maximum", 0): 44800.0, ("flow", "instant", 0): 0.543, ("on_time", "instant", 0): 985.0,
        ("energy", "instant", 1): 33361000.0, ("volume", "instant", 1): 500.98, ("power", "maximum", 1): 55000.0}),
    "ultraheat t230": (ULTRAHEAT_T230, {("supply_temperature", "instant", 0): 19.5,
        ("return_temperature", "instant", 0): 19.7, ("temperature_difference", "instant", 0): -0.2,
        ("on_time", "instant", 0): 3769.0, ("on_time", "error", 1): 3469.0}),
    "cyble water": (CYBLE, {("volume", "instant", 0): 123.49, ("volume", "instant", 1): 0.0}),
    "pollucom e": (POLLUCOM_E, {("energy", "instant", 0): 19019000.0, ("volume", "instant", 0): 1621.119,
        ("supply_temperature", "instant", 0): 35.9, ("return_temperature", "instant", 0): 23.3}),
    "svm f22": (SVM_F22, {("energy", "instant", 0): 28014000.0, ("volume", "instant", 0): 640.581,
        ("supply_temperature", "instant", 0): 243.0}),
    "reals": (REALS, {("supply_temperature", "instant", 0): pytest.approx(41.7374, abs=1e-4)}),
}  # fmt: skip


def records_of(text: str) -> tuple[Record, ...]:
    telegram = take_long(bytes.fromhex(text.replace(" ", ""))).frame
    assert telegram is not None
    return decode(telegram.data[12:]).records


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_telegram_has_the_values_that_were_published(name: str) -> None:
    text, expected = PUBLISHED[name]
    told = {
        (record.meaning.quantity, record.function.value, record.storage): record.value().value
        for record in records_of(text)
        if record.meaning is not None and not record.extensions and (record.tariff, record.subunit) == (0, 0)
    }
    assert {key: told[key] for key in expected} == expected


def test_another_decoder_reads_the_same_telegram_alike() -> None:
    theirs = [
        float(record.parsed_value)
        for record in meterbus.load(bytes.fromhex(MULTICAL_601)).records
        if str(record.unit) in ("Wh", "m^3", "C", "K", "W", "m^3/h")
    ]
    known = [record for record in records_of(MULTICAL_601) if record.meaning is not None]
    ours = [record.value().value for record in known if record.meaning is not None and record.meaning.unit != "h"]
    assert ours == pytest.approx(theirs)
    assert len(ours) > 20


@asynccontextmanager
async def served(ground: MbusGround) -> AsyncIterator[MbusDriver]:
    await ground.start()
    driver = driver_of(ground.line, lambda: NOW)
    assert isinstance(driver, MbusDriver)
    try:
        yield driver
    finally:
        await driver.close()
        await ground.stop()


def test_frames_are_those_of_the_standard() -> None:
    assert short(0x40, 1) == bytes.fromhex("10 40 01 41 16")
    assert short(0x7B, 1) == bytes.fromhex("10 7B 01 7C 16")
    assert select("12345678FFFFFFFF")[:15] == bytes.fromhex("68 0B 0B 68 53 FD 52 78 56 34 12 FF FF FF FF")
    assert secondary_bytes(SECONDARY) == bytes.fromhex("17 58 85 06 2D 2C 08 04")
    assert matches("06855817FFFFFFFF", secondary_bytes(SECONDARY))
    assert not matches("06855818FFFFFFFF", secondary_bytes(SECONDARY))


@pytest.mark.parametrize("address", ["5", SECONDARY, "06855817FFFFFFFF"])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_meter_is_read_by_either_address_in_one_telegram_or_many(address: str, *, apart: bool) -> None:
    ground = MbusGround(address, apart=apart)
    ground.show({COUNTER: 37351.123, GAUGE: -1.5, SETPOINT: 61.75})
    async with served(ground) as driver:
        station = driver.station(ground.device)
        for turn in range(3):
            ground.show({GAUGE: -1.5 - turn})
            assert [reading.value for reading in await station.read()] == [37351.123, -1.5 - turn, 61.75]


async def test_a_repeated_question_keeps_its_count_bit() -> None:
    ground = MbusGround(apart=True)
    ground.show({COUNTER: 1.0, GAUGE: 2.0, SETPOINT: 3.0})
    async with served(ground) as driver:
        await driver.station(ground.device).read()
        right, lost = ground.frame, [True]

        def spoil(information: int, data: bytes) -> bytes:
            frame = right(information, data)
            return frame[:-2] + b"\x00\x16" if lost and lost.pop() else frame

        ground.frame = spoil  # type: ignore[method-assign]
        assert [reading.value for reading in await driver.station(ground.device).read()] == [1.0, 2.0, 3.0]


async def test_a_meter_that_always_promises_more_is_asked_a_bounded_number_of_times() -> None:
    ground = MbusGround()
    ground.telegrams = lambda: [b"\x07\x03" + bytes(8) + b"\x1f"]  # type: ignore[method-assign]
    async with served(ground) as driver:
        readings = await driver.station(ground.device).read()
    assert readings[0].value == 0.0
    assert "no such record" in readings[1].error
    assert len(ground.asked) == 3


@pytest.mark.parametrize(
    ("record", "value", "sentence"),
    [
        ("0C 06 78 56 34 12", 12345678000.0, ""),
        ("0B 62 02 00 F0", -0.2, ""),
        ("0B 06 02 0A 00", None, "no decimal digits"),
        ("04 2B FF FF FF FF", -1.0, ""),
        ("04 2B 00 00 00 80", None, "not available"),
        ("05 2B 00 00 C0 7F", None, "no number"),
        ("04 AB 15 00 00 00 00", None, "no data available"),
        ("04 AB 18 00 00 00 00", None, "data error"),
        ("02 AB 75 0A 00", 1.0, ""),
        ("02 FD 48 E6 08", 227.8, ""),
        ("03 FD 59 39 30 00", 12.345, ""),
        ("04 FB 01 0A 00 00 00", 10.0, ""),
    ],
)
def test_a_record_is_a_number_or_says_why_not(record: str, value: float | None, sentence: str) -> None:
    (found,) = decode(bytes.fromhex(record)).records
    decoded = found.value()
    assert decoded.value == value
    assert sentence in decoded.error


def test_what_the_maker_qualifies_is_another_quantity() -> None:
    plain, own = decode(bytes.fromhex("04 14 3D 30 00 00 04 94 7F 14 00 00 00")).records
    assert (plain.extensions, own.extensions) == (b"", b"\x7f")
    assert own.function is Function.INSTANT


@pytest.mark.parametrize("data", ["04 06 00", "0C", "8C " + "80 " * 12, "0D 7C 40 00", "04 FC"])
def test_records_that_end_too_early_are_malformed(data: str) -> None:
    with pytest.raises(MalformedError):
        decode(bytes.fromhex(data))


async def test_a_permanent_error_makes_values_uncertain() -> None:
    ground = MbusGround()
    ground.status = 0x08
    async with served(ground) as driver:
        readings = await driver.station(ground.device).read()
    assert {reading.quality for reading in readings} == {Quality.UNCERTAIN}


async def test_an_answer_of_another_meter_is_never_taken() -> None:
    for ground in (MbusGround(SECONDARY), MbusGround()):
        async with served(ground) as driver:
            right = ground.frame
            other = bytes.fromhex("99 99 99 99 2D 2C 08 04")

            def strange(information: int, data: bytes, right: object = right, other: bytes = other) -> bytes:
                frame = bytearray(right(information, other + data[8:]))  # type: ignore[operator]
                frame[5] ^= 3
                frame[-2] = sum(frame[4:-2]) % 256
                return bytes(frame)

            ground.frame = strange  # type: ignore[method-assign]
            with pytest.raises(UnreachableError, match="other answers came"):
                await driver.station(ground.device).read()


async def test_a_fixed_structure_is_not_read() -> None:
    ground = MbusGround()
    ground.frame = lambda _ci, _data: bytes.fromhex("681313680805737856 34120A00E97E01000000350100003C16")  # type: ignore[method-assign]
    async with served(ground) as driver:
        reading = (await driver.station(ground.device).read())[0]
    assert reading.quality is Quality.BAD
    assert "73H" in reading.error


@pytest.mark.parametrize(
    ("how", "sentence"), [(Trouble.REFUSING, "too busy"), (Trouble.MALFORMED, "checksum"), (Trouble.HUGE, "more than")]
)
async def test_a_no_and_rubbish_are_bad_readings_with_the_reason(how: Trouble, sentence: str) -> None:
    ground = MbusGround()
    async with served(ground) as driver:
        right = ground._reply

        async def only_data(question: bytes, writer: object) -> None:
            ground.how = None if question[1] == 0x40 else how
            await right(question, writer)  # type: ignore[arg-type]

        ground._reply = only_data  # type: ignore[method-assign]
        readings = await driver.station(ground.device).read()
        assert all(reading.value is None and sentence in reading.error for reading in readings)
        how = None  # type: ignore[assignment]
        assert (await driver.station(ground.device).read())[0].quality is Quality.GOOD


async def test_a_converter_that_restarts_is_found_again_every_time() -> None:
    ground = MbusGround(SECONDARY)
    async with served(ground) as driver:
        station = driver.station(ground.device)
        for _ in range(20):
            assert (await station.read())[0].quality is Quality.GOOD
            await ground.stop()
            await ground.start()


async def test_nothing_is_written_and_a_profile_says_what_exists() -> None:
    ground = MbusGround()
    with pytest.raises(MisconfiguredError, match="only read"):
        await driver_of(ground.line, lambda: NOW).station(ground.device).write(GAUGE, 1.0)
    with pytest.raises(InvalidProfileError, match="no quantity 'speed'"):
        parse(PROFILE.replace('quantity = "power"', 'quantity = "speed"'), "ground-mbus")
    device = device_of(PROFILE.replace('unit = "kWh"', 'unit = "GJ"'), "ground-mbus", "5")
    async with served(ground) as driver:
        assert "no exact step" in (await driver.station(device).read())[0].error
