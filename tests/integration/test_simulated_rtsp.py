"""The simulated camera within a simulated site, watched by the gateway's driver; faults on request."""

import asyncio
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from drivers.camera.line import CameraStation
from drivers.catalogue import driver_of
from edge_agent.config import load
from rules.model.site import parse
from simulators import site_run
from simulators.control import ask_async
from simulators.hall import PLAIN, WALK_EVERY_S, Hall, Show, walker
from simulators.rtp_jpeg import parts
from simulators.world import UnfitSiteError
from tests.contract.ground_camera import reads_until
from tests.field import HOST, free_port, site_text, write_site

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def site_of(port: int, meter: int) -> str:
    return site_text(
        meter,
        f"""
[[line]]
code = "C1"
gateway = "GW-1"
driver = "camera"
url = "rtsp://{HOST}:{port}/hall"
poll_s = 1
timeout_s = 2
[[device]]
code = "CAM-1"
name_zh = "大厅"
name_en = "Hall"
line = "C1"
profile = "rtsp-camera"
role = "plant"
space = "A"
[device.watch]
intrusion = [{{polygon = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]}}]
""",
    )


async def test_a_site_with_a_camera_runs_and_its_faults_are_seen_by_the_driver(tmp_path: Path) -> None:
    port, meter, control = free_port(), free_port(), free_port()
    path = write_site(tmp_path, site_of(port, meter))
    ready = asyncio.Event()
    running = asyncio.create_task(
        site_run.run(parse(tomllib.loads(path.read_text())), seed=1, control_port=control, ready=ready.set)
    )
    await asyncio.wait_for(ready.wait(), 20)
    (polled,) = [line for line in load(path).lines if line.code == "C1"]
    (device,) = polled.devices
    assert [asked.measure for asked in device.points][-2:] == ["motion", "intrusion"]  # no line is drawn
    assert device.timezone == "Asia/Shanghai"
    driver = driver_of(polled.line, lambda: datetime.now(UTC), tmp_path / "clips")
    station = driver.station(device)
    assert isinstance(station, CameraStation)
    try:
        await reads_until(station, lambda said: said["online"] == 1.0)
        told = await ask_async(control, {"do": "inject", "kind": "dark", "device": "CAM-1"})
        await reads_until(station, lambda said: said["dark"] == 1.0)
        await ask_async(control, {"do": "clear", "id": told["id"]})
        await reads_until(station, lambda said: said["dark"] == 0.0)
        refused = await ask_async(control, {"do": "inject", "kind": "extra_load", "device": "CAM-1", "amount": 1})
        assert "has no measure 'power'" in refused["error"]
    finally:
        await driver.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_camera_without_a_port_or_with_a_neighbour_is_told_in_a_sentence(tmp_path: Path) -> None:
    text = site_of(1, free_port()).replace(":1/hall", "/hall")
    site = parse(tomllib.loads(text))
    taken = free_port()
    server = await asyncio.start_server(lambda _r, w: w.close(), HOST, taken)
    try:
        for made in (site, parse(tomllib.loads(site_of(taken, free_port())))):
            with pytest.raises((UnfitSiteError, OSError), match="line 'C1'"):
                async with asyncio.timeout(20):
                    await site_run.run(made, seed=1, control_port=free_port())
    finally:
        server.close()
        await server.wait_closed()


def test_the_same_seed_and_moment_give_the_same_picture() -> None:
    first, again, other = (Hall("CAM-1", seed).picture(AT) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, Hall("CAM-1", 1).picture(AT, Show(moved=True)))


def test_somebody_walks_by_once_a_minute() -> None:
    moments = [datetime.fromtimestamp(AT.timestamp() + n, UTC) for n in range(round(WALK_EVERY_S))]
    there = [figure for at in moments if (figure := walker("CAM-1", 1, at))]
    assert len(there) == 10
    assert PLAIN.figures == ()


def test_a_jpeg_without_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no picture in it"):
        parts(b"\xff\xd8\xff\xe0\x00\x04ab")
