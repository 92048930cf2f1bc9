"""The whole edge agent on one core: 10,000 Modbus points of 100 devices every second, and its start.

The devices are units of ten TCP lines of one process, on the other core; the broker and a hub that acknowledges are
real.  A third of the values moves at each read.  Five minutes: ``python -m tests.bench edge_load --minutes 5``.
"""

import asyncio
import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from deploy.broker import Broker as EmbeddedBroker
from drivers.driver import Asked, Device
from drivers.modbus.profile import ModbusProfile
from edge_agent import agent
from edge_agent.config import EdgeConfig, PolledLine
from edge_agent.publisher import REPORT_EVERY_S as REPORT_S
from edge_agent.publisher import Broker
from rules.model.line import ModbusLine
from rules.model.point import Point
from rules.wire import topics
from rules.wire.sparkplug import decode
from rules.wire.topics import Verb
from tests.bench.edge import up
from tests.bench.row import Row, at_most
from tests.field import HOST, TinyHub, free_port

LINES, UNITS, POINTS = 10, 10, 100  # lines, devices on each, points of each
DEAD = 77  # a unit on each line that never answers; no load asks it
POLL_S = 1.0
MINUTES = 1.0
WARM_S = 15.0
LOOK_S = 1.0
PATIENCE_S = 60.0
CORE_PERCENT, RSS_MB, GROWS_MB, FIRST_S = 60.0, 300.0, 10.0, 5.0
SHARE = 3  # one value in so many moves
FIRST_WORD = 0x4200


def profile() -> ModbusProfile:
    """A meter of POINTS registers, the first a counter."""
    rest = [
        {"name": f"m{n}", "kind": "gauge", "unit": "kW", "address": n, "encoding": "uint16", "scale": "0.1"}
        for n in range(1, POINTS)
    ]
    energy = {"name": "m0", "kind": "counter", "unit": "kWh", "address": 0, "encoding": "uint16", "modulus": 65536}
    return ModbusProfile.model_validate(
        {"code": "load", "title": "Load", "table": "holding", "measure": [energy, *rest]}
    )


def config(ports: list[int], timeout_s: float = 0.5) -> EdgeConfig:
    """A gateway with a line to each port."""
    model = profile()

    def device(line: int, unit: int) -> Device:
        code = f"D{line}-{unit}"
        points = tuple(
            Asked(Point(f"{code}.{m.name}", code, m.name, m.kind, m.unit, m.step, m.modulus), m.name)
            for m in model.measure
        )
        return Device(code, str(unit), model, points)

    lines = tuple(
        PolledLine(
            ModbusLine(
                driver="modbus", code=f"L{n}", gateway="GW-1", host=HOST, port=port, poll_s=POLL_S, timeout_s=timeout_s
            ),
            tuple(device(n, unit) for unit in range(1, UNITS + 1)),
        )
        for n, port in enumerate(ports)
    )
    return EdgeConfig("S1", "UTC", "GW-1", "hub", 512, lines, {})


class CountingHub(TinyHub):
    """Acknowledges what it gets and remembers only who has said something."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        super().__init__(broker.host, broker.port, broker.username, broker.password)
        self.met: set[str] = set()
        self.numbers: dict[str, int | None] = {}  # by device, the alias of its frames' number

    def _take(self, topic_text: str, data: bytes) -> None:
        topic = topics.parse(topic_text)
        if topic is None or topic.verb is Verb.NCMD:
            return
        metrics = decode(data).metrics
        if topic.verb is Verb.NBIRTH:
            self.spool = next(str(m.value) for m in metrics if m.name == topics.SPOOL)
        elif topic.verb is Verb.DBIRTH:
            self.numbers[topic.device] = next(m.alias for m in metrics if m.name == topics.NUMBER)
        elif topic.verb is Verb.DDATA:
            self.met.add(topic.device)
            number = next((m.value for m in metrics if m.alias == self.numbers[topic.device]), None)
            if number is not None:  # a preview has none
                self.committed = int(number)
                self.acknowledge()


async def measure(folder: Path, minutes: float = MINUTES) -> list[Row]:
    ports = [free_port() for _ in range(LINES)]
    cores = sorted(os.sched_getaffinity(0))
    broker = EmbeddedBroker(folder / "broker")
    async with process("serve", *map(str, ports), core=cores[-1]):
        for port in ports:
            await up(port)
        broker.start()
        hub = CountingHub(broker)
        hub.start()
        try:
            return await _watched(folder, ports, broker, hub, cores[0], minutes)
        finally:
            hub.stop()
            broker.stop()


@contextlib.asynccontextmanager
async def process(*words: str, core: int, log: Path | None = None) -> AsyncIterator[int]:
    """Run a part of this bench on one core; gives its process id."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("wb")) if log else None
        child = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.edge_load", *words, stderr=out)
    os.sched_setaffinity(child.pid, {core})
    try:
        yield child.pid
    finally:
        child.kill()
        await child.wait()


async def _watched(
    folder: Path, ports: list[int], broker: EmbeddedBroker, hub: CountingHub, core: int, minutes: float
) -> list[Row]:
    where = [f"{broker.host}:{broker.port}", broker.username, broker.password, str(folder / "edge")]
    log, begun = folder / "agent.log", time.monotonic()
    async with process("agent", *where, *map(str, ports), core=core, log=log) as pid:
        async with asyncio.timeout(PATIENCE_S):
            while len(hub.met) < LINES * UNITS:  # noqa: ASYNC110  # what is waited for lives in other threads
                await asyncio.sleep(0.02)
        first_s = time.monotonic() - begun
        await asyncio.sleep(WARM_S)
        missed, cpu_s, rss_mb, begun = _missed(log), _cpu_s(pid), [_rss_mb(pid)], time.monotonic()
        while time.monotonic() - begun < minutes * 60:
            await asyncio.sleep(LOOK_S)
            rss_mb.append(_rss_mb(pid))
        percent = 100 * (_cpu_s(pid) - cpu_s) / (time.monotonic() - begun)
        await asyncio.sleep(1.5 * REPORT_S)  # its last report
        missed = _missed(log) - missed
    grown = max(rss_mb) - max(rss_mb[: max(1, len(rss_mb) // 3)])
    said = f"edge: {LINES * UNITS * POINTS:,} points of {LINES * UNITS} devices every {POLL_S:g} s"
    return [
        at_most("edge: start of the agent to a reading of each of 100 devices at the hub", first_s, FIRST_S, "s"),
        at_most(f"{said}, cycles missed in {minutes:g} min", missed, 0, "of them"),
        at_most(f"{said}, of one core", percent, CORE_PERCENT, "%"),
        at_most(f"{said}, memory", max(rss_mb), RSS_MB, "MB"),
        at_most(f"{said}, memory grown after a third of the time", grown, GROWS_MB, "MB"),
    ]


def _missed(log: Path) -> int:
    found = re.findall(r"(\d+) cycles missed", log.read_text("utf-8"))
    return int(found[-1]) if found else 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0.0


async def serve(ports: list[int]) -> None:
    """Be all devices."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    reads = count()

    async def move(
        _function: int, start: int, address: int, asked: int, registers: list[int], _new: object
    ) -> ExcCodes | None:
        first = address - start
        for place in range(first + next(reads) % SHARE, first + asked, SHARE):
            registers[place] = FIRST_WORD + (registers[place] + 1) % 0x100
        return None

    def unit(number: int) -> SimDevice:
        space = SimData(0, count=POINTS, values=FIRST_WORD, datatype=DataType.REGISTERS)
        return SimDevice(id=number, simdata=[space], action=move)

    async def silent(*_: object) -> ExcCodes | None:
        raise NoSuchIdException

    space = SimData(0, count=POINTS, values=FIRST_WORD, datatype=DataType.REGISTERS)
    units = range(1, UNITS + 1)
    servers = [
        ModbusTcpServer(
            [*map(unit, units), SimDevice(id=DEAD, simdata=[space], action=silent)],
            address=(HOST, port),
            ignore_missing_devices=True,
        )
        for port in ports
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def run(where: str, username: str, password: str, folder: str, *ports: str) -> None:
    """Be the agent."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("edge_agent.publisher").setLevel(logging.DEBUG)  # it says there what it counts
    host, _, port = where.partition(":")
    await agent.run(config(list(map(int, ports))), Broker(host, int(port), username, password), Path(folder))


if __name__ == "__main__":
    asyncio.run(serve(list(map(int, sys.argv[2:]))) if sys.argv[1] == "serve" else run(*sys.argv[2:]))
