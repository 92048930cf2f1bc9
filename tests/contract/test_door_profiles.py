"""Every shipped profile of a camera, a door or a reader reads right from a device that has what it names."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.catalogue import driver_of, load, names, parse
from drivers.driver import Station
from drivers.onvif.profile import OnvifProfile
from drivers.osdp.profile import OsdpProfile
from drivers.profile import InvalidProfileError
from rules.model.line import OnvifLine, OsdpLine
from simulators.onvif_device import OnvifDevice
from simulators.osdp_reader import Converter, OsdpReader
from tests.contract.event_ground import device_of
from tests.field import HOST, free_port

ONVIF = [name for name in names() if isinstance(load(name), OnvifProfile)]
OSDP = [name for name in names() if isinstance(load(name), OsdpProfile)]
TRIES = 30  # a reader pushes its states one by one
SETTABLE = ("output", "led", "buzzer")


async def read(station: Station, wanted: Mapping[str, float]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for _ in range(TRIES):
        found = {reading.point.partition(".")[2]: reading.value for reading in await station.read()}
        if wanted.items() <= found.items() and None not in found.values():
            break
        await asyncio.sleep(0.1)
    return found


@pytest.mark.parametrize("name", ONVIF)
async def test_an_onvif_profile_reads_every_measure(name: str) -> None:
    profile = load(name)
    assert isinstance(profile, OnvifProfile)
    port = free_port()
    server = OnvifDevice(port, doors=("D1",))
    told = [measure for measure in profile.measure if measure.origin == "event"]
    server._states = {(measure.topic, measure.item): bool(n % 2) for n, measure in enumerate(told)}
    await server.start()
    line = OnvifLine(driver="onvif", code="L", gateway="G", url=f"http://{HOST}:{port}/onvif", poll_s=1)
    driver = driver_of(line, lambda: datetime.now(UTC))
    address = "D1" if any(measure.origin == "door" for measure in profile.measure) else ""
    wanted = {measure.name: float(n % 2) for n, measure in enumerate(told)}
    found = await read(driver.station(device_of(profile, "X", address)), wanted)
    assert wanted.items() <= found.items()
    assert None not in found.values()
    await driver.close()
    await server.stop()
    assert profile.source.startswith("https://")


@pytest.mark.parametrize("name", OSDP)
async def test_an_osdp_profile_reads_every_measure_and_sets_what_can_be_set(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    profile = load(name)
    assert isinstance(profile, OsdpProfile)
    port = free_port()
    reader = OsdpReader(7)
    converter = Converter(port, [reader])
    reader.tamper(on=True)
    await converter.start()
    line = OsdpLine(driver="osdp", code="L", gateway="G", host=HOST, port=port, poll_s=1)
    driver = driver_of(line, lambda: datetime.now(UTC))
    station = driver.station(device_of(profile, "X", "7"))
    told = [measure.name for measure in profile.measure if measure.origin not in SETTABLE]
    found = await read(station, {"tamper": 1.0})
    assert found["tamper"] == 1.0
    assert None not in [found[measure] for measure in told]
    for measure in profile.measure:
        if measure.origin in SETTABLE:
            assert (await station.write(measure.name, 1)).value == 1.0
    await driver.close()
    await converter.stop()
    assert profile.source.startswith("https://")


MEASURE = '[[measure]]\nname = "a"\nkind = "{kind}"\nunit = ""\nfrom = "{origin}"\n'
WRONG = (
    ("onvif", MEASURE.format(kind="state", origin="event"), "needs topic and item"),
    ("onvif", MEASURE.format(kind="state", origin="door") + 'item = "Colour"', "needs an item of"),
    ("onvif", MEASURE.format(kind="gauge", origin="snapshot"), "is a state"),
    ("onvif", MEASURE.format(kind="state", origin="snapshot") + 'writes = { 1 = "AccessDoor" }', "at a door"),
    (
        "onvif",
        MEASURE.format(kind="state", origin="door") + 'item = "DoorMode"\nwrites = { x = "LockDoor" }',
        "numbers",
    ),
    ("onvif", MEASURE.format(kind="state", origin="door") + 'item = "DoorMode"\nwrites = { 1 = "Explode" }', "writes"),
    ("onvif", MEASURE.format(kind="state", origin="clock") + 'still = "motion"', "only at an event"),
    ("onvif", MEASURE.format(kind="state", origin="nothing"), "from"),
    ("osdp", MEASURE.format(kind="gauge", origin="input"), "is a state"),
    ("osdp", MEASURE.format(kind="state", origin="input") + "momentary_s = 5", "only an output"),
    ("osdp", MEASURE.format(kind="state", origin="input") + "number = 32", "number"),
    ("osdp", MEASURE.format(kind="state", origin="forced"), "does not have"),
    ("osdp", '[door]\ncontact = "a"\nlock = "a"\n' + MEASURE.format(kind="state", origin="input"), "from an output"),
)


@pytest.mark.parametrize(("protocol", "text", "said"), WRONG)
def test_a_profile_that_cannot_be_is_refused_with_its_reason(protocol: str, text: str, said: str) -> None:
    with pytest.raises(InvalidProfileError, match=said):
        parse(f'code = "x"\ntitle = "x"\nprotocol = "{protocol}"\n{text}', "x")
