"""Looking round on a line: which units answer, what they say that they are, which profile reads sense from them."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.driver import Asked, Device
from drivers.errors import DriverError, UnreachableError
from drivers.modbus.blocks import Request, Span
from drivers.modbus.line import ModbusDriver
from drivers.modbus.plate import ask_plates
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Table
from rules.model.line import ModbusLine
from rules.model.point import Kind, Point
from rules.model.quality import Quality
from rules.model.reading import Reading

LIKELY_MOST = 3
LIKELY_SHARE = 0.9  # of the measures have to make sense
NAMED = 2.0  # a device that names the model outweighs any figure
SILENCES_MAX = 2  # a unit that lets so many profiles' questions pass is not asked by more
WORD_LETTERS_MIN = 4  # shorter words of a title say nothing

# What a value of this unit is on a live installation: from, to, and whether zero says nothing.
_SENSIBLE: Mapping[str, tuple[float, float, bool]] = {
    "V": (80.0, 500.0, False),
    "Hz": (45.0, 65.0, False),
    "A": (-6_000.0, 6_000.0, True),
    "kW": (-10_000.0, 10_000.0, True),
    "kWh": (0.0, 1e9, True),
    "m³": (0.0, 1e8, True),
    "m³/h": (-1_000.0, 1_000.0, True),
    "°C": (-60.0, 200.0, False),
    "": (-1e6, 1e6, True),
}


@dataclass(frozen=True, slots=True)
class Likely:
    """A profile that fits: which share of its measures makes sense, above 1 when the device names the model."""

    profile: ModbusProfile
    share: float
    plate: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that answers, what it says that it is, and the profiles that fit best."""

    unit: int
    identity: Mapping[str, str]
    likely: tuple[Likely, ...]


async def scan(
    line: ModbusLine, units: Iterable[int], profiles: Sequence[ModbusProfile], now: Callable[[], datetime]
) -> AsyncIterator[Found]:
    """Ask one unit after the other; raises UnreachableError when the line itself is dead."""
    driver = ModbusDriver(line, now)
    try:
        for unit in units:
            if await _answers(driver, unit):
                identity = await driver.identify(unit)
                yield Found(unit, identity, await _likely(driver, unit, identity, profiles))
    finally:
        await driver.close()


async def _answers(driver: ModbusDriver, unit: int) -> bool:
    """Whether a unit says anything at all; a refusal is an answer too."""
    try:
        await driver.ask(Request(unit, Table.HOLDING, (Span(0, 1),)))
    except UnreachableError as error:
        if error.link:
            raise
        return False
    except DriverError:
        return True
    return True


async def _likely(
    driver: ModbusDriver, unit: int, identity: Mapping[str, str], profiles: Sequence[ModbusProfile]
) -> tuple[Likely, ...]:
    found: list[Likely] = []
    silences = 0
    for profile in profiles:
        if silences > SILENCES_MAX:
            break
        try:
            share = _sense(await driver.station(_device(unit, profile)).read(), profile)
            plate = await ask_plates(driver, unit, profile) if share >= LIKELY_SHARE else {}
        except UnreachableError:
            silences += 1
            continue
        except DriverError:
            continue
        said = " ".join([*identity.values(), *plate.values()])
        if share >= LIKELY_SHARE:
            found.append(Likely(profile, share + NAMED * names(profile, said), plate))
    return tuple(sorted(found, key=lambda one: -one.share)[:LIKELY_MOST])


def _device(unit: int, profile: ModbusProfile) -> Device:
    points = tuple(
        Asked(Point(f"U.{m.name}", "U", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in profile.measure
    )
    return Device("U", str(unit), profile, points)


def _sense(readings: Sequence[Reading], profile: ModbusProfile) -> float:
    """Give the share of a profile's measures that make sense; 0 when all that came could be nothing."""
    kinds = {f"U.{measure.name}": measure for measure in profile.measure}
    makes = [_makes_sense(reading, kinds[reading.point].unit, kinds[reading.point].kind) for reading in readings]
    if all(reading.value in (None, 0.0) for reading in readings):
        return 0.0
    return sum(makes) / len(makes)


def _makes_sense(reading: Reading, unit: str, kind: Kind) -> bool:
    if reading.value is None or reading.quality is not Quality.GOOD:
        return False
    low, high, zero = _SENSIBLE.get(unit, (-1e9, 1e9, True))
    if kind is Kind.STATE:
        return 0 <= reading.value < 1 << 16
    return low <= reading.value <= high or (zero and reading.value == 0)


def names(profile: ModbusProfile, said: str) -> bool:
    """Whether what a device says of itself names the model of a profile."""
    heard = said.lower().replace("-", "").replace(" ", "")
    words = profile.title.lower().replace("/", " ").split()
    models = [word for word in words if len(word) >= WORD_LETTERS_MIN and any(letter.isdigit() for letter in word)]
    expected = [plate.expect.lower() for plate in profile.nameplate.plates.values() if plate.expect]
    return any(word.replace("-", "") in heard for word in (*models, *expected))
