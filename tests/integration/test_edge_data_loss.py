"""What users of other gateways lose readings by, each tried here with a real broker and a hub that counts."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent.agent import run
from edge_agent.clock import Clock
from edge_agent.config import EdgeConfig, load
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.publisher import Broker, Publisher
from edge_agent.retention import Retention
from edge_agent.roster import Roster
from edge_agent.spool import Spool, SpoolFullError
from edge_agent.window import WINDOW_FRAMES
from rules.model.quality import Quality
from rules.model.reading import Reading
from simulators.link import Link
from tests.field import Meter, TinyHub, free_port, serving, site_text, until, write_site


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[TinyHub]:
    hub = TinyHub(broker.host, broker.port, broker.username, broker.password)
    hub.start()
    yield hub
    hub.stop()


def account(broker: EmbeddedBroker, port: int = 0) -> Broker:
    return Broker(broker.host, port or broker.port, broker.username, broker.password)


@asynccontextmanager
async def task_of(work: object) -> AsyncIterator[None]:
    task = asyncio.create_task(work)  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        async with asyncio.timeout(3):
            await asyncio.gather(task, return_exceptions=True)


class Edge:
    """A spool and its publisher, without devices."""

    def __init__(self, folder: Path, broker: Broker, config: EdgeConfig) -> None:
        self.spool = Spool(folder / "spool.sqlite", max_mb=16)
        self.publisher = Publisher(
            config, broker, spool=self.spool, roster=Roster(config, self.spool.points()),
            clock=Clock(self.spool.newest), health=Health(),
        )  # fmt: skip

    def read(self, count: int, ago: timedelta = timedelta(0)) -> None:
        """Read so many frames, the first of them so long ago."""
        step = timedelta(milliseconds=1)
        began = (
            datetime.now(UTC) - ago if self.spool.newest is None else max(datetime.now(UTC) - ago, self.spool.newest)
        )
        for n in range(1, count + 1):
            at = began.replace(microsecond=began.microsecond // 1000 * 1000) + n * step
            frame = Frame("EM-1", (Reading("EM-1.energy", at, self.spool.last_number + 1.0, Quality.GOOD),))
            last = self.spool.append([frame])
            self.publisher.fresh([replace(frame, number=last)])


@pytest.fixture
def config(tmp_path: Path) -> EdgeConfig:
    return load(write_site(tmp_path, site_text(free_port())))


def numbers(hub: TinyHub) -> list[float]:
    return [value for (_, _), value in sorted(hub.readings.items()) if value is not None]


def all_there(hub: TinyHub, edge: Edge) -> bool:
    return hub.committed == edge.spool.last_number


async def test_a_buffer_is_not_wiped_on_each_reconnect(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig
) -> None:
    """thingsboard-gateway 2124"""
    hub.deaf = True
    async with Link(broker.port) as link:
        edge = Edge(tmp_path, account(broker, link.port), config)
        async with task_of(edge.publisher.run()):
            edge.read(200)
            for _ in range(3):
                births = len(hub.seen)
                await until(lambda seen=births: len(hub.seen) > seen)  # type: ignore[misc]
                link.cut()
                await asyncio.sleep(0.1)
                link.restore()
                assert edge.spool.depth() == 200
            hub.deaf = False
            await until(lambda: all_there(hub, edge))
    assert numbers(hub) == [n + 1.0 for n in range(200)]
    edge.spool.close()


@pytest.mark.parametrize("how", ["cut", "swallow"])
async def test_the_first_seconds_after_a_drop_are_not_lost(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig, how: str
) -> None:
    """thingsboard-gateway 2157: what was handed to a dead connection is not taken for sent"""
    async with Link(broker.port) as link:
        edge = Edge(tmp_path, account(broker, link.port), config)
        async with task_of(edge.publisher.run()):
            edge.read(5)
            await until(lambda: all_there(hub, edge))
            getattr(link, how)()
            for _ in range(5):
                edge.read(4)
                await asyncio.sleep(0.1)
            link.cut()
            link.restore()
            await until(lambda: all_there(hub, edge), 20)
    assert numbers(hub) == [n + 1.0 for n in range(25)]
    edge.spool.close()


async def test_what_was_on_its_way_when_the_edge_ended_does_not_come_twice(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig
) -> None:
    """thingsboard-gateway 2098: a reader that runs ahead of deletion"""
    said, hub.acknowledge = hub.acknowledge, lambda: None  # type: ignore[method-assign]
    edge = Edge(tmp_path, account(broker), config)
    async with task_of(edge.publisher.run()):
        edge.read(WINDOW_FRAMES)
        await until(lambda: hub.committed == WINDOW_FRAMES)  # taken, and the edge does not know
    edge.spool.close()
    hub.acknowledge = said  # type: ignore[method-assign]
    again = Edge(tmp_path, account(broker), config)
    assert again.spool.depth() == WINDOW_FRAMES
    async with task_of(again.publisher.run()):
        again.read(10)
        await until(lambda: all_there(hub, again) and again.spool.depth() == 0)
    assert numbers(hub) == [n + 1.0 for n in range(WINDOW_FRAMES + 10)]
    assert hub.twice > 0
    again.spool.close()


async def test_without_a_word_in_the_site_file_readings_lie_on_disk(tmp_path: Path) -> None:
    """thingsboard-gateway 959: memory only unless told otherwise"""
    port = free_port()
    text = site_text(port)
    assert "spool" not in text
    config = load(write_site(tmp_path, text))
    file = tmp_path / "edge-GW-1.sqlite"

    async with serving(port, Meter(1, ticking=True)), task_of(run(config, Broker("127.0.0.1", free_port()), tmp_path)):
        await until(file.exists)
        await asyncio.sleep(1.0)
        for suffix in ("", "-wal"):  # as after a power cut: nobody has closed anything
            shutil.copy(f"{file}{suffix}", tmp_path / f"copy.sqlite{suffix}")
    again = Spool(tmp_path / "copy.sqlite", max_mb=16)
    assert again.depth() > 0
    again.close()


async def test_polling_does_not_stop_in_a_long_outage(tmp_path: Path) -> None:
    """thingsboard-gateway 2132: not even when the spool is full and may drop nothing"""
    port, meter = free_port(), Meter(1, ticking=True)
    config = replace(load(write_site(tmp_path, site_text(port))), spool_max_mb=0)
    async with serving(port, meter), task_of(run(config, Broker("127.0.0.1", free_port()), tmp_path)):
        await until(lambda: meter.registers.get(1, 0) >= 5)


async def test_a_restarted_edge_does_not_send_its_whole_buffer_again(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig
) -> None:
    """telegraf 16500; a corrupt buffer, telegraf 18528, is in test_edge_spool_damage"""
    edge = Edge(tmp_path, account(broker), config)
    async with task_of(edge.publisher.run()):
        edge.read(100)
        await until(lambda: all_there(hub, edge) and edge.spool.depth() == 0)
    edge.spool.close()
    again = Edge(tmp_path, account(broker), config)
    twice = hub.twice
    async with task_of(again.publisher.run()):
        again.read(3)
        await until(lambda: all_there(hub, again))
    assert hub.twice == twice
    assert again.publisher._health.sent == 3
    again.spool.close()


def test_trimming_a_full_buffer_takes_what_it_must_and_no_more(tmp_path: Path) -> None:
    """VOLTTRON 2286: the trim deleted all"""
    spool = Spool(tmp_path / "spool.sqlite", max_mb=2)
    spool.follow(Retention(2, loose=frozenset({"EM-1.power"})))
    at = datetime(2026, 3, 1, tzinfo=UTC)
    least = 100
    for n in range(400):
        readings = [Reading("EM-1.power", at + timedelta(seconds=100 * n + k), 1.5, Quality.GOOD) for k in range(400)]
        spool.append([Frame("EM-1", tuple(readings))])
        if spool.dropped:
            least = min(least, spool.percent)
    assert least >= 95
    assert 0 < spool.dropped < 400 * 400 * 2 / 3
    spool.close()


# ---------------------------------------------------------------- the present first


async def test_a_new_reading_reaches_the_hub_before_what_has_waited(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig
) -> None:
    edge = Edge(tmp_path, account(broker), replace(config, backfill_per_s=100))
    edge.read(500, timedelta(hours=1))
    async with task_of(edge.publisher.run()):
        await until(lambda: hub.committed > 0)
        edge.read(1)
        await until(lambda: len(hub.previewed) == 1, 2)
        assert hub.committed < 450
        await until(lambda: all_there(hub, edge), 30)
    assert numbers(hub) == [n + 1.0 for n in range(501)]
    assert hub.historical == 500
    assert {name for name, _ in hub.previewed} == {"EM-1.energy"}
    edge.spool.close()


async def test_what_the_disk_does_not_take_is_shown_at_least(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig
) -> None:
    edge = Edge(tmp_path, account(broker), config)
    async with task_of(edge.publisher.run()):
        edge.read(3)
        await until(lambda: all_there(hub, edge))
        edge.spool.follow(Retention(0))
        refused = Frame("EM-1", (Reading("EM-1.energy", datetime.now(UTC), 9.5, Quality.GOOD),))
        with pytest.raises(SpoolFullError):
            edge.spool.append([refused])
        edge.publisher.fresh([refused])
        await until(lambda: len(hub.previewed) == 1)
        assert hub.committed == 3
    edge.spool.close()


async def test_a_foreign_host_gets_no_previews_for_it_would_keep_them_beside_the_rest(
    tmp_path: Path, broker: EmbeddedBroker, hub: TinyHub, config: EdgeConfig
) -> None:
    edge = Edge(tmp_path, account(broker), replace(config, acknowledge="none", backfill_per_s=100))
    edge.read(200, timedelta(hours=1))
    async with task_of(edge.publisher.run()):
        await until(lambda: hub.committed > 0)
        edge.read(1)
        await until(lambda: all_there(hub, edge), 20)
    assert hub.previewed == set()
    edge.spool.close()
