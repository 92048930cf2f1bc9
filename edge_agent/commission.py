"""Commissioning: the engineer's look at a meter's face beside the platform's, kept as a signed record.

The record (``rules.meter.look``) goes to the hub, which then knows which counters bills may stand on.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from drivers.catalogue import driver_of
from drivers.driver import Asked, Device
from edge_agent.clock import Clock
from edge_agent.config import PolledLine, load_all, read
from rules.meter import look
from rules.meter.commission import Pace, Suspect, compare, movement
from rules.meter.look import TRUSTED_PACES, Look, trusted
from rules.model.point import Kind
from rules.model.quality import Quality
from rules.model.reading import Reading, exact

POWER = "power"  # the measure that says how fast ``energy`` counts
ENERGY_UNIT, POWER_UNIT = "kWh", "kW"

SAYINGS = {
    Suspect.DECIMALS: "a power of ten apart: the decimal point or the unit of the profile is wrong",
    Suspect.MULTIPLIER: "the CT/PT ratio apart: it is counted once too often, or not at all",
    Suspect.OTHER_METER: "nothing simple explains it: check address, wiring and word order",
}


class CommissionError(ValueError):
    """The record cannot be used, or a figure is none; one sentence."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A point that bills may stand on, where it is read, and the CT/PT ratio that comes after it."""

    line: PolledLine
    device: Device
    asked: Asked
    multiplier: Decimal


@dataclass(frozen=True, slots=True)
class Round:
    """What an engineer goes round for."""

    site: str
    counters: tuple[Counter, ...]


def counters(path: Path, only: Sequence[str] = ()) -> Round:
    """Give the counters of a site file, or those that are named; raises InvalidConfigError or CommissionError."""
    file, _ = read(path)
    ratios = {device.code: device.multiplier for device in file.device}
    found = tuple(
        Counter(line, device, asked, ratios[device.code])
        for config in load_all(path)
        for line in config.lines
        for device in line.devices
        for asked in device.points
        if asked.point.kind is Kind.COUNTER and (not only or asked.point.code in only)
    )
    unknown = sorted(set(only) - {counter.asked.point.code for counter in found})
    if unknown:
        raise CommissionError(f"{path} has no counter {', '.join(unknown)}; 'edge read' lists the points")
    return Round(file.site.code, found)


async def ask(counter: Counter) -> Mapping[str, Reading]:
    """Read a counter's device once; gives its last readings by measure.  Raises UnreachableError."""
    driver, device = driver_of(counter.line.line, Clock().now), counter.device
    try:
        skip = len(device.code) + 1
        return {reading.point[skip:]: reading for reading in await driver.station(device).read()}
    finally:
        await driver.close()


def figure(text: str) -> Decimal:
    """Read what somebody typed from a face; raises CommissionError."""
    try:
        number = Decimal(text.strip().replace(" ", ""))
    except InvalidOperation:
        raise CommissionError(f"'{text[:40]}' is no number; type what the face shows, with a point: 4711.25") from None
    if not number.is_finite() or number < 0:
        raise CommissionError(f"'{text[:40]}' cannot stand on a face")
    return number


def judge(
    counter: Counter, face: Decimal, readings: tuple[Mapping[str, Reading], Mapping[str, Reading]],
    earlier: Look | None, by: str,
) -> Look:  # fmt: skip
    """Judge one look: the face was read between two readings of the device; ``earlier`` is the look before."""
    point, measure = counter.asked.point, counter.asked.measure
    first, last = (taken[measure] for taken in readings)
    seen = Look(point.code, point.unit, by, last.at, f"{face:f}", "", agrees=False)
    if first.value is None or last.value is None or not (first.quality is last.quality is Quality.GOOD):
        return replace(seen, said=first.error or last.error or "no good value")
    shown, counted = exact(first.value, point.resolution), exact(last.value - first.value, point.resolution)
    step = max(point.resolution, Decimal(1).scaleb(int(face.as_tuple().exponent)))
    found = compare(face, shown, step, counter.multiplier, later=max(Decimal(0), counted))
    seen = replace(seen, shown=f"{shown:f}", agrees=found.agrees, said=SAYINGS.get(found.suspect, ""))
    return _moved(counter.asked, seen, readings[1].get(POWER), earlier) if found.agrees else seen


def _moved(asked: Asked, seen: Look, power: Reading | None, earlier: Look | None) -> Look:
    if power is not None and power.value is not None and asked.point.unit == ENERGY_UNIT:
        seen = replace(seen, power=repr(power.value))
    if earlier is None or not earlier.agrees:
        return seen
    mean = (Decimal(earlier.power) + Decimal(seen.power)) / 2 if earlier.power and seen.power else None
    moved = movement(Decimal(earlier.shown), Decimal(seen.shown), asked.point.resolution, mean, seen.at - earlier.at)
    said = "" if moved.pace.value in TRUSTED_PACES else _pace_words(moved.pace, moved.counted, moved.expected)
    return replace(seen, pace=moved.pace.value, said=said)


def _pace_words(pace: Pace, counted: Decimal, expected: Decimal | None) -> str:
    meant = "" if expected is None else f", where its power means {expected:.3f}"
    return {
        Pace.BACKWARDS: f"it counted back by {-counted}",
        Pace.STANDS: f"it stands{meant}",
        Pace.REVERSED: "its power is negative: the current transformers stand the wrong way round",
    }.get(pace, f"it counted {counted}{meant}")


def load(path: Path) -> list[Look]:
    """Give the looks of a record, oldest first; none where there is no file.  Raises CommissionError."""
    if not path.exists():
        return []
    try:
        with path.open("rb") as file:
            return look.read(file.read(look.RECORD_BYTES_MAX + 1).decode())
    except (OSError, UnicodeDecodeError) as error:
        why = f"it cannot be read ({type(error).__name__})"
    except look.InvalidRecordError as error:
        why = str(error)
    raise CommissionError(f"{path} is no record of commissioning: {why}; move it aside and look again")


def save(path: Path, looks: Sequence[Look]) -> None:
    """Write a record, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(look.write(looks))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def report(wanted: Round, looks: Sequence[Look]) -> list[str]:
    """Give the record as lines for paper: every counter with its last look, and whether bills may stand on it."""
    last = {seen.point: seen for seen in looks}
    rows = [_row(counter.asked.point.code, last.get(counter.asked.point.code), looks) for counter in wanted.counters]
    return [f"Commissioning of site {wanted.site}", "", *rows, "", "Signed: ____________________  Date: ____________"]


def _row(point: str, seen: Look | None, looks: Sequence[Look]) -> str:
    if seen is None:
        return f"{point:<32} not looked at yet"
    verdict = "agrees; a second look is needed" if seen.good else "DIFFERS"
    return (
        f"{point:<32} face {seen.face:>14}  shown {seen.shown:>14} {seen.unit:<5} {seen.at:%Y-%m-%d %H:%M} UTC  "
        f"{seen.by:<16} {'TRUSTED FOR BILLING' if trusted(looks, point) else verdict}"
        f"{f': {seen.said}' if seen.said else ''}"
    )
