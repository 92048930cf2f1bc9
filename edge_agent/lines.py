"""The lines of a gateway that are polled now, one task each."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edge_agent.config import PolledLine
from edge_agent.poller import LinePoller

CANCEL_AGAIN_S = 1.0  # a library may swallow one cancellation

Supervise = Callable[[str, Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Running:
    line: PolledLine
    task: asyncio.Task[None] | None = None
    poller: LinePoller | None = None


class Lines:
    """Starts, changes and stops lines; a line that did not change is not touched."""

    def __init__(
        self, tasks: asyncio.TaskGroup, make: Callable[[PolledLine], LinePoller], supervise: Supervise
    ) -> None:
        self._tasks = tasks
        self._make = make
        self._supervise = supervise
        self._running: dict[str, _Running] = {}

    async def stop(self, wanted: tuple[PolledLine, ...]) -> None:
        """Stop what is no longer wanted, or wanted over another connection; their ports are free afterwards."""
        kept = {line.code: line.line for line in wanted}
        stopped = [running for code, running in self._running.items() if kept.get(code) != running.line.line]
        for running in stopped:
            del self._running[running.line.code]
        pending = {running.task for running in stopped if running.task is not None}
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)

    def start(self, wanted: tuple[PolledLine, ...]) -> None:
        """Start what is new, and give lines whose devices are others these."""
        for line in wanted:
            running = self._running.get(line.code)
            if running is None:
                self._begin(line)
            elif running.line != line:
                running.line = line
                if running.poller is not None:
                    running.poller.apply(line)

    def _begin(self, line: PolledLine) -> None:
        running = self._running[line.code] = _Running(line)

        async def work() -> None:
            running.poller = self._make(running.line)
            await running.poller.run()

        running.task = self._tasks.create_task(self._supervise(f"line {line.code}", work))

    @property
    def answering(self) -> set[str]:
        """Devices whose last poll was answered."""
        pollers = [running.poller for running in self._running.values() if running.poller is not None]
        return {code for poller in pollers for code in poller.answering}
