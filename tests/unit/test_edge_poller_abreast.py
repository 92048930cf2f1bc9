"""Devices that share no wire are asked side by side: none waits for another that is dead or slow."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from drivers.driver import Device, Parallel
from drivers.errors import UnreachableError
from edge_agent.change import News
from edge_agent.config import load
from edge_agent.spool import Spool
from rules.model.point import Kind, Point
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.field import device_text, site_text, write_site
from tests.unit.test_edge_poller import START, Bench, FakeDriver

DEVICES = 10
TOGETHER = 4


class Abreast(FakeDriver):
    """Answers several at once; ``slow`` ones wait until they are let go."""

    together = TOGETHER

    def __init__(self) -> None:
        super().__init__()
        self.slow: set[int] = set()
        self.go = asyncio.Event()
        self.at_once = self.most = 0

    async def ask(self, device: Device) -> list[Reading]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0.001)
            if int(device.address) in self.slow:
                self.asked.append(int(device.address))
                await self.go.wait()
                raise UnreachableError("no answer")
            return await super().ask(device)
        finally:
            self.at_once -= 1


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("tests.unit.test_edge_poller.FakeDriver", lambda **_: Abreast())
    text = site_text(1502, "".join(device_text(f"EM-{n}", n) for n in range(1, DEVICES + 1)))
    spool = Spool(tmp_path / "spool.sqlite", max_mb=16)
    made = Bench(load(write_site(tmp_path, text)), spool)
    made.driver.now = lambda: START + timedelta(seconds=made.now_s)
    yield made
    spool.close()


async def test_all_are_asked_and_never_more_than_the_line_takes_at_once(bench: Bench) -> None:
    assert isinstance(bench.driver, Abreast)
    assert isinstance(bench.driver, Parallel)
    assert sorted(await bench.poll()) == list(range(1, DEVICES + 1))
    assert bench.driver.most == TOGETHER


async def test_a_slow_device_holds_up_nobody_and_is_not_asked_twice(bench: Bench) -> None:
    assert isinstance(bench.driver, Abreast)
    bench.driver.slow = {3}
    await bench.poll()
    for _ in range(3):
        others = await bench.poll(1)
        assert sorted(others) == [n for n in range(1, DEVICES + 1) if n != 3]
    bench.driver.go.set()
    await asyncio.sleep(0.1)
    await bench.poll()
    assert bench.publisher.said == [("EM-3", False)]
    assert bench.spooled("EM-3") == [(10, Quality.BAD)]


async def test_a_link_that_is_down_is_said_once_and_backs_off_once(bench: Bench) -> None:
    bench.driver.troubles.update(dict.fromkeys(range(1, DEVICES + 1), UnreachableError("no link", link=True)))
    await bench.poll()
    assert len(bench.publisher.said) == DEVICES
    bench.driver.troubles.clear()
    assert await bench.poll(0.5) == []
    assert len(await bench.poll(0.6)) == DEVICES


async def test_stopping_leaves_no_poll_behind(bench: Bench) -> None:
    assert isinstance(bench.driver, Abreast)
    bench.driver.slow = {3}
    before = asyncio.all_tasks()
    task = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.all_tasks() == before
    assert bench.driver.at_once == 0


async def test_a_bug_in_a_slow_poll_is_not_swallowed(bench: Bench) -> None:
    bench.driver.troubles[2] = KeyError("bug")
    with pytest.raises(KeyError):
        await bench.poll()
    bench.driver.troubles.clear()
    await bench.poll(1)


def test_of_several_readings_of_a_point_each_is_compared_with_the_one_before() -> None:
    point = Point("A.t", "A", "t", Kind.GAUGE, "°C", Decimal("0.1"), deadband=0.5)
    values = (20.0, 25.0, 20.0, 20.1)
    at = [Reading("A.t", START + timedelta(seconds=n), value, Quality.GOOD) for n, value in enumerate(values)]
    news = News([point])
    news.note(at[:1])
    kept = news.of(at[1:])
    assert [reading.value for reading in kept] == [25.0, 20.0]
