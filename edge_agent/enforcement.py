"""What local rules want of devices, carried out until it is read back, and again when somebody else undoes it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from edge_agent.actuator import Actuator
from rules.control.command import Outcome
from rules.model.reading import Reading

RETRY_FIRST_S = 0.5
RETRY_MAX_S = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Goal:
    """A point has to be at a value; ``lasting``: for as long as the rule acts, else once."""

    value: float
    rule: str
    step: float
    lasting: bool = True
    over_interlocks: bool = False


@dataclass(slots=True)
class _Effort:
    goal: Goal
    held_at: datetime | None = None  # when it was read back
    busy: bool = False
    retry_s: float = 0.0
    wait_s: float = RETRY_FIRST_S
    complaint: str = ""


class Enforcement:
    """Efforts by point, one write at a time for each; they do not wait for each other."""

    def __init__(
        self,
        actuator: Actuator,
        *,
        now: Callable[[], datetime],
        interlocked: Callable[[str, float], str],
        moved: Callable[[], None],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``interlocked`` says what speaks against a value; ``moved`` is called when one is held."""
        self._actuator = actuator
        self._now = now
        self._interlocked = interlocked
        self._moved = moved
        self._monotonic_s = monotonic_s
        self._efforts: dict[str, _Effort] = {}
        self._wake = asyncio.Event()

    def want(self, goals: Mapping[str, Goal]) -> None:
        """Go for these and nothing else but what is to be done once."""
        for point, effort in list(self._efforts.items()):
            if point not in goals and (effort.goal.lasting or effort.held_at is not None):
                del self._efforts[point]
        for point, goal in goals.items():
            known = self._efforts.get(point)
            if known is None or known.goal != goal:
                self._efforts[point] = _Effort(goal)
                self._wake.set()

    def held(self, point: str) -> bool:
        """Whether the device has shown the value that is wanted."""
        effort = self._efforts.get(point)
        return effort is not None and effort.held_at is not None

    def heed(self, reading: Reading) -> None:
        """Look at a reading of a point: it may show that somebody else has set it."""
        effort = self._efforts.get(reading.point)
        if effort is None or effort.held_at is None or reading.value is None or reading.at <= effort.held_at:
            return
        if abs(reading.value - effort.goal.value) > effort.goal.step:
            log.warning(
                "local rule %s: '%s' was changed to %g by somebody else; setting it to %g again",
                effort.goal.rule, reading.point, reading.value, effort.goal.value,
            )  # fmt: skip
            effort.held_at = None
            self._wake.set()

    async def run(self) -> None:
        """Carry out until cancelled."""
        for effort in self._efforts.values():
            effort.busy = False
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                now_s = self._monotonic_s()
                open_ones = {p: e for p, e in self._efforts.items() if e.held_at is None and not e.busy}
                for point, effort in open_ones.items():
                    if effort.retry_s <= now_s:
                        effort.busy = True
                        tasks.create_task(self._set(point, effort))
                await self._rest(min((e.retry_s - now_s for e in open_ones.values() if not e.busy), default=None))

    async def _rest(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _set(self, point: str, effort: _Effort) -> None:
        goal = effort.goal
        why = "" if goal.over_interlocks else self._interlocked(point, goal.value)
        if not why:
            by = f"local rule {goal.rule}"
            answer = await self._actuator.set(point, goal.value, by=by, now=self._now())
            why = "" if answer.outcome is Outcome.DONE else answer.reason or answer.outcome.value
            effort.held_at = answer.at if answer.outcome is Outcome.DONE else None
        effort.busy = False
        if why and why != effort.complaint:
            log.error("local rule %s cannot set '%s' to %g yet: %s", goal.rule, point, goal.value, why)
        elif not why:
            log.warning("local rule %s has set '%s' to %g", goal.rule, point, goal.value)
            effort.wait_s = RETRY_FIRST_S
        effort.complaint = why
        effort.retry_s = self._monotonic_s() + effort.wait_s
        effort.wait_s = min(2 * effort.wait_s, RETRY_MAX_S) if why else RETRY_FIRST_S
        self._wake.set()
        self._moved()
