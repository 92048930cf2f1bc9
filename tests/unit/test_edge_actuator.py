"""The actuator tells truthfully what came of a write, whatever the station does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.driver import Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from edge_agent import actuator as door
from edge_agent.actuator import Actuator
from edge_agent.config import load
from rules.control.command import Answer, Outcome
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.field import device_text, site_text, write_site

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 8, 0, 1, tzinfo=UTC)
POINT = "AHU-1.supply_setpoint"


@dataclass
class FakeStation:
    """Holds what it is told, or what ``shows`` says, or raises."""

    shows: float | str | None = "told"
    error: Exception | None = None
    pause_s: float = 0.0
    told: list[float] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    plan: tuple[str, ...] = ()

    async def read(self) -> list[Reading]:
        return [Reading(POINT, LATER, self.told[-1] if self.told else None, Quality.GOOD)]

    async def write(self, measure: str, value: float) -> Reading:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(self.pause_s)
        self.busy -= 1
        if self.error is not None:
            raise self.error
        self.told.append(value)
        shown = value if self.shows == "told" else self.shows
        assert not isinstance(shown, str)
        return Reading(f"AHU-1.{measure}", LATER, shown, Quality.GOOD if shown is not None else Quality.BAD)


@dataclass
class ReleasingStation(FakeStation):
    async def release(self, measure: str) -> Reading:
        return Reading(f"AHU-1.{measure}", LATER, 19.0, Quality.GOOD)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return load(write_site(tmp_path, site_text(502, device_text("AHU-1", 1, "rs-ahu1")))).devices[0]


@pytest.fixture
def ask(device: Device) -> Callable[..., Awaitable[Answer]]:
    async def asked(station: FakeStation, value: float | None = 21.0, point: str = POINT) -> Answer:
        actuator = Actuator()
        actuator.seat(device, station)
        return await actuator.set(point, value, by="li.wei", now=NOW, number="c1")

    return asked


Ask = Callable[..., Awaitable[Answer]]


async def test_what_the_device_shows_afterwards_is_the_answer(ask: Ask) -> None:
    assert await ask(FakeStation()) == Answer("c1", Outcome.DONE, LATER, 21.0)


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [(21.1, Outcome.DONE), (20.9, Outcome.DONE), (21.2, Outcome.FAILED), (None, Outcome.UNCERTAIN)],
)
async def test_one_step_of_the_point_is_no_difference(ask: Ask, shown: float | None, outcome: Outcome) -> None:
    answer = await ask(FakeStation(shows=shown))
    assert (answer.outcome, answer.shown) == (outcome, shown)
    assert bool(answer.reason) == (outcome is not Outcome.DONE)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UnreachableError("no connection", link=True), Outcome.FAILED),
        (UnreachableError("no answer"), Outcome.UNCERTAIN),
        (MalformedError("half a frame"), Outcome.UNCERTAIN),
        (RefusedError("exception 3"), Outcome.FAILED),
        (MisconfiguredError("not writable"), Outcome.REFUSED),
    ],
)
async def test_each_failure_says_whether_it_may_have_been_done(ask: Ask, error: DriverError, outcome: Outcome) -> None:
    answer = await ask(FakeStation(error=error))
    assert (answer.outcome, answer.reason, answer.at) == (outcome, str(error), NOW)


async def test_what_a_device_holds_instead_is_shown(ask: Ask) -> None:
    answer = await ask(FakeStation(error=RefusedError("it holds 18", held=18.0)))
    assert (answer.outcome, answer.shown) == (Outcome.FAILED, 18.0)


@pytest.mark.parametrize("point", ["AHU-9.supply_setpoint", "AHU-1.nothing", "AHU-1", ""])
async def test_a_point_that_is_not_read_here_is_not_set(ask: Ask, point: str) -> None:
    station = FakeStation()
    assert (await ask(station, 21.0, point)).outcome is Outcome.REFUSED
    assert not station.told


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_what_is_no_number_is_not_written(ask: Ask, value: float) -> None:
    station = FakeStation()
    assert (await ask(station, value)).outcome is Outcome.REFUSED
    assert not station.told


async def test_a_point_is_given_back_where_its_device_can(ask: Ask) -> None:
    assert (await ask(ReleasingStation(), None)).shown == 19.0
    refused = await ask(FakeStation(), None)
    assert refused.outcome is Outcome.REFUSED
    assert "given back" in refused.reason


async def test_a_point_is_written_once_at_a_time_and_others_do_not_wait(device: Device) -> None:
    actuator, station = Actuator(), FakeStation(pause_s=0.01)
    actuator.seat(device, station)
    answers = await asyncio.gather(*(actuator.set(POINT, float(v), by="li", now=NOW) for v in range(18, 23)))
    assert all(answer.outcome is Outcome.DONE for answer in answers)
    assert (station.busiest, station.told) == (1, [18.0, 19.0, 20.0, 21.0, 22.0])
    await asyncio.gather(*(actuator.set(f"AHU-1.{m}", 1.0, by="li", now=NOW) for m in ("supply_temp", "fan_command")))
    assert station.busiest == 2


async def test_a_device_that_never_answers_costs_bounded_time(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "WAIT_S_MAX", 0.02)
    monkeypatch.setattr(door, "SET_S_MAX", 0.3)
    actuator = Actuator()
    actuator.seat(device, FakeStation(pause_s=60.0))
    writing, waiting = await asyncio.gather(*(actuator.set(POINT, 20.0, by="li", now=NOW) for _ in range(2)))
    assert writing.outcome is Outcome.UNCERTAIN
    assert waiting.outcome is Outcome.REFUSED  # it never got as far as the device


async def test_a_closed_line_is_forgotten_unless_a_new_one_took_its_place(device: Device) -> None:
    actuator, old, new = Actuator(), FakeStation(), FakeStation()
    actuator.seat(device, old)
    actuator.seat(replace(device), new)
    actuator.unseat([old])
    await actuator.set(POINT, 20.0, by="li", now=NOW)
    assert (old.told, new.told) == ([], [20.0])
    assert await actuator.shown(POINT) == 20.0
    actuator.unseat([new])
    assert (await actuator.set(POINT, 20.0, by="li", now=NOW)).outcome is Outcome.REFUSED
    assert await actuator.shown(POINT) is None
