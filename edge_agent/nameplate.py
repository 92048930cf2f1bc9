"""What the devices of a site say that they are."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from drivers.catalogue import driver_of
from drivers.driver import Named
from drivers.errors import UnreachableError
from edge_agent.clock import Clock
from edge_agent.config import PolledLine, load_all


async def read(path: Path) -> dict[str, Mapping[str, str]]:
    """Ask every device of a site once; gives those that say something, by code.  Raises InvalidConfigError."""
    lines = [line for config in load_all(path) for line in config.lines]
    told: dict[str, Mapping[str, str]] = {}
    for said in await asyncio.gather(*(ask(line) for line in lines)):
        told |= said
    return told


async def ask(line: PolledLine) -> dict[str, Mapping[str, str]]:
    """Ask the devices of a line; those that do not answer or do not say are left out."""
    driver = driver_of(line.line, Clock().now)
    told = {}
    try:
        for device in line.devices:
            station = driver.station(device)
            if isinstance(station, Named) and (said := await station.nameplate()):
                told[device.code] = said
    except UnreachableError:
        pass  # the readings say so
    finally:
        await driver.close()
    return told


def sentence(device: str, said: Mapping[str, str]) -> str:
    """Say it in one line."""
    return f"{device}: {', '.join(f'{name} {value}' for name, value in said.items())}"
