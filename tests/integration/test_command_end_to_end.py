"""A command from the hub's table to a real device and back, over a real broker, whatever fails between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from deploy.broker import Broker as EmbeddedBroker
from edge_agent import agent
from edge_agent.config import load
from edge_agent.publisher import Broker
from hub import main
from hub.commands import outbox, service
from hub.commands.rows import Command
from hub.store.database import Database
from tests.builders import Dsns
from tests.commanding import SETPOINT, Plant, park_text
from tests.commanding_hub import Plantroom, plantroom
from tests.field import free_port, serving, until, write_site

OVER = ("done", "refused", "failed", "uncertain", "expired")


class Ground:
    """A hub, a gateway and a device, each of which can be stopped and started."""

    def __init__(self, room: Plantroom, broker: EmbeddedBroker, folder: Path, text: str) -> None:
        self.room = room
        self._broker = broker
        self._folder = folder
        self._config = load(write_site(folder, text))

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[None]:
        settings = main.HubSettings(
            self.room.park.dsns.hub, self._broker.host, self._broker.port, self._broker.username, self._broker.password
        )
        async with _running(main.run(settings)):
            yield

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[None]:
        account = Broker(self._broker.host, self._broker.port, self._broker.username, self._broker.password)
        async with _running(agent.run(self._config, account, self._folder)):
            yield

    async def met(self) -> None:
        """Wait until hub and gateway know each other."""
        async with asyncio.timeout(10):
            while self.room.rows("SELECT online FROM gateways") != [(True,)]:  # noqa: ASYNC110  the database has no event
                await asyncio.sleep(0.05)

    async def over(self, command_id: UUID, within_s: float = 15) -> Command:
        """Give a command once it is closed."""
        async with asyncio.timeout(within_s):
            while (found := await self.room.stands(command_id)).state not in OVER:  # noqa: ASYNC110  likewise
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def _running(work: object) -> AsyncIterator[None]:
    task = asyncio.create_task(work)  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def plant() -> Plant:
    return Plant(1)


@pytest.fixture
async def ground(
    database: Database, dsns: Dsns, broker: EmbeddedBroker, tmp_path: Path, plant: Plant
) -> AsyncIterator[Ground]:
    port = free_port()
    room = await plantroom(database, dsns, port)
    async with serving(port, plant):
        yield Ground(room, broker, tmp_path, park_text(port))


async def test_a_command_reaches_its_device_is_read_back_and_closed(ground: Ground, plant: Plant) -> None:
    async with ground.hub(), ground.gateway():
        await ground.met()
        given = await ground.room.give(21.5, reason="too warm")
        done = await ground.over(given.id)
        assert (done.state, done.shown, done.answer) == ("done", 21.5, "")
        assert plant.registers[SETPOINT] == 215
        plant.takes = 180
        await asyncio.sleep(1)
        failed = await ground.over((await ground.room.give(22.0)).id)
        assert (failed.state, failed.shown) == ("failed", 18.0)
        assert "holds 18" in failed.answer
    acts = [(actor, act) for actor, act, _ in ground.room.acts()]
    assert acts == 2 * [("fay", "gave"), ("plantroom/ingest", "answered")]


async def test_a_command_given_while_the_hub_is_away_goes_out_when_it_is_back_and_once(
    ground: Ground, plant: Plant
) -> None:
    async with ground.gateway():
        async with ground.hub():
            await ground.met()
        given = await ground.room.give(20.0)
        assert plant.writes == []
        async with ground.hub():
            assert (await ground.over(given.id)).state == "done"
    assert plant.writes == [200]


async def test_a_hub_that_was_away_when_the_answer_came_hears_it_afterwards(ground: Ground, plant: Plant) -> None:
    plant.slow_s = 0.2
    async with ground.gateway():
        async with ground.hub():
            await ground.met()
            given = await ground.room.give(20.0)
            await until(lambda: plant.writes == [200])
        assert (await ground.room.stands(given.id)).state == "sent"
        async with ground.hub():
            assert (await ground.over(given.id)).state == "done"
    assert plant.writes == [200]


async def test_a_gateway_that_is_away_gets_the_command_while_it_counts(ground: Ground, plant: Plant) -> None:
    async with ground.hub():
        async with ground.gateway():
            await ground.met()
        given = await ground.room.give(20.0)
        await asyncio.sleep(0.5)
        assert (await ground.room.stands(given.id)).state == "sent"  # and lost on the way
        async with ground.gateway():
            assert (await ground.over(given.id)).state == "done"
    assert plant.writes == [200]


async def test_a_command_that_nobody_answers_ends_as_uncertain_and_is_not_done_later(
    ground: Ground, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LIFE", timedelta(seconds=1))
    monkeypatch.setattr(outbox, "ANSWER_TIME", timedelta(seconds=1))
    async with ground.hub():
        async with ground.gateway():
            await ground.met()
        given = await ground.room.give(20.0)
        assert (await ground.over(given.id)).state == "uncertain"
        async with ground.gateway():
            await asyncio.sleep(1)
    assert plant.writes == []


async def test_a_gateway_killed_between_write_and_answer_tells_the_hub_what_it_knows(
    ground: Ground, plant: Plant
) -> None:
    plant.slow_s = 0.25
    async with ground.hub():
        async with ground.gateway():
            await ground.met()
            given = await ground.room.give(20.0)
            await until(lambda: plant.writes == [200])
        async with ground.gateway():
            answered = await ground.over(given.id)
    assert (answered.state, answered.shown) == ("uncertain", 20.0)
    assert "stopped while it carried this out" in answered.answer
    assert plant.writes == [200]


async def test_a_dead_device_is_told(ground: Ground, plant: Plant) -> None:
    async with ground.hub(), ground.gateway():
        await ground.met()
        plant.silent = True
        answered = await ground.over((await ground.room.give(20.0)).id)
        assert answered.state == "uncertain"
        assert "no answer" in answered.answer
