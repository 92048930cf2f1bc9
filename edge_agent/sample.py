"""One poll of one device: ask its blocks, give a reading for every point."""

from collections.abc import Callable, Sequence
from datetime import datetime

from drivers.decode import decode
from drivers.driver import Driver, Raw
from drivers.errors import MalformedError, MisconfiguredError, RefusedError
from drivers.modbus import ModbusDriver
from edge_agent.config import PolledLine, PolledPoint
from edge_agent.plan import Block
from rules.model.quality import Quality
from rules.model.reading import Reading


def driver_for(line: PolledLine) -> Driver:
    """Give the driver of a line."""
    return ModbusDriver(line.host, line.port, timeout_s=line.timeout_s)


async def sample(driver: Driver, blocks: Sequence[Block], now: Callable[[], datetime]) -> list[Reading]:
    """Ask a device once; gives one reading per point, all at the time of the last answer.

    Raises UnreachableError.  What the device refuses or garbles becomes readings of bad quality.
    """
    answers: list[tuple[PolledPoint, Raw]] = []
    for block in blocks:
        raws = await _asked(driver, block)
        answers.extend((polled, raw) for raw, (_, points) in zip(raws, block.points, strict=True) for polled in points)
    at = now()
    return [_reading(polled, raw, at) for polled, raw in answers]


async def _asked(driver: Driver, block: Block) -> list[Raw]:
    try:
        return await driver.read(block.request)
    except (RefusedError, MalformedError, MisconfiguredError) as error:
        return [Raw(span, None, str(error)) for span in block.request.spans]


def _reading(polled: PolledPoint, raw: Raw, at: datetime) -> Reading:
    code = polled.point.code
    if raw.words is None:
        return Reading(code, at, None, Quality.BAD, error=raw.error)
    decoded = decode(polled.register, raw.words)
    quality = Quality.BAD if decoded.value is None else Quality.GOOD
    return Reading(code, at, decoded.value, quality, raw.words, decoded.error)
