"""What the driver of cameras does with a real stream, a broken one, and what is none."""

import asyncio
import resource
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from drivers.camera.line import CameraDriver, CameraStation
from drivers.catalogue import driver_of, load
from drivers.driver import Device, Telling
from drivers.errors import MisconfiguredError, UnreachableError
from rules.model.event import STILL_BYTES_MAX, Still
from rules.model.line import CameraLine
from rules.model.quality import Quality
from simulators import rtsp_camera
from simulators.faults import FaultKind
from simulators.rtsp_camera import Login
from tests.contract.ground_camera import TIMEOUT_S, Answering, CameraGround, Redirecting, device_of, reads_until, values
from tests.field import free_port

WAITS_MAX = 8  # times the line's time-out that any call may take
RESTARTS = 20
MILLISECOND = timedelta(milliseconds=1)
NOTHING = dict.fromkeys(("frozen", "dark", "covered", "moved", "motion", "line", "intrusion"), 0.0)
DESCRIPTION = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def ground() -> AsyncIterator[CameraGround]:
    made = CameraGround()
    await made.start()
    yield made
    made.trouble(None)
    await made.stop()


@pytest.fixture
async def driver(ground: CameraGround, tmp_path: Path) -> AsyncIterator[CameraDriver]:
    opened = driver_of(ground.line, now, tmp_path / "clips")
    assert isinstance(opened, CameraDriver)
    yield opened
    await opened.close()


@pytest.fixture
def station(driver: CameraDriver, ground: CameraGround) -> CameraStation:
    return driver.station(ground.device)


async def lost(station: CameraStation) -> str:
    """Read until the camera is unreachable, as what was seen may still be fresh; gives the sentence."""
    async with asyncio.timeout(WAITS_MAX * TIMEOUT_S):
        while True:
            try:
                await station.read()
            except UnreachableError as error:
                return str(error)
            await asyncio.sleep(0.02)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def bounded(station: CameraStation) -> str:
    """Read a camera that must be unreachable; gives the sentence."""
    begun = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        await station.read()
    assert time.monotonic() - begun < WAITS_MAX * TIMEOUT_S
    return str(caught.value)


async def test_every_point_is_read_with_value_quality_and_time(station: CameraStation, ground: CameraGround) -> None:
    before = now()
    readings = await station.read()
    said = dict(values(readings))
    assert said.pop("fps") == pytest.approx(10, abs=4)
    assert said == {"online": 1.0, **NOTHING}
    assert [reading.point for reading in readings] == [asked.point.code for asked in ground.device.points]
    assert {reading.quality for reading in readings} == {Quality.GOOD}
    assert all(before <= reading.at <= now() for reading in readings)
    assert station.plan
    assert isinstance(station, Telling)


async def test_nothing_is_started_before_it_is_asked_and_nothing_can_be_set(
    driver: CameraDriver, ground: CameraGround
) -> None:
    station = driver.station(ground.device)
    assert station.watcher.pid is None
    assert station.take_events() == []
    with pytest.raises(MisconfiguredError, match="only looks"):
        await station.write("motion", 1.0)
    meter = Device("EM-1", "1", load("rs-em1"), ())
    with pytest.raises(MisconfiguredError, match="not of camera"):
        driver.station(meter)


def test_a_line_and_a_zone_that_nobody_drew_are_no_points() -> None:
    assert [asked.measure for asked in device_of(None).points] == [
        "online", "fps", "frozen", "dark", "covered", "moved", "motion",
    ]  # fmt: skip


async def test_a_camera_that_is_gone_is_unreachable_and_found_again_by_itself(
    station: CameraStation, ground: CameraGround
) -> None:
    await station.read()
    await ground.stop()
    await lost(station)
    assert "cannot be reached" in await bounded(station)
    await ground.start()
    assert (await reads_until(station, lambda said: said["online"] == 1.0))["fps"]


async def test_a_camera_that_restarts_again_and_again_is_found_every_time_by_one_process(
    station: CameraStation, ground: CameraGround
) -> None:
    await station.read()
    for _ in range(RESTARTS):
        await ground.stop()
        await lost(station)
        await ground.start()
        await reads_until(station, lambda said: said["online"] == 1.0)
    assert station.watcher.starts == 1


async def test_a_frozen_server_is_noticed_at_the_time_out_and_left_for_a_new_try(
    station: CameraStation, ground: CameraGround
) -> None:
    await station.read()
    ground.trouble(FaultKind.SILENT)
    await asyncio.sleep(TIMEOUT_S + 0.2)
    for _ in range(2):
        await bounded(station)
    ground.trouble(None)
    await reads_until(station, lambda said: said["online"] == 1.0)


async def test_a_process_that_hangs_is_ended_and_another_takes_its_place(station: CameraStation) -> None:
    await station.read()
    hung = psutil.Process(station.watcher.pid)
    hung.suspend()
    await asyncio.sleep(TIMEOUT_S + 0.2)
    await bounded(station)
    await reads_until(station, lambda said: said["online"] == 1.0)
    assert station.watcher.pid != hung.pid
    assert not hung.is_running()


async def test_a_process_that_is_killed_is_started_again(station: CameraStation) -> None:
    await station.read()
    first = station.watcher.pid
    psutil.Process(first).kill()
    await reads_until(station, lambda said: station.watcher.pid not in (None, first) and said["online"] == 1.0)


GARBAGE = {
    "noise": (bytes(range(256)) * 8, False, "does not speak RTSP"),
    "another protocol": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, "does not speak RTSP"),
    "a word without an end": (b"RTSP/1.0" + b"x" * 4000, True, "does not speak RTSP"),
    "nothing": (b"", False, "does not answer within 2 s"),
    "no status": (b"RTSP/1.0 abc OK\r\n\r\n", False, "does not speak RTSP"),
}


@pytest.mark.parametrize("how", GARBAGE)
async def test_what_is_no_camera_is_unreachable_within_a_bound_with_a_sentence(how: str, tmp_path: Path) -> None:
    ground = CameraGround()
    answer, endless, sentence = GARBAGE[how]
    driver = CameraDriver(ground.line, now)
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with Answering(ground.port, answer, endless=endless):
        try:
            assert sentence in await bounded(driver.station(ground.device))
        finally:
            await driver.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < 50_000


REFUSALS = {
    "404 Not Found": "no such stream; correct the path",
    "302 Moved\r\nLocation: rtsp://127.0.0.1:1/other": "another place, where we do not go",
    "454 Session Not Found": "refuses the stream (RTSP 454)",
    "401 Unauthorized": "asks for user and password",
}


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_camera_that_answers_but_gives_no_picture_is_read_as_not_online(status: str) -> None:
    ground = CameraGround()
    driver = CameraDriver(ground.line, now)
    async with Answering(ground.port, f"RTSP/1.0 {status}\r\nCSeq: 1\r\n\r\n".encode()):
        try:
            readings = await driver.station(ground.device).read()
        finally:
            await driver.close()
    assert (readings[0].value, readings[0].quality) == (0.0, Quality.GOOD)
    assert {(reading.value, reading.quality) for reading in readings[1:]} == {(None, Quality.BAD)}
    assert all(REFUSALS[status] in reading.error for reading in readings[1:])


async def test_a_camera_that_sends_us_to_another_host_is_not_followed_and_learns_no_password_for_it() -> None:
    ground = CameraGround()
    elsewhere = Answering(free_port(), b"")
    driver = CameraDriver(ground.line.model_copy(update={"user": "viewer"}), now)
    async with elsewhere, Redirecting(ground.port, elsewhere.port) as camera:
        try:
            readings = await driver.station(ground.device).read()
        finally:
            await driver.close()
        assert any("Authorization" in asked for asked in camera.asked)
        assert elsewhere.asked == []
    assert readings[0].value == 0.0
    assert "sends us to another place" in readings[1].error


async def test_a_picture_without_an_end_is_given_up_within_a_bound(
    station: CameraStation, ground: CameraGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rtsp_camera.packets

    def endless(jpeg: bytes, size: tuple[int, int], *, sequence: int, ticks: int, source: int) -> Iterator[bytes]:
        for packet in whole(jpeg, size, sequence=sequence, ticks=0 * ticks, source=source):
            yield packet[:1] + bytes([packet[1] & 0x7F]) + packet[2:]  # no marker: the picture goes on

    await station.read()
    monkeypatch.setattr(rtsp_camera, "packets", endless)
    await reads_until(station, lambda said: said["online"] == 0.0)
    pid = station.watcher.pid
    assert pid is None or psutil.Process(pid).memory_info().rss < 600_000_000
    monkeypatch.undo()
    await reads_until(station, lambda said: said["online"] == 1.0, 40)


async def test_a_description_without_an_end_takes_neither_the_gateway_nor_its_memory() -> None:
    ground = CameraGround()
    head = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n"
    answer = head + b"Content-Length: 2000000000\r\n\r\n" + DESCRIPTION
    driver = CameraDriver(ground.line, now)
    station = driver.station(ground.device)
    async with Answering(ground.port, answer, endless=True):
        try:
            readings = None
            for _ in range(3):
                try:
                    readings = await station.read()
                except UnreachableError:
                    continue
            assert readings is None or all(reading.value in (None, 0.0) for reading in readings)
            pid = station.watcher.pid
            assert pid is None or psutil.Process(pid).memory_info().rss < 600_000_000
        finally:
            await driver.close()


@pytest.mark.parametrize("right", [True, False])
async def test_the_password_opens_the_stream_and_is_nowhere_to_be_seen(
    right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "p@ss/w:rd%1"
    ground = CameraGround(Login("viewer", secret))
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    monkeypatch.setenv("PLANTROOM_BROKER_PASSWORD", "of-the-broker")
    (tmp_path / "camera-C1-password").write_text(secret if right else "wrong")
    await ground.start()
    driver = CameraDriver(ground.line, now)
    station = driver.station(ground.device)
    try:
        readings = await station.read()
        assert readings[0].value == float(right)
        shown = "".join(reading.error for reading in readings) + caplog.text + repr(station.watcher._settings())
        assert station.watcher.pid is not None
        process = psutil.Process(station.watcher.pid)
        shown += " ".join(process.cmdline()) + repr(process.environ())
        assert not [word for word in (secret, "p%40ss", "wrong", "of-the-broker") if word in shown]
    finally:
        await driver.close()
        await ground.stop()


async def test_an_intruder_is_told_with_stills_and_kept_as_one_whole_clip(
    station: CameraStation, ground: CameraGround, tmp_path: Path
) -> None:
    await station.read()
    await asyncio.sleep(3)  # the scene is learnt
    assert station.take_events() == []
    before = now()
    ground.trouble(FaultKind.INTRUDER)
    told: list[Still] = []
    seen: set[str] = set()
    async with asyncio.timeout(25):
        while len(told) < 3 or not list((tmp_path / "clips" / "CAM-1").glob("CAM-1-*.mp4")):
            seen |= {name for name, value in values(await station.read()).items() if value}
            told += [event for event in station.take_events() if isinstance(event, Still)]
            await asyncio.sleep(0.1)
    assert [still.cause for still in told] == ["motion", "zone", "line"]
    assert {"motion", "intrusion", "line"} <= seen
    assert all(still.device == "CAM-1" and before - MILLISECOND < still.at <= now() for still in told)
    assert len({still.at for still in told}) == len({still.id for still in told}) == 3
    assert all(still.jpeg.startswith(b"\xff\xd8") and len(still.jpeg) <= STILL_BYTES_MAX for still in told)
    (clip,) = (tmp_path / "clips" / "CAM-1").iterdir()
    assert clip.name.startswith(f"CAM-1-{told[0].at:%Y%m%dT%H%M%S}.")
    assert clip.stat().st_size > 10_000


async def test_a_covered_and_a_frozen_picture_are_told_and_pass(station: CameraStation, ground: CameraGround) -> None:
    await station.read()
    await asyncio.sleep(3)
    for kind, state in ((FaultKind.COVERED, "covered"), (FaultKind.FREEZE, "frozen")):
        ground.trouble(kind)
        await reads_until(station, lambda said, state=state: said[state] == 1.0)  # type: ignore[misc]
        ground.trouble(None)
        await reads_until(station, lambda said, state=state: said[state] == 0.0)  # type: ignore[misc]
    assert "fault" in {event.cause for event in station.take_events() if isinstance(event, Still)}


async def test_closing_leaves_no_process_no_thread_and_no_file(ground: CameraGround, tmp_path: Path) -> None:
    tasks, threads, files = asyncio.all_tasks(), threading.active_count(), open_files()
    children = psutil.Process().children()
    for kind in (None, FaultKind.SILENT, FaultKind.GARBAGE):
        driver = CameraDriver(ground.line, now, tmp_path)
        ground.trouble(None)
        station = driver.station(ground.device)
        await station.read()
        ground.trouble(kind)
        asking = asyncio.create_task(_ask(station))
        await asyncio.sleep(0.01)
        await driver.close()
        await driver.close()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    for wait_s in (0.0, 0.01, 0.3):  # while it starts, too
        driver = CameraDriver(ground.line, now, tmp_path)
        asking = asyncio.create_task(_ask(driver.station(ground.device)))
        await asyncio.sleep(wait_s)
        await driver.close()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    ground.trouble(None)
    await ground.stop()
    async with asyncio.timeout(5):
        while threading.active_count() > threads or open_files() > files:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= tasks | {asyncio.current_task()}  # type: ignore[operator]
    assert psutil.Process().children() == children
    await ground.start()


async def _ask(station: CameraStation) -> None:
    await station.read()


async def test_the_process_ends_with_its_parent(ground: CameraGround, tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        str(ground.port),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    assert psutil.pid_exists(pid)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(5):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


PARENT = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from drivers.camera.line import CameraDriver
from rules.model.line import CameraLine
from tests.contract.ground_camera import device_of
async def main():
    line = CameraLine(driver="camera", code="C1", gateway="G", poll_s=1, url=f"rtsp://127.0.0.1:{sys.argv[1]}/live")
    station = CameraDriver(line, lambda: datetime.now(UTC)).station(device_of())
    await station.read()
    print(station.watcher.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_line_of_a_camera_waits_longer_for_its_stream_than_for_a_meter() -> None:
    line = CameraLine(driver="camera", code="C1", gateway="G", poll_s=1, url="rtsp://10.0.0.9/1")
    assert line.timeout_s == 5.0
