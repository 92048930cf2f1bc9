"""What the edge agent reads beside a bare pymodbus loop over the same server, each on one connection of its own.

"Ours" is the agent's own ``LinePoller``: driver, plan, decode, change, and the spool's append in its thread, on disk
(fsync) by the end of the turn.  Nothing is left out but who would publish, whose bench is ``edge_load``, and local
rules, of which this gateway has none.  The loop asks for the same blocks and does nothing with them.

The two ask one unit each of one server, with the same registers, so that neither moves what the other reads: every
value moves as its row says from one poll to the next.  They take turns of ROUNDS polls, and take turns in who begins;
the figure is the median of the ratios, for other work on the machine comes and goes.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.catalogue import driver_of
from drivers.driver import Asked, Device
from drivers.modbus.profile import ModbusProfile
from edge_agent.config import EdgeConfig, PolledLine
from edge_agent.garbage import collect_seldom
from edge_agent.health import Health
from edge_agent.poller import LinePoller
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from rules.model.line import ModbusLine
from rules.model.point import Point
from tests.bench.row import Row, at_least
from tests.field import HOST, free_port

REGISTERS = 2_000
BLOCK = 100
TURNS = 21
ROUNDS = 10  # polls a turn, one after the other as the poller goes
UNIT, BARE_UNIT = 1, 2
UP_S = 10.0
FORMS = {"float32": 2, "uint16": 1}  # registers a value
BAR = 0.5

Work = Callable[[], Awaitable[None]]


def device(encoding: str) -> Device:
    """A device whose registers are all points."""
    words = FORMS[encoding]
    measures = [
        {"name": f"m{n}", "kind": "gauge", "unit": "kW", "address": n * words, "encoding": encoding, "resolution": 0.1}
        for n in range(REGISTERS // words)
    ]
    profile = ModbusProfile.model_validate({"code": "bench", "title": "Bench", "table": "holding", "measure": measures})
    points = tuple(Asked(Point(f"D.{m.name}", "D", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measure)
    return Device("D", str(UNIT), profile, points)


async def measure(folder: Path) -> list[Row]:
    rows = []
    for share in (1, 3):  # one of so many values moves between two polls
        for encoding, words in FORMS.items():
            async with served(share, words) as port:
                bare, ours = await _side_by_side(port, device(encoding), folder / f"{encoding}-{share}.sqlite")
                moving = "all values" if share == 1 else f"one value in {share}"
                said = f"edge: Modbus registers/s as {encoding}, {moving} moving: {ours:,.0f}, bare {bare:,.0f}"
                rows.append(at_least(said, ours / bare, BAR, "of bare"))
    requests = len(driver_of(_line(1), lambda: datetime.now(UTC)).station(device("uint16")).plan)
    rows.append(at_least(f"edge: one request per point against the {requests} planned", REGISTERS / requests, 50, "x"))
    return rows


@contextlib.asynccontextmanager
async def served(share: int, words: int) -> AsyncIterator[int]:
    """Be the device in a process of its own; gives its port."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.edge", str(port), str(share), str(words)
    )
    try:
        await up(port)
        yield port
    finally:
        server.kill()
        await server.wait()


def _line(port: int) -> ModbusLine:
    return ModbusLine(driver="modbus", code="L", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=2)


class Quiet:
    """Stands where the publisher does: what is published is another bench's."""

    def nudge(self) -> None:
        pass

    def fresh(self, frames: object) -> None:
        pass

    def announce(self, device: str, *, alive: bool) -> None:
        pass


async def _side_by_side(port: int, held: Device, path: Path) -> tuple[float, float]:
    """Give registers a second, bare and ours, taken in turns: those of the turn whose ratio is the median."""
    line, spool, health = _line(port), Spool(path, max_mb=512), Health()
    driver = driver_of(line, lambda: datetime.now(UTC))
    polled = PolledLine(line, (held,))
    config = EdgeConfig("S", "UTC", "G", "hub", 512, (polled,), {})
    poller = LinePoller(
        polled, driver, spool=spool, publisher=Quiet(), roster=Roster(config, set()),  # type: ignore[arg-type]
        health=health, now=lambda: datetime.now(UTC),
    )  # fmt: skip
    collect_seldom()  # as the agent does
    client = AsyncModbusTcpClient(HOST, port=port, timeout=2, retries=0)
    await client.connect()

    async def bare() -> None:
        for start in [*range(0, REGISTERS, BLOCK)] * ROUNDS:
            await client.read_holding_registers(start, count=BLOCK, device_id=BARE_UNIT)

    async def ours() -> None:
        for _ in range(ROUNDS):
            await poller.cycle()
        await poller.settle()

    turns = [await _turn(bare, ours, swapped=number % 2 == 1) for number in range(TURNS)]
    client.close()
    await driver.close()
    spool.close()
    assert (health.failures, health.polls) == (0, TURNS * ROUNDS)
    bare_s, ours_s = sorted(turns, key=lambda turn: turn[0] / turn[1])[TURNS // 2]
    return REGISTERS * ROUNDS / bare_s, REGISTERS * ROUNDS / ours_s


async def _turn(bare: Work, ours: Work, *, swapped: bool) -> tuple[float, float]:
    """Give the seconds of the two, one after the other."""
    begun = time.perf_counter()
    await (ours if swapped else bare)()
    between = time.perf_counter()
    await (bare if swapped else ours)()
    first_s, second_s = between - begun, time.perf_counter() - between
    return (second_s, first_s) if swapped else (first_s, second_s)


async def up(port: int) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(UP_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def serve(port: int, share: int, words: int) -> None:
    """Serve two units with values of ``words`` registers, one in ``share`` of which moves with each read of all."""
    devices = [_moving(unit, share, words) for unit in (UNIT, BARE_UNIT)]
    await ModbusTcpServer(devices, address=(HOST, port)).serve_forever()


def _moving(unit: int, share: int, words: int) -> SimDevice:
    reads = count()

    async def move(
        _function: int, start: int, address: int, asked: int, registers: list[int], _new: object
    ) -> ExcCodes | None:
        turn = next(reads) * BLOCK // REGISTERS % share
        first = address - start
        for place in range(first + turn * words, first + asked, share * words):
            registers[place] = 0x4200 + (registers[place] + 1) % 0x100  # as a word and as half of a float a number
        return None

    space = SimData(0, count=REGISTERS, values=17_000, datatype=DataType.REGISTERS)
    return SimDevice(id=unit, simdata=[space], action=move)


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
