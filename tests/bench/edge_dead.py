"""What dead devices cost the others: on lines of their own, and beside a live one on a shared line."""

import asyncio
import statistics
import time
from pathlib import Path

from drivers.catalogue import driver_of
from edge_agent.clock import wall_clock
from edge_agent.config import EdgeConfig, PolledLine
from edge_agent.health import Health
from edge_agent.poller import LinePoller
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from tests.bench.edge import Quiet, up
from tests.bench.edge_load import DEAD, POLL_S, UNITS, config, process
from tests.bench.row import Row, at_most
from tests.field import HOST, free_port

LIVE_LINES, CYCLES, TURNS = 9, 5, 6
TIMEOUT_S = 0.5
DEAD_UNITS = 5
GROWS_PERCENT = 5.0
BACKOFFS = 3


class _Pollers:
    """The pollers of some lines, in this process."""

    def __init__(self, gateway: EdgeConfig, lines: list[PolledLine], spool: Spool) -> None:
        roster = Roster(gateway, set())
        self.health = Health()
        self.drivers = [driver_of(line.line, wall_clock) for line in lines]
        self.all = [
            LinePoller(
                line, driver, spool=spool, publisher=Quiet(), roster=roster, health=self.health, now=wall_clock,  # type: ignore[arg-type]
            )
            for line, driver in zip(lines, self.drivers, strict=True)
        ]  # fmt: skip

    async def cycle_s(self) -> float:
        """Give how long one cycle of all lines takes, one line after the other."""
        begun = time.perf_counter()
        for poller in self.all:
            await poller.poll()
        return time.perf_counter() - begun

    async def close(self) -> None:
        for driver in self.drivers:
            await driver.close()


async def measure(folder: Path) -> list[Row]:
    ports = [free_port() for _ in range(LIVE_LINES)]
    async with process("serve", *map(str, ports), core=0, log=folder / "serve.log"), await _deaf() as deaf:
        for port in ports:
            await up(port)
        gateway = config([*ports, deaf.sockets[0].getsockname()[1]], TIMEOUT_S)
        spool = Spool(folder / "dead.sqlite", max_mb=64)
        try:
            return [await _apart(gateway, spool), *await _shared(gateway, spool)]
        finally:
            spool.close()


async def _deaf() -> asyncio.Server:
    """Take connections and never answer: what is dead behind a gateway that lives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(300):
            pass
        writer.close()

    return await asyncio.start_server(serve, HOST, 0)


async def _apart(gateway: EdgeConfig, spool: Spool) -> Row:
    """Nine live lines, with a dead one beside them and without, in turns."""
    last = gateway.lines[-1]
    live = _Pollers(gateway, list(gateway.lines[:-1]), spool)
    dead = _Pollers(gateway, [PolledLine(last.line, last.devices[:DEAD_UNITS])], spool)
    await live.cycle_s()
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(TURNS):
        alone += [await live.cycle_s() for _ in range(CYCLES)]
        asking = asyncio.create_task(_for_ever(dead))
        await asyncio.sleep(0.05)
        beside += [await live.cycle_s() for _ in range(CYCLES)]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert live.health.failures == 0
    await live.close()
    await dead.close()
    with_s, without_s = statistics.median(beside), statistics.median(alone)
    said = f"edge: cycle of {LIVE_LINES * UNITS} devices with {DEAD_UNITS} dead ones on a line of their own"
    grown = 100 * (with_s / without_s - 1)
    return at_most(f"{said}: {with_s * 1000:.0f} ms, {without_s * 1000:.0f} ms without", grown, GROWS_PERCENT, "% more")


async def _for_ever(pollers: _Pollers) -> None:
    while True:
        await pollers.cycle_s()
        await asyncio.sleep(POLL_S / 10)  # ten times as often as its turn comes


async def _shared(gateway: EdgeConfig, spool: Spool) -> list[Row]:
    """One line of live units and one that is dead: what each of its back-offs adds."""
    line = gateway.lines[0]
    ghost = line.devices[-1]
    ghost = type(ghost)(ghost.code, str(DEAD), ghost.profile, ghost.points)
    healthy, mixed = (
        _Pollers(gateway, [line], spool),
        _Pollers(gateway, [PolledLine(line.line, (*line.devices[:-1], ghost))], spool),
    )
    await healthy.cycle_s()
    normal_s = statistics.median([await healthy.cycle_s() for _ in range(CYCLES)])
    slow = []
    async with asyncio.timeout(60):
        while len(slow) < BACKOFFS:
            took_s = await mixed.cycle_s()
            if took_s > TIMEOUT_S:
                slow.append(took_s - normal_s)
            await asyncio.sleep(POLL_S / 10)
    await healthy.close()
    await mixed.close()
    said = "edge: one dead unit on a shared line adds at each of its back-offs"
    return [at_most(said, max(slow) / POLL_S, 1.0, "cycles")]
