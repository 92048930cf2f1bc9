"""The poller against a driver with a memory, on clocks that the test moves."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from drivers.driver import Device
from drivers.errors import MalformedError, UnreachableError
from edge_agent import poller
from edge_agent.config import EdgeConfig, load
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.poller import DEVICE_BACKOFF_MAX_S, LinePoller
from edge_agent.retention import Retention
from edge_agent.roster import Roster
from edge_agent.spool import Spool, SpoolFullError
from rules.model.event import BadgeEvent, Event
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.field import device_text, site_text, write_site

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class FakeDriver:
    """Answers with registers that hold their own address, or raises what the test put there."""

    troubles: dict[int, Exception] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    slow_s: float = 0.0
    now: Callable[[], datetime] = lambda: START

    async def close(self) -> None:
        pass

    def station(self, device: Device) -> "FakeStation":
        return FakeStation(self, device)

    async def ask(self, device: Device) -> list[Reading]:
        address = int(device.address)
        self.asked.append(address)
        await asyncio.sleep(self.slow_s)
        trouble = self.troubles.get(address)
        if isinstance(trouble, MalformedError):
            return [Reading(one.point.code, self.now(), None, Quality.BAD, error=str(trouble)) for one in device.points]
        if trouble is not None:
            raise trouble
        return [Reading(one.point.code, self.now(), float(n), Quality.GOOD) for n, one in enumerate(device.points)]


@dataclass
class FakeStation:
    driver: FakeDriver
    device: Device
    plan: tuple[str, ...] = ()

    async def read(self) -> list[Reading]:
        return await self.driver.ask(self.device)

    async def write(self, measure: str, value: float) -> Reading:
        raise NotImplementedError(measure, value)


@dataclass
class FakePublisher:
    said: list[tuple[str, bool]] = field(default_factory=list)
    shown: list[Frame] = field(default_factory=list)

    def announce(self, device: str, *, alive: bool) -> None:
        self.said.append((device, alive))

    def nudge(self) -> None:
        pass

    def fresh(self, frames: Sequence[Frame]) -> None:
        self.shown.extend(frames)


class Bench:
    """One poller with everything around it."""

    def __init__(self, config: EdgeConfig, spool: Spool) -> None:
        self.config = config
        self.now_s = 0.0
        self.driver = FakeDriver(now=lambda: START + timedelta(seconds=self.now_s))
        self.publisher = FakePublisher()
        self.spool = spool
        self.health = Health()
        self.poller = LinePoller(
            config.lines[0],
            self.driver,
            spool=spool,
            publisher=self.publisher,  # type: ignore[arg-type]
            roster=Roster(config, set()),
            health=self.health,
            now=lambda: START + timedelta(seconds=self.now_s),
            monotonic_s=lambda: self.now_s,
        )

    async def poll(self, after_s: float = 0.0) -> list[int]:
        """Poll once; gives who was asked."""
        self.now_s += after_s
        self.driver.asked.clear()
        await self.poller.poll()
        return list(self.driver.asked)

    def spooled(self, device: str) -> list[tuple[int, Quality]]:
        """Readings per frame of a device, and the first one's quality."""
        return [(len(f.readings), f.readings[0].quality) for f in self.spool.pending(0, 1000) if f.device == device]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    text = site_text(1502, device_text("EM-1", 1) + device_text("EM-2", 2))
    spool = Spool(tmp_path / "spool.sqlite", max_mb=16)
    yield Bench(load(write_site(tmp_path, text)), spool)
    spool.close()


async def test_the_first_poll_sends_all_and_then_only_counters_and_heartbeats(bench: Bench) -> None:
    await bench.poll()
    await bench.poll(1)
    await bench.poll(60)
    assert bench.spooled("EM-1") == [(10, Quality.GOOD), (1, Quality.GOOD), (10, Quality.GOOD)]


async def test_a_dead_device_backs_off_to_a_minute_while_its_neighbour_is_polled(bench: Bench) -> None:
    bench.driver.troubles[1] = UnreachableError("no answer from address 1")
    tries = [bench.now_s for _ in range(200) if 1 in await bench.poll(1)]
    gaps = [int(b - a) for a, b in pairwise(tries)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 32]
    assert set(gaps[6:]) == {DEVICE_BACKOFF_MAX_S}
    assert len(bench.spooled("EM-2")) == 200
    assert bench.spooled("EM-1") == [(10, Quality.BAD)]
    assert bench.publisher.said == [("EM-1", False)]
    bench.driver.troubles.clear()
    await bench.poll(60)
    assert bench.publisher.said == [("EM-1", False), ("EM-1", True)]
    assert bench.spooled("EM-1")[-1] == (10, Quality.GOOD)
    assert 1 in await bench.poll(1)


async def test_a_dead_link_loses_every_device_at_once_and_is_tried_rarely(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.driver.troubles[1] = UnreachableError("no link", link=True)
    asked = [await bench.poll(1) for _ in range(60)]
    assert all(2 not in one for one in asked)
    assert 5 < sum(bool(one) for one in asked) < 12
    assert bench.spooled("EM-1") == bench.spooled("EM-2") == [(10, Quality.BAD)]
    assert [r.message for r in caplog.records] == [
        "device EM-1 is lost: no link",
        "device EM-2 is lost: no link",
    ]
    bench.driver.troubles.clear()
    assert await bench.poll(15) == [1, 2]


async def test_a_garbled_answer_is_bad_quality_without_a_value_and_no_loss(bench: Bench) -> None:
    bench.driver.troubles[1] = MalformedError("sent noise")
    await bench.poll()
    frame = bench.spool.pending(0, 1)[0]
    assert {(r.value, r.quality) for r in frame.readings} == {(None, Quality.BAD)}
    assert bench.publisher.said == []


async def test_a_full_spool_does_not_stop_polling_and_what_follows_is_kept(bench: Bench) -> None:
    await bench.poll()
    bench.spool.follow(Retention(0))
    for _ in range(3):
        assert await bench.poll(1) == [1, 2]
    bench.spool.follow(Retention(16))
    stood = bench.spool.last_number
    await bench.poll(1)
    assert bench.spool.last_number == stood + 2


async def test_a_loss_that_found_no_room_is_said_when_there_is(bench: Bench) -> None:
    await bench.poll()
    bench.spool.follow(Retention(0))
    bench.driver.troubles[1] = UnreachableError("no answer")
    await bench.poll(1)
    assert bench.publisher.said == []
    bench.spool.follow(Retention(16))
    await bench.poll(2)
    assert bench.publisher.said == [("EM-1", False)]
    assert bench.spooled("EM-1")[-1] == (10, Quality.BAD)


async def test_a_slow_cycle_skips_turns_and_never_bunches_them(tmp_path: Path) -> None:
    config = load(write_site(tmp_path, site_text(1502, poll_s=0.2)))
    spool = Spool(tmp_path / "slow.sqlite", max_mb=16)
    bench, loop = Bench(config, spool), asyncio.get_running_loop()
    bench.driver.slow_s = 0.25
    bench.poller._monotonic_s = loop.time
    starts: list[float] = []
    ask = bench.driver.ask

    async def noted(device: Device) -> list[Reading]:
        starts.append(loop.time())
        return await ask(device)

    bench.driver.ask = noted  # type: ignore[method-assign]
    task = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(1.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    spool.close()
    gaps = [b - a for a, b in pairwise(starts)]
    assert all(0.3 < gap < 0.9 for gap in gaps)
    assert bench.health.missed >= len(gaps) - 1


async def test_what_a_door_tells_is_spooled_a_frame_each_and_waits_while_there_is_no_room(bench: Bench) -> None:
    told = [BadgeEvent(UUID(int=n), "EM-1", START, "granted", "4711") for n in range(3)]
    told.append(BadgeEvent(UUID(int=3), "EM-1", START, "opened"))  # nobody would know what that is
    fresh = list(told)

    def take_events() -> list[Event]:
        taken = fresh[:]
        fresh.clear()
        return taken

    bench.poller._devices[0].station.take_events = take_events  # type: ignore[attr-defined]
    bench.spool.follow(Retention(0))
    await bench.poll()
    assert bench.spool.depth() == 0
    bench.spool.follow(Retention(16))
    await bench.poll(1)
    frames = bench.spool.pending(0, 100)
    assert [frame.event for frame in frames if frame.event] == told[:3]
    await bench.poll(1)
    assert sum(frame.event is not None for frame in bench.spool.pending(0, 100)) == 3


async def test_a_disk_that_is_slow_does_not_hold_the_line_and_takes_larger_bites(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, bites, may_write = bench.spool.append, [], threading.Event()

    def slowly(frames: list[Frame]) -> int:
        may_write.wait(5)
        bites.append(len(frames))
        return append(frames)

    monkeypatch.setattr(bench.spool, "append", slowly)
    for _ in range(4):
        bench.now_s += 60
        await bench.poller.cycle()
    assert (bench.driver.asked, bench.spool.last_number) == ([1, 2] * 4, 0)
    may_write.set()
    await bench.poller.settle()
    assert bites == [1, 7]
    assert len(bench.spooled("EM-1")) == len(bench.spooled("EM-2")) == 4


async def test_what_the_spool_refuses_is_news_again_at_the_next_poll(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:

        def refuse(_frames: list[Frame]) -> int:
            raise SpoolFullError("full")

        full.setattr(bench.spool, "append", refuse)
        await bench.poll()
    assert bench.spooled("EM-1") == []
    await bench.poll(1)
    assert [count for count, _ in bench.spooled("EM-1")] == [len(bench.config.lines[0].devices[0].points)]


async def test_a_device_of_very_many_points_is_cut_into_frames_that_travel(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "FRAME_READINGS_MAX", 4)
    await bench.poll()
    counts = [count for count, _ in bench.spooled("EM-1")]
    assert sum(counts) == len(bench.config.lines[0].devices[0].points)
    assert max(counts) == 4


async def test_a_line_ends_even_where_a_library_swallows_the_first_word(bench: Bench) -> None:
    async def deaf(_device: Device) -> list[Reading]:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return []
        return []

    bench.driver.ask = deaf  # type: ignore[method-assign]
    task = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(0.01)
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_a_line_is_given_other_devices_and_keeps_what_it_knows_of_the_ones_that_stay(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.poll()
    stays = bench.poller._devices[0].station
    text = site_text(1502, device_text("EM-1", 1) + device_text("EM-3", 3))
    config = load(write_site(tmp_path, text))
    bench.poller._roster.apply(config, set(), emptied=False)
    bench.poller.apply(config.lines[0])
    assert bench.poller._devices[0].station is stays
    assert await bench.poll(1) == [1, 3]
    assert bench.spooled("EM-1") == [(10, Quality.GOOD), (1, Quality.GOOD)]
    assert bench.poller.answering == {"EM-1", "EM-3"}
