"""A camera at the edge: how soon an intruder is told, what watching costs, what is seen and what is not there.

The simulated camera is a process of its own: ``python -m tests.bench.edge_camera PORT`` lets somebody walk
through the hall every EVERY_S.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil

from drivers.camera import picture
from drivers.camera.judge import Judge
from drivers.camera.line import CameraStation
from drivers.catalogue import driver_of
from drivers.errors import UnreachableError
from rules.model.event import Still
from rules.model.line import CameraLine
from rules.model.watch import Watch
from simulators.faults import Fault, FaultKind, Injected
from simulators.hall import PLAIN, SIZE, WALK_S, Figure, Hall, Show, walking
from simulators.rtsp_camera import Camera, RtspServer
from tests.bench.row import Row, at_least, at_most
from tests.contract.ground_camera import device_of
from tests.field import HOST, free_port

TELL_S = 2.0  # from the first foot in the zone to the still in the gateway's hands
WATCHING_CORE = 0.15  # six cameras of 640 x 360 at 10 pictures a second on one core
EVERY_S = 20.0
TOLD = 3
LEFT = 0.25  # edge of the zone
PER_S = 5
SCENES = 24
QUIET_MINUTES = 30
WATCH = Watch.model_validate(
    {
        "intrusion": [{"polygon": [[LEFT, 0.5], [0.9, 0.5], [0.9, 1], [LEFT, 1]]}],
        "still_every_s": 1,
        "least_size": 0.005,
    }
)
BEGUN = datetime(2026, 3, 2, 8, tzinfo=UTC)
ENTERS_S = (LEFT + 0.1) / 1.2 * WALK_S  # the figure's foot is in the zone so long after its walk began


async def serve(port: int) -> None:
    """Serve a hall through which somebody walks every EVERY_S, until the process ends."""

    def walks(at: datetime) -> list[Injected]:
        start = datetime.fromtimestamp(at.timestamp() // EVERY_S * EVERY_S, UTC)
        return [Injected("1", Fault(kind=FaultKind.INTRUDER, device="CAM-1"), start, None)]

    await RtspServer(Camera(Hall("CAM-1", 1), lambda: datetime.now(UTC), walks, walks=False)).start(port)
    await asyncio.Event().wait()


async def measure(folder: Path) -> list[Row]:
    """Watch a stream for a while, then judge drawn scenes."""
    return [*await _live(folder), *await asyncio.to_thread(_seen), *await asyncio.to_thread(_quiet)]


async def _live(folder: Path) -> list[Row]:
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.edge_camera", str(port))
    line = CameraLine(
        driver="camera", code="C1", gateway="G", url=f"rtsp://{HOST}:{port}/", poll_s=1, timeout_s=5.0
    )  # fmt: skip
    driver = driver_of(line, lambda: datetime.now(UTC), folder / "clips")
    station = driver.station(device_of(WATCH))
    assert isinstance(station, CameraStation)
    try:
        async with asyncio.timeout(30):
            while not await _answers(station):  # noqa: ASYNC110  # the camera is another process
                await asyncio.sleep(0.2)
        waits = await _waits(station)
        watcher = psutil.Process(station.watcher.pid)
        begun, before = time.perf_counter(), watcher.cpu_times()
        await asyncio.sleep(EVERY_S)
        after, passed_s = watcher.cpu_times(), time.perf_counter() - begun
        share = (after.user + after.system - before.user - before.system) / passed_s
        memory_mb = watcher.memory_info().rss / 1e6
    finally:
        await driver.close()
        server.kill()
        await server.wait()
    said = f"camera: {TOLD} intruders, from the foot in the zone to the still handed out, the slowest"
    size = f"{SIZE[0]} x {SIZE[1]} at 10/s, judged at {PER_S}/s, with a clip"
    return [
        at_most(said, max(waits), TELL_S, "s"),
        at_most(f"camera: process of one camera, {size}", share, WATCHING_CORE, "core"),
        at_most("camera: its memory", memory_mb, 200, "MB"),
    ]


async def _answers(station: CameraStation) -> bool:
    try:
        await station.read()
    except UnreachableError:
        return False
    return True


async def _waits(station: CameraStation) -> list[float]:
    waits: list[float] = []
    async with asyncio.timeout(EVERY_S * (TOLD + 3)):
        while len(waits) < TOLD:
            for told in station.take_events():
                now_s = datetime.now(UTC).timestamp()
                if isinstance(told, Still) and told.cause == "zone":
                    waits.append(now_s % EVERY_S - ENTERS_S)
            await asyncio.sleep(0.02)
    return waits


def _scene(number: int, show: list[Show]) -> tuple[set[str], set[str]]:
    """Judge 10 s of an empty hall and then a show; gives the causes of each part."""
    hall, judge = Hall(f"CAM-{number}", number), Judge(WATCH)
    causes: tuple[set[str], set[str]] = (set(), set())
    for n, shown in enumerate([PLAIN] * (10 * PER_S) + show):
        at = BEGUN + timedelta(minutes=7 * number, seconds=n / PER_S)
        grey = picture.shrink(hall.picture(at, shown))
        causes[n >= 10 * PER_S].update(judge.step(grey, n / PER_S, at).begun)
    return causes


def _seen() -> list[Row]:
    """Walking figures of all sizes above the least, in halls of other furniture and light; and smaller ones."""
    large = small = early = 0
    for number in range(SCENES):
        chance = np.random.default_rng(number)
        tall, speed = chance.uniform(0.25, 0.6), chance.uniform(0.7, 1.6)
        walk = [Show(figures=(walking(n / PER_S * speed, tall),)) for n in range(round(WALK_S / speed * PER_S))]
        before, causes = _scene(number, walk)
        large += {"motion", "zone"} <= causes
        early += len(before)
        bird = [Show(figures=(Figure(0.02 * n, feet=0.8, tall=0.08),)) for n in range(50)]
        small += len(_scene(number, bird)[1])
    return [
        at_least(f"camera: of {SCENES} walking figures above the least size, told", large, SCENES, "figures"),
        at_most(f"camera: alarms before and for {SCENES} things below the least size", small + early, 0.5, "alarms"),
    ]


def _quiet() -> list[Row]:
    """Noise twice as strong, light that goes slowly up and down, single pictures of rubbish: nobody is there."""
    hall, judge, alarms = Hall("CAM-Q", 77, level=8.0), Judge(WATCH), 0
    chance = np.random.default_rng(77)
    for n in range(QUIET_MINUTES * 60 * PER_S):
        at = BEGUN + timedelta(seconds=n / PER_S)
        grey = picture.shrink(hall.picture(at))
        if n % 997 == 0:
            grey = chance.integers(0, 256, grey.shape, np.uint8)
        alarms += len(judge.step(grey, n / PER_S, at).begun)
    return [at_most(f"camera: alarms in {QUIET_MINUTES} min of noise and slow light", alarms, 0.5, "alarms")]


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
