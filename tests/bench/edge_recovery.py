"""Every protocol finds its device again after a restart, 100 times of 100."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from drivers.catalogue import driver_of
from drivers.driver import Station
from drivers.errors import DriverError
from tests.bench.row import Row, at_least
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Ground
from tests.contract.grounds import GROUNDS

TRIES = 100
GAUGES = 50  # values that every protocol's device can show
READS_MAX = 5  # a poller's next few turns


async def measure(_folder: Path) -> list[Row]:
    found = await asyncio.gather(*(_recoveries(GROUNDS[name]()) for name in GROUNDS))
    return [
        at_least(f"edge: {name} finds its device again after {TRIES} restarts", count, TRIES, "times")
        for name, count in zip(GROUNDS, found, strict=True)
    ]


async def _recoveries(ground: Ground) -> int:
    ground.show({COUNTER: 1.0, GAUGE: 0.0, SETPOINT: 1.0})
    await ground.start()
    driver = driver_of(ground.line, lambda: datetime.now(UTC))
    station, found = driver.station(ground.device), 0
    await station.read()
    for number in range(TRIES):
        await ground.stop()
        await ground.start()
        gauge = float(number % GAUGES)
        ground.show({GAUGE: gauge})
        found += await _reads(station, gauge)
    await driver.close()
    await ground.stop()
    return found


async def _reads(station: Station, gauge: float) -> bool:
    for _ in range(READS_MAX):
        try:
            readings = await station.read()
        except DriverError:
            continue
        if any(reading.point.endswith(f".{GAUGE}") and reading.value == gauge for reading in readings):
            return True
    return False
