"""What the edge agent reads beside a bare pymodbus loop over the same registers, server and connection."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.catalogue import driver_of
from drivers.driver import Asked, Device
from drivers.modbus.profile import ModbusProfile
from edge_agent.change import worth_sending
from edge_agent.frame import FRAME_READINGS_MAX, Frame
from edge_agent.spool import Spool
from rules.model.line import ModbusLine
from rules.model.point import Point
from rules.model.reading import Reading
from tests.bench.row import Row, at_least
from tests.field import HOST, free_port

REGISTERS = 2_000
BLOCK = 100
ROUNDS = 150
UNIT = 1
UP_S = 10.0


def device(encoding: str, words: int) -> Device:
    """A device whose registers are all points."""
    measures = [
        {"name": f"m{n}", "kind": "gauge", "unit": "kW", "address": n * words, "encoding": encoding, "resolution": 0.1}
        for n in range(REGISTERS // words)
    ]
    profile = ModbusProfile.model_validate({"code": "bench", "title": "Bench", "table": "holding", "measure": measures})
    points = tuple(Asked(Point(f"D.{m.name}", "D", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measure)
    return Device("D", str(UNIT), profile, points)


async def measure(folder: Path) -> list[Row]:
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.edge", str(port))
    line = ModbusLine(driver="modbus", code="L", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=2)
    driver = driver_of(line, lambda: datetime.now(UTC))
    try:
        await _up(port)
        rows = []
        for encoding, words in (("float32", 2), ("uint16", 1)):
            station = driver.station(held := device(encoding, words))
            bare, ours = await _side_by_side(port, station.read, _Keeping(held, folder / f"{encoding}.sqlite"))
            said = f"edge: Modbus registers/s as {encoding}: {ours:,.0f}, of a bare loop's {bare:,.0f}"
            rows.append(at_least(said, ours / bare, 0.5, "of bare"))
            requests = len(station.plan)
        rows.append(
            at_least(f"edge: one request per point against the {requests} planned", REGISTERS / requests, 50, "x")
        )
        return rows
    finally:
        await driver.close()
        server.kill()
        await server.wait()


class _Keeping:
    """What the poller does with readings: leave out what has not moved, and spool the rest."""

    def __init__(self, held: Device, path: Path) -> None:
        self._points = {asked.point.code: asked.point for asked in held.points}
        self._reported: dict[str, Reading] = {}
        self._spool = Spool(path, max_mb=512)

    async def keep(self, readings: list[Reading]) -> None:
        moved = [r for r in readings if worth_sending(self._points[r.point], self._reported.get(r.point), r)]
        self._reported.update((reading.point, reading) for reading in moved)
        frames = [
            Frame("D", tuple(moved[n : n + FRAME_READINGS_MAX])) for n in range(0, len(moved), FRAME_READINGS_MAX)
        ]
        if frames:
            await asyncio.to_thread(self._spool.append, frames)


async def _side_by_side(port: int, read: object, keeping: _Keeping) -> tuple[float, float]:
    """Give registers a second, bare and ours, taken in turns."""
    took = [0.0, 0.0]
    client = AsyncModbusTcpClient(HOST, port=port, timeout=2, retries=0)
    await client.connect()
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for start in range(0, REGISTERS, BLOCK):
            await client.read_holding_registers(start, count=BLOCK, device_id=UNIT)
        between = time.perf_counter()
        await keeping.keep(await read())  # type: ignore[operator]
        took = [took[0] + between - begun, took[1] + time.perf_counter() - between]
    client.close()
    return REGISTERS * ROUNDS / took[0], REGISTERS * ROUNDS / took[1]


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


async def serve(port: int) -> None:
    """Be the device, in a process of its own."""
    space = SimData(0, count=REGISTERS, values=17_000, datatype=DataType.REGISTERS)
    server = ModbusTcpServer([SimDevice(id=UNIT, simdata=[space])], address=(HOST, port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
