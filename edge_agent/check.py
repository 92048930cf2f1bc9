"""Look before running: what would be polled, who answers, what they say now."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.catalogue import driver_of
from drivers.driver import Cautioning, Device, Driver
from drivers.errors import UnreachableError
from edge_agent import words
from edge_agent.clock import Clock
from edge_agent.config import EdgeConfig, InvalidConfigError, PolledLine, load_all
from rules.model.point import Point
from rules.model.quality import Quality
from rules.model.reading import Reading


@dataclass(slots=True)
class Report:
    """The plan in words, and one sentence for every problem (none: all is well)."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def check(path: Path) -> Report:
    """Check a site file and ask every device once."""
    try:
        configs = load_all(path)
    except InvalidConfigError as error:
        return Report(problems=error.problems)
    lines = [line for config in configs for line in config.lines]
    cautions: list[str] = []
    answers = await asyncio.gather(*(_ask_line(line, cautions) for line in lines))
    problems = [problem for asked in answers for problem in _problems(asked)]
    return Report([*(said for config in configs for said in describe(config)), *cautions], problems)


async def ask(path: Path) -> list[tuple[Point, Reading]]:
    """Ask every point once; of several readings of a point the newest counts.  Raises InvalidConfigError."""
    lines = [line for config in load_all(path) for line in config.lines]
    answers = await asyncio.gather(*(_ask_line(line) for line in lines))
    return [
        (polled.point, newest[polled.point.code])
        for asked in answers
        for device, readings, _ in asked
        for newest in ({reading.point: reading for reading in readings},)
        for polled in device.points
        if polled.point.code in newest
    ]


async def read(path: Path) -> list[dict[str, Any]]:
    """Ask every point once; gives JSON-ready rows.  Raises InvalidConfigError."""
    return [_row(point, reading) for point, reading in await ask(path)]


def _row(point: Point, reading: Reading) -> dict[str, Any]:
    """Give a reading as JSON has it."""
    return {
        "point": reading.point,
        "value": reading.value,
        "unit": point.unit,
        "quality": reading.quality.name.lower(),
        "at": reading.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "raw": list(reading.raw),
        "error": reading.error,
    }


def shown(point: Point, reading: Reading) -> str:
    """Give a reading as a line for people, to the digits that the device resolves."""
    _, _, exponent = point.resolution.as_tuple()
    digits = max(-int(exponent), 0)
    value = "no value" if reading.value is None else f"{reading.value:.{digits}f} {point.unit}"
    return f"{point.code:<32} {reading.error or value:<40} {reading.quality.name.lower()}"


_Answer = tuple[Device, list[Reading], UnreachableError | None]


async def _ask_line(line: PolledLine, cautions: list[str] | None = None) -> list[_Answer]:
    """Ask all devices of a line once, one after the other; a dead link is tried once."""
    clock = Clock()
    driver = driver_of(line.line, clock.now)
    answers: list[_Answer] = []
    down: UnreachableError | None = None
    for device in line.devices:
        answer = _lost(device, down, clock) if down else await _ask_device(driver, device, clock)
        answers.append(answer)
        down = answer[2] if answer[2] is not None and answer[2].link else None
    if cautions is not None and isinstance(driver, Cautioning):
        cautions.extend(f"  line {line.code}: {said}." for said in driver.cautions)
    await driver.close()
    return answers


async def _ask_device(driver: Driver, device: Device, clock: Clock) -> _Answer:
    try:
        return device, await driver.station(device).read(), None
    except UnreachableError as error:
        return _lost(device, error, clock)


def _lost(device: Device, error: UnreachableError, clock: Clock) -> _Answer:
    at = clock.now()
    readings = [Reading(p.point.code, at, None, Quality.BAD, error=str(error)) for p in device.points]
    return device, readings, error


def _problems(asked: Iterable[_Answer]) -> Iterable[str]:
    for device, readings, error in asked:
        if error is not None:
            yield f"device '{device.code}' is unreachable: {error}."
            continue
        for reading in readings:
            if reading.error:
                yield f"point '{reading.point}' has no good value: {reading.error}."


def describe(config: EdgeConfig) -> list[str]:
    """Say the plan of a gateway in words, one line per line and one per device."""
    said = [f"gateway {config.gateway} of site {config.site}: {_count(len(config.lines), 'line')}"]
    for polled in config.lines:
        driver = driver_of(polled.line, Clock().now)
        plans = [(device, driver.station(device).plan) for device in polled.devices]
        said.append(
            f"  line {polled.code} ({polled.line.place}) every {polled.line.poll_s:g} s: "
            f"{_count(len(plans), 'device')}, {_count(sum(len(plan) for _, plan in plans), 'request')} a cycle"
        )
        said.extend(_planned(device, plan) for device, plan in plans)
    return [*said, *words.judged(config), *words.allowed(config)]


def _planned(device: Device, plan: tuple[str, ...]) -> str:
    where = f", address {device.address}" if device.address else ""
    return (
        f"    {device.code} ({device.profile.code}{where}): "
        f"{_count(len(device.points), 'point')} in {_count(len(plan), 'request')}: {', '.join(plan)}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
