"""From a command on the wire to its answer, over a real broker, while the line is polled without a pause.

The devices are a process of their own: ``python -m tests.bench.edge_command PORT``.
"""

import asyncio
import random
import sys
import time
from datetime import timedelta
from pathlib import Path

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from deploy.broker import Broker as EmbeddedBroker
from drivers.driver import Asked, Device
from drivers.modbus.profile import ModbusProfile
from edge_agent.agent import run
from edge_agent.config import EdgeConfig, PolledLine
from edge_agent.link import Broker
from rules.control.command import Allowance, Outcome
from rules.model.line import ModbusLine
from rules.model.point import Point
from tests.bench.row import Row, at_most, percentile
from tests.commanding import Host, command
from tests.field import HOST, free_port

DEVICES = 10
POINTS = 100  # of each
POLL_S = 0.2  # the shortest there is
DELAY_S = 0.02  # before each request, as a converter wants it: a round of the devices takes all of POLL_S
COMMANDS = 200
SHARE = 0.95
BAR_MS = 500.0
UP_S = 10.0


async def serve(port: int) -> None:
    """Serve the devices until the process ends."""
    space = [SimData(0, count=POINTS, values=0, datatype=DataType.REGISTERS)]
    units = [SimDevice(id=unit, simdata=space, action=_move) for unit in range(1, DEVICES + 1)]
    await ModbusTcpServer(units, address=(HOST, port)).serve_forever()


async def _move(_function: int, start: int, address: int, count: int, registers: list[int], new: object) -> None:
    """Let the first half of the registers move with every read; the others hold what they are told."""
    if new is None:
        for place in range(address, min(address + count, POINTS // 2)):
            registers[place - start] = (registers[place - start] + 1) % 10_000


def _config(port: int) -> EdgeConfig:
    measures = [
        {
            "name": f"m{n}", "kind": "gauge", "unit": "kW", "address": n, "encoding": "uint16", "scale": 0.1,
            "writable": [0, 1000],
        }
        for n in range(POINTS)
    ]  # fmt: skip
    profile = ModbusProfile.model_validate({"code": "bench", "title": "Bench", "table": "holding", "measure": measures})
    devices = tuple(
        Device(
            f"D{unit}", str(unit), profile,
            tuple(
                Asked(Point(f"D{unit}.{m.name}", f"D{unit}", m.name, m.kind, m.unit, m.step), m.name)
                for m in profile.measure
            ),
        )
        for unit in range(1, DEVICES + 1)
    )  # fmt: skip
    line = ModbusLine(
        driver="modbus", code="L1", gateway="GW-1", host=HOST, port=port, poll_s=POLL_S, timeout_s=2, delay_s=DELAY_S
    )
    allowed = {asked.point.code: Allowance(0, 1000, timedelta(seconds=1)) for d in devices for asked in d.points}
    return EdgeConfig("S1", "Asia/Shanghai", "GW-1", "hub", 64, (PolledLine(line, devices),), allowed)


async def measure(folder: Path) -> list[Row]:
    port, server = free_port(), EmbeddedBroker(folder / "broker")
    await asyncio.to_thread(server.start)
    devices = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.edge_command", str(port))
    host = Host(server.host, server.port, server.username, server.password)
    config, account = _config(port), Broker(server.host, server.port, server.username, server.password)
    agent = None
    try:
        host.start()
        await _up(port)
        agent = asyncio.create_task(run(config, account, folder))
        await asyncio.sleep(2)  # connected, and polled for a while
        took_ms = [await _asked(host, n) for n in range(COMMANDS)]
    finally:
        if agent is not None:
            agent.cancel()
            await asyncio.gather(agent, return_exceptions=True)
        host.stop()
        devices.kill()
        await devices.wait()
        await asyncio.to_thread(server.stop)
    middle, most = percentile(took_ms, 0.5), max(took_ms)
    said = f"edge: command to answer, 95th percentile of {COMMANDS} while polled (median {middle:.0f}, most {most:.0f})"
    return [at_most(said, percentile(took_ms, SHARE), BAR_MS, "ms")]


async def _asked(host: Host, number: int) -> float:
    """Set one point that holds still and give how long it took, in ms, until the answer with its read-back was here."""
    point = f"D{number % DEVICES + 1}.m{POINTS // 2 + number * 7 % (POINTS // 2)}"
    await asyncio.sleep(random.uniform(0, POLL_S))  # anywhere in a round
    began_s = time.perf_counter()
    answer = await host.ask(command(float(number), point))
    took_ms = 1000 * (time.perf_counter() - began_s)
    assert (answer.outcome, answer.shown) == (Outcome.DONE, float(number)), answer
    return took_ms


async def _up(port: int) -> None:
    async with asyncio.timeout(UP_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
