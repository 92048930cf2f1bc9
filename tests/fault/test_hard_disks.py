"""A disk that fills up or becomes read-only under the edge: it polls on, says so once, and the hub sees the present."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent.agent import run
from edge_agent.config import load
from edge_agent.frame import Frame
from edge_agent.link import Broker
from edge_agent.spool import REOPEN_EVERY_S, Spool, SpoolFullError
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.field import Meter, TinyHub, free_port, serving, site_text, until, write_site

pytestmark = pytest.mark.fault
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def frame(n: int) -> Frame:
    return Frame("D", (Reading("D.m", START + timedelta(seconds=n), n / 8, Quality.GOOD),))


@pytest.fixture
def disk(open_directory: Path) -> Iterator[Path]:
    """A tmpfs of 3 MB; only root may mount one."""
    folder = open_directory / f"disk-{time.monotonic_ns()}"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=False)
    if os.geteuid() != 0 or mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def full(folder: Path) -> Path:
    filler = folder / "filler"
    left = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize)
    return filler


def test_a_disk_that_is_read_only_at_the_start_still_gives_what_waits_and_is_used_once_it_can_be(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(disk / "spool.sqlite", max_mb=64)
    identity = spool.identity
    spool.append([frame(n) for n in range(10)])
    spool.close()
    remount(disk, "ro")
    now = [0.0]
    again = Spool(disk / "spool.sqlite", max_mb=64, monotonic_s=lambda: now[0])
    assert again.identity == identity
    assert [one.number for one in again.pending(0, 100)] == list(range(1, 11))
    for _ in range(20):
        with pytest.raises(SpoolFullError, match="its disk cannot be written"):
            again.append([frame(11)])
    again.commit(4)
    assert again.next_bd_seq() >= 0
    assert again.depth() == 6
    assert sum("cannot be written" in record.message for record in caplog.records) == 2  # opened; nothing is taken
    remount(disk, "rw")
    now[0] = REOPEN_EVERY_S + 1
    assert again.append([frame(12)]) == 11
    assert [one.number for one in again.pending(0, 100)] == list(range(5, 12))
    assert (again.identity, again.dropped) == (identity, 20)
    again.close()


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_where_there_is_no_spool_yet_and_none_can_be_made_the_edge_starts_all_the_same(
    disk: Path, trouble: str
) -> None:
    filler = full(disk) if trouble == "full" else None
    if filler is None:
        remount(disk, "ro")
    now = [0.0]
    spool = Spool(disk / "edge" / "spool.sqlite", max_mb=64, monotonic_s=lambda: now[0])
    identity = spool.identity
    with pytest.raises(SpoolFullError):
        spool.append([frame(1)])
    assert spool.pending(0, 10) == []
    if filler is None:
        remount(disk, "rw")
    else:
        filler.unlink()
    now[0] = REOPEN_EVERY_S + 1
    assert spool.append([frame(2)]) == 1
    assert spool.identity == identity
    spool.close()
    again = Spool(disk / "edge" / "spool.sqlite", max_mb=64)
    assert again.identity == identity
    again.close()


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[TinyHub]:
    hub = TinyHub(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    yield hub
    hub.stop()


async def test_readings_flow_to_the_hub_while_the_disk_is_full(
    disk: Path, tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, caplog: pytest.LogCaptureFixture
) -> None:
    port, meter = free_port(), Meter(1, ticking=True)
    config = load(write_site(tmp_path, site_text(port)))
    account = Broker(broker.host, broker.port, broker.username, broker.password)
    async with serving(port, meter):
        edge = asyncio.create_task(run(config, account, disk))
        await until(lambda: hub.committed >= 3)
        filler = full(disk)
        await until(lambda: "takes no new readings" in caplog.text, 60)
        stood, seen = hub.committed, len(hub.previewed)
        await until(lambda: len(hub.previewed) >= seen + 30)  # some polls of ten points
        assert hub.committed <= stood + 1
        filler.unlink()
        await until(lambda: hub.committed >= stood + 5, 30)
        edge.cancel()
        await asyncio.gather(edge, return_exceptions=True)
    assert sum("takes no new readings" in record.message for record in caplog.records) == 1
    assert "Traceback" not in caplog.text


async def test_an_edge_that_starts_on_a_read_only_disk_shows_the_hub_what_it_reads(
    disk: Path, tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, caplog: pytest.LogCaptureFixture
) -> None:
    port, meter = free_port(), Meter(1, ticking=True)
    config = load(write_site(tmp_path, site_text(port)))
    account = Broker(broker.host, broker.port, broker.username, broker.password)
    remount(disk, "ro")
    async with serving(port, meter):
        edge = asyncio.create_task(run(config, account, disk))
        await until(lambda: len(hub.previewed) >= 30)
        edge.cancel()
        await asyncio.gather(edge, return_exceptions=True)
    assert hub.committed == 0
    assert sum("cannot be written" in record.message for record in caplog.records) == 2
    assert "Traceback" not in caplog.text
