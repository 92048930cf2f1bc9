"""What a BACnet station reads beside a bare bacpypes3 loop of ReadPropertyMultiple on the same server.

The server is a process of its own: ``python -m tests.bench.edge_bacnet PORT``.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bacpypes3.app import Application
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.pdu import Address

from drivers.bacnet.profile import BacnetProfile
from drivers.catalogue import driver_of
from drivers.driver import Asked, Device
from drivers.errors import UnreachableError
from rules.model.line import BacnetLine
from rules.model.point import Point
from tests.bench.row import Row, at_least
from tests.field import HOST, free_port

POINTS = 200
LIST = 20
ROUNDS = 10
TURNS = 3  # ours and bare take turns, so that a busy machine slows both
UP_S = 10.0
INSTANCE = 1001


def _args(port: int, instance: int) -> Any:
    words = ["--address", f"{HOST}:{port}", "--instance", str(instance), "--name", f"bench-{instance}"]
    return SimpleArgumentParser().parse_args(words)


async def serve(port: int) -> None:
    """Serve POINTS analogue inputs until the process ends."""
    app = Application.from_args(_args(port, INSTANCE))
    for n in range(1, POINTS + 1):
        app.add_object(
            AnalogInputObject(
                objectIdentifier=f"analog-input,{n}", objectName=f"input {n}", presentValue=n / 10, units="kilowatts",
                statusFlags=[0, 0, 0, 0], eventState="normal", outOfService=False,
            )
        )  # fmt: skip
    await asyncio.Event().wait()


def _device(port: int) -> Device:
    measures = [
        {"name": f"m{n}", "kind": "gauge", "unit": "kW", "object": f"analog-input,{n}", "resolution": 0.1}
        for n in range(1, POINTS + 1)
    ]
    profile = BacnetProfile.model_validate(
        {"code": "bench", "title": "Bench", "protocol": "bacnet", "max_rpm": LIST, "measure": measures}
    )
    points = tuple(Asked(Point(f"D.{m.name}", "D", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measure)
    return Device("D", f"{INSTANCE}@{HOST}:{port}", profile, points)


async def _bare(app: Any, to: Address) -> None:
    for first in range(1, POINTS + 1, LIST):
        question: list[Any] = []
        for n in range(first, first + LIST):
            question += [f"analog-input,{n}", ["present-value", "status-flags"]]
        assert len(await app.read_property_multiple(to, question)) == 2 * LIST


async def measure(_folder: Path) -> list[Row]:
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.edge_bacnet", str(port))
    line = BacnetLine(driver="bacnet", code="L", gateway="G", interface=f"{HOST}:{free_port()}", poll_s=1, timeout_s=2)
    driver = driver_of(line, lambda: datetime.now(UTC))
    app, to = Application.from_args(_args(free_port(), INSTANCE + 1)), Address(f"{HOST}:{port}")
    try:
        station = driver.station(_device(port))
        async with asyncio.timeout(UP_S):
            while not await _answers(station):  # noqa: ASYNC110  # the server is another process
                await asyncio.sleep(0.1)
        ours_s = bare_s = 0.0
        for _ in range(TURNS):
            begun = time.perf_counter()
            for _ in range(ROUNDS):
                readings = await station.read()
                assert all(reading.value is not None for reading in readings)
            between = time.perf_counter()
            for _ in range(ROUNDS):
                await _bare(app, to)
            ours_s += between - begun
            bare_s += time.perf_counter() - between
    finally:
        await driver.close()
        app.close()
        server.kill()
        await server.wait()
    points = TURNS * ROUNDS * POINTS
    said = f"edge: BACnet points/s: {points / ours_s:,.0f}, of a bare loop's {points / bare_s:,.0f}"
    return [at_least(said, bare_s / ours_s, 0.7, "of bare")]


async def _answers(station: Any) -> bool:
    try:
        await station.read()
    except UnreachableError:
        return False
    return True


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
