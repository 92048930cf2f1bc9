"""Devices that mean harm, or are very broken: little memory, little time, and the others are read as ever."""

import asyncio
import logging
import resource
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bacpypes3.apdu import ReadPropertyMultipleACK
from bacpypes3.basetypes import ReadAccessResult, ReadAccessResultElement, ReadAccessResultElementChoice
from bacpypes3.constructeddata import Any as AnyValue
from bacpypes3.constructeddata import SequenceOf
from bacpypes3.primitivedata import (
    BitString,
    Boolean,
    CharacterString,
    Date,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    OctetString,
    Real,
    Time,
    Unsigned,
)

from drivers.bacnet.line import BacnetDriver, BacnetStation
from drivers.errors import DriverError, UnreachableError
from rules.model.line import BacnetLine
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.ground_bacnet import BacnetGround

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
HUGE_KB = 50_000
WAITS_MAX = 12  # times the line's time-out that a reading may take
RESTARTS = 100
STORM = 50
Mangle = Callable[[bytes], list[bytes]]


class Pair:
    """A device that can be made hostile, and a good one beside it on the same line."""

    def __init__(self, bad: BacnetGround, good: BacnetGround, driver: BacnetDriver) -> None:
        self.bad, self.good = bad, good
        self.bad_station: BacnetStation = driver.station(bad.device)
        self.good_station: BacnetStation = driver.station(good.device)

    def mangle(self, how: Mangle) -> None:
        """Answer everything in this way."""
        proxy = self.bad.proxy
        assert proxy is not None

        def answer(data: bytes, addr: tuple[str, int]) -> None:
            if proxy.transport is not None and not proxy.transport.is_closing():
                for one in how(data):
                    proxy.transport.sendto(one, addr)

        proxy.answer = answer  # type: ignore[method-assign]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    bad, good = BacnetGround(), BacnetGround()
    for ground in (bad, good):
        ground.show(SHOWN)
        await ground.start()
    assert isinstance(bad.line, BacnetLine)
    driver = BacnetDriver(bad.line, lambda: datetime.now(UTC))
    yield Pair(bad, good, driver)
    await driver.close()
    for ground in (bad, good):
        await ground.stop()


async def read(station: BacnetStation) -> list[Reading] | DriverError:
    try:
        return await station.read()
    except DriverError as error:
        return error


def head(data: bytes) -> tuple[bytes, int]:
    """The wrapping of an answer, and the number of its question."""
    return data[:2], data[7]


def framed(apdu: bytes) -> bytes:
    return b"\x81\x0a" + (len(apdu) + 6).to_bytes(2, "big") + b"\x01\x00" + apdu


def aborts(data: bytes) -> list[bytes]:
    return [framed(bytes([0x71, (data[7] + n) % 256, n % 12])) for n in range(STORM)]


def rejects(data: bytes) -> list[bytes]:
    return [framed(bytes([0x60, (data[7] + n) % 256, n % 10])) for n in range(STORM)]


def errors(data: bytes) -> list[bytes]:
    return [framed(bytes([0x50, (data[7] + n) % 256, 12, 0x91, n % 8, 0x91, n % 120])) for n in range(STORM)]


def segments(data: bytes) -> list[bytes]:
    """Segments of an answer that never ends: ASHRAE 135, clause 20.1.5."""
    return [framed(bytes([0x3C, data[7], n % 256, 127, 14]) + b"\xaa" * 1400) for n in range(256)]


def nested(data: bytes) -> list[bytes]:
    """An answer of opening tags only."""
    return [framed(bytes([0x30, data[7], 14]) + b"\x0e" * 1400)]


def lengths(data: bytes) -> list[bytes]:
    """A tag that promises four gigabytes."""
    return [framed(bytes([0x30, data[7], 14]) + b"\x0c\x00\x00\x00\x01\x1e\x29\x55\x4e\x7d\xff\xff\xff\xff\xff\x00")]


@pytest.mark.parametrize("how", [aborts, rejects, errors, segments, nested, lengths])
async def test_storms_of_answers_cost_little_and_the_neighbour_is_read(pair: Pair, how: Mangle) -> None:
    assert [r.value for r in await pair.bad_station.read()] == list(SHOWN.values())
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pair.mangle(how)
    begun = time.monotonic()
    for _ in range(3):
        bad, good = await asyncio.gather(read(pair.bad_station), read(pair.good_station))
        assert isinstance(good, list)
        assert [reading.value for reading in good] == list(SHOWN.values())
        assert isinstance(bad, UnreachableError) or {r.quality for r in bad if isinstance(r, Reading)} == {Quality.BAD}  # type: ignore[union-attr]
    assert time.monotonic() - begun < 3 * WAITS_MAX * pair.bad.line.timeout_s
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < HUGE_KB


STRANGE: list[Any] = [
    CharacterString("21.5"), CharacterString("x" * 1000), OctetString(b"\x00" * 900), Null(()), Boolean(1),
    Date((126, 11, 29, 7)), Time((1, 2, 3, 4)), BitString([1] * 400), ObjectIdentifier(("device", 1)),
    Enumerated(4_000_000_000), Unsigned(2**63), Integer(-(2**62)), Double(1e300), Double(float("inf")),
    Real(float("nan")), Real(-0.0),
]  # fmt: skip


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
async def test_a_list_of_strange_types_breaks_nothing(pair: Pair, value: Any) -> None:
    await pair.bad_station.read()
    app = pair.bad.app

    async def strange(apdu: Any) -> None:
        results = [
            ReadAccessResult(
                objectIdentifier=one.objectIdentifier,
                listOfResults=[
                    ReadAccessResultElement(
                        propertyIdentifier=named.propertyIdentifier,
                        readResult=ReadAccessResultElementChoice(propertyValue=AnyValue(value)),
                    )
                    for named in one.listOfPropertyReferences
                ],
            )
            for one in apdu.listOfReadAccessSpecs
        ]
        await app.response(
            ReadPropertyMultipleACK(listOfReadAccessResults=SequenceOf(ReadAccessResult)(results), context=apdu)
        )

    app.do_ReadPropertyMultipleRequest = strange
    app.do_ReadPropertyRequest = None
    for _ in range(2):
        readings = await read(pair.bad_station)
        assert isinstance(readings, UnreachableError | list)
        for reading in readings if isinstance(readings, list) else ():
            assert (reading.value is None) == (reading.quality is Quality.BAD)
            assert reading.value is None or abs(reading.value) < float("inf")
    assert [reading.value for reading in await pair.good_station.read()] == list(SHOWN.values())


async def test_a_busy_device_is_not_taken_for_another(pair: Pair) -> None:
    pair.mangle(lambda data: [framed(bytes([0x50, data[7], 12, 0x91, 0, 0x91, 3]))])
    readings = await pair.bad_station.read()
    assert all("does not say who it is" in reading.error for reading in readings)
    assert {reading.value for reading in readings} == {None}


async def test_noise_on_the_port_is_dropped_without_a_word(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await pair.good_station.read()
    assert pair.bad.proxy is not None
    assert pair.bad.proxy.transport is not None
    port = int(pair.bad.line.place.rpartition(":")[2])
    for n in range(2000):
        noise = bytes((n * 7 + k) % 256 for k in range(n % 60))
        pair.bad.proxy.transport.sendto(b"\x81\x0a" + noise if n % 2 else noise, ("127.0.0.1", port))
        pair.bad.proxy.transport.sendto(framed(bytes([0x10, 2]) + noise), ("127.0.0.1", port))  # told by nobody
    assert [reading.value for reading in await pair.good_station.read()] == list(SHOWN.values())
    assert caplog.records == []


async def test_a_silent_device_does_not_keep_its_neighbour_waiting(pair: Pair) -> None:
    await pair.bad_station.read()
    pair.bad.trouble(Trouble.SILENT)
    silent = asyncio.create_task(read(pair.bad_station))
    await asyncio.sleep(0)
    for _ in range(10):
        assert [reading.value for reading in await pair.good_station.read()] == list(SHOWN.values())
    assert not silent.done()
    assert isinstance(await silent, UnreachableError)


async def test_a_device_is_found_again_after_each_of_a_hundred_restarts(pair: Pair) -> None:
    for number in range(RESTARTS):
        await pair.bad.stop()
        await pair.bad.start()
        pair.bad.show({GAUGE: float(number)})
        assert [reading.value for reading in await pair.bad_station.read()][1] == float(number)
