"""The supervisor of ``plantroom demo``: starts processes, starts crashed ones again, stops all within 5 s.

Every child is on a leash (see ``leash``): if we are killed by kill -9, the kernel kills our children with us, and
PostgreSQL gets SIGINT (fast shutdown, complete on disk).  On stop the programs get their signals in reverse order of
start, then SIGKILL after 3 s; then the servers.  All waiting is asyncio, all starting happens on the main thread.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from deploy import memory
from deploy.child import Child, launch, log_tail

POLL_S = 0.1
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # after this long a process counts as well again
STOP_POLL_S = 0.02
STOP_S = 4.6  # the servers may use what the programs have left; a database killed then recovers at its next start
PATIENCE_S = 3.0
KILL_WAIT_S = 0.2

Say = Callable[[str], None]
Start = Callable[[], Child]

log = logging.getLogger(__name__)


class Server(Protocol):
    """An embedded server that is already up: Postgres or Broker."""

    name: str
    child: Child | None
    stop_signal: signal.Signals

    def spawn(self) -> Child:
        """Start it again."""
        ...

    @property
    def log(self) -> Path:
        """Its log file."""
        ...


@dataclass
class Watched:
    """One supervised process; ``due_at_s`` (monotonic) is when a crashed one starts again."""

    name: str
    start: Start
    log: Path
    stop_signal: int
    child: Child
    is_server: bool = False
    started_s: float = field(default_factory=time.monotonic)
    pause_s: float = FIRST_PAUSE_S
    due_s: float | None = None
    restarts: int = 0


class Supervisor:
    """Processes by name; use as ``async with Supervisor() as supervisor``."""

    def __init__(self, say: Say = log.warning) -> None:
        self._say = say
        self._watched: dict[str, Watched] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        log_file: Path,
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
        cwd: Path | None = None,
    ) -> Child:
        """Start a program (full path first) and keep it running; ``python`` as first word is our own Python."""
        words = [sys.executable, *argv[1:]] if argv[0] == "python" else list(argv)

        def again() -> Child:
            return launch(words, log_file, env=env, cwd=cwd or Path.cwd())

        self._add(Watched(name, again, log_file, stop_signal, again()))
        return self._watched[name].child

    def adopt(self, server: Server) -> None:
        """Keep an embedded server running that has been started already."""
        if server.child is None:
            raise ValueError(f"The server {server.name} is not running: start it before the supervisor adopts it.")
        self._add(Watched(server.name, server.spawn, server.log, server.stop_signal, server.child, is_server=True))

    def _add(self, watched: Watched) -> None:
        if watched.name in self._watched:
            watched.child.end(signal.SIGKILL)
            raise ValueError(f"A process named {watched.name} runs already: give each a name of its own.")
        self._watched[watched.name] = watched

    @property
    def pids(self) -> dict[str, int]:
        """The process numbers by name; a crashed one keeps its last until it starts again."""
        return {name: watched.child.pid for name, watched in self._watched.items()}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return {name: watched.restarts for name, watched in self._watched.items()}

    def rss_bytes(self) -> int:
        """Memory of this process and all that it started (see ``memory``)."""
        return memory.resident_bytes({os.getpid(), *self.pids.values()})

    async def _watch(self) -> None:
        while True:
            for watched in list(self._watched.values()):
                self._look_after(watched, time.monotonic())
            await asyncio.sleep(POLL_S)

    def _look_after(self, watched: Watched, now_s: float) -> None:
        if watched.due_s is not None:
            if now_s >= watched.due_s:
                self._restart(watched, now_s)
        elif not watched.child.alive():
            self._note_end(watched, now_s)

    def _note_end(self, watched: Watched, now_s: float) -> None:
        if now_s - watched.started_s > STEADY_S:
            watched.pause_s = FIRST_PAUSE_S
        watched.due_s = now_s + watched.pause_s
        self._say(
            f"The process {watched.name} {_how(watched.child)}; it starts again in {watched.pause_s:.0f} s. "
            f"Its log {watched.log} ends: {log_tail(watched.log, lines=1)}"
        )
        watched.pause_s = min(watched.pause_s * 2, LONGEST_PAUSE_S)

    def _restart(self, watched: Watched, now_s: float) -> None:
        try:
            watched.child = watched.start()
        except (OSError, RuntimeError) as error:
            watched.due_s = now_s + watched.pause_s
            watched.pause_s = min(watched.pause_s * 2, LONGEST_PAUSE_S)
            self._say(f"The process {watched.name} could not start again: {error}")
            return
        watched.due_s, watched.started_s = None, now_s
        watched.restarts += 1

    async def stop(self) -> None:
        """Stop everything, last started first, the servers after all that use them; below 5 s in any case."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        until_s = time.monotonic() + STOP_S
        last_first = list(reversed(self._watched.values()))
        await _end([watched for watched in last_first if not watched.is_server], PATIENCE_S)
        await _end([watched for watched in last_first if watched.is_server], until_s - time.monotonic())
        self._watched.clear()


async def _end(all_watched: list[Watched], patience_s: float) -> None:
    for watched in all_watched:
        watched.child.send(watched.stop_signal)
    await _gone(all_watched, patience_s)
    for watched in all_watched:
        watched.child.send(signal.SIGKILL)
    await _gone(all_watched, KILL_WAIT_S)


async def _gone(all_watched: list[Watched], timeout_s: float) -> None:
    for _ in range(int(timeout_s / STOP_POLL_S)):
        if not any(watched.child.alive() for watched in all_watched):
            return
        await asyncio.sleep(STOP_POLL_S)


def _how(child: Child) -> str:
    code = child.process.returncode if child.process is not None else None
    if code is None:
        return "has ended"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
