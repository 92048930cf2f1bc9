"""What an OPC UA station reads beside a bare loop of the library's ``read_attributes`` on the same server.

The server is a process of its own: ``python -m tests.bench.edge_opcua PORT``.
"""

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from asyncua import Client, Server, ua

from drivers.catalogue import driver_of
from drivers.driver import Asked, Device, Station
from drivers.errors import UnreachableError
from drivers.opcua.profile import OpcuaProfile
from rules.model.line import OpcuaLine
from rules.model.point import Point
from tests.bench.row import Row, at_least
from tests.field import HOST, free_port

POINTS = 1000
LIST = 500
ROUNDS = 10
TURNS = 5  # ours and bare take turns, so that a busy machine slows both
UP_S = 30.0
URI = "urn:bench"


async def serve(port: int) -> None:
    """Serve POINTS numbers, half of them singles, until the process ends."""
    logging.disable()
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{HOST}:{port}/bench")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(URI)
    for n in range(1, POINTS + 1):
        kind = ua.VariantType.Float if n % 2 else ua.VariantType.Double
        await server.nodes.objects.add_variable(ua.NodeId(n, index), f"m{n}", n / 10, kind)
    async with server:
        await asyncio.Event().wait()


def _device() -> Device:
    measures = [
        {"name": f"m{n}", "kind": "gauge", "unit": "kW", "node": f"i={n}", "resolution": 0.1}
        for n in range(1, POINTS + 1)
    ]
    profile = OpcuaProfile.model_validate(
        {
            "code": "bench",
            "title": "Bench",
            "protocol": "opcua",
            "namespace": URI,
            "max_read": LIST,
            "measure": measures,
        }
    )
    points = tuple(Asked(Point(f"D.{m.name}", "D", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measure)
    return Device("D", "", profile, points)


async def _bare(client: Client, nodes: list[ua.NodeId]) -> None:
    for first in range(0, POINTS, LIST):
        values = await client.uaclient.read_attributes(nodes[first : first + LIST], ua.AttributeIds.Value)
        assert len(values) == LIST


async def measure(_folder: Path) -> list[Row]:
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.edge_opcua", str(port))
    url = f"opc.tcp://{HOST}:{port}/bench"
    line = OpcuaLine(driver="opcua", code="L", gateway="G", url=url, poll_s=1, timeout_s=5)
    driver = driver_of(line, lambda: datetime.now(UTC))
    client = Client(url, timeout=5)
    try:
        station = driver.station(_device())
        async with asyncio.timeout(UP_S):
            while not await _answers(station):  # noqa: ASYNC110  # the server is another process
                await asyncio.sleep(0.1)
        await client.connect()
        nodes = [ua.NodeId(n, await client.get_namespace_index(URI)) for n in range(1, POINTS + 1)]
        ours_s = bare_s = 0.0
        for _ in range(TURNS):
            begun = time.perf_counter()
            for _ in range(ROUNDS):
                readings = await station.read()
                assert all(reading.value is not None for reading in readings)
            between = time.perf_counter()
            for _ in range(ROUNDS):
                await _bare(client, nodes)
            ours_s += between - begun
            bare_s += time.perf_counter() - between
        await client.disconnect()
    finally:
        await driver.close()
        server.kill()
        await server.wait()
    points = TURNS * ROUNDS * POINTS
    said = f"edge: OPC UA points/s: {points / ours_s:,.0f}, of a bare loop's {points / bare_s:,.0f}"
    return [at_least(said, bare_s / ours_s, 0.7, "of bare")]


async def _answers(station: Station) -> bool:
    try:
        return all(reading.value is not None for reading in await station.read())
    except UnreachableError:
        return False


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
