"""Keeps the process that watches a camera alive, and ends it when it hangs."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from drivers.camera.message import (
    LINE_BYTES_MAX,
    Lost,
    Message,
    NonsenseError,
    Seen,
    Settings,
    Snapped,
    Trying,
    Unkept,
    line_of,
    parse,
)

START_S = 30.0  # from the start of the process to its first word
TRIES = 3.0  # time-outs that opening a stream may take: connecting, opening, first picture
SLACK_S = 2.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.2, 30.0
EVENTS_MAX = 10  # stills that wait to be taken; some 2 MB
KEPT_BACK = ("OPENCV_", "PLANTROOM_", "CREDENTIALS_")  # who decodes strangers' bytes learns no password of ours
ROOT = Path(__file__).parents[2]
FFMPEG = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|fpsprobesize;0|analyzeduration;2000000"

log = logging.getLogger(__name__)


class Watcher:
    """One camera's process: what it last said, and the stills that it took.

    ``said`` is None before its first word; ``heard`` is set whenever that changes.
    """

    def __init__(self, settings: Callable[[], Settings], timeout_s: float) -> None:
        self.said: Seen | Lost | None = None
        self.said_s = 0.0
        self.heard = asyncio.Event()
        self.stills: deque[Snapped] = deque(maxlen=EVENTS_MAX)
        self.starts = 0
        self._settings = settings
        self._timeout_s = timeout_s
        self._task: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._unkept = False

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin to watch, if that is not so already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def ask(self) -> None:
        """Have a lost stream tried again at once."""
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(b"\n")

    async def close(self) -> None:
        """End the process."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        wait_s = BACKOFF_FIRST_S
        while True:
            process = await self._begin()
            try:
                if await self._follow(process):
                    wait_s = BACKOFF_FIRST_S
            finally:
                await self._end(process)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, BACKOFF_MAX_S)

    async def _begin(self) -> Process:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_BACK)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "drivers.camera.worker",
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LINE_BYTES_MAX, start_new_session=True,
            # FFmpeg writes whole URLs, passwords included, to its standard error: nobody reads it.
            env=inherited | {
                "PYTHONPATH": str(ROOT), "OPENCV_FFMPEG_CAPTURE_OPTIONS": FFMPEG, "OPENCV_LOG_LEVEL": "OFF",
                "OPENCV_FFMPEG_LOGLEVEL": "-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
            },
        )  # fmt: skip
        self._process, self.starts = process, self.starts + 1
        assert process.stdin is not None
        process.stdin.write(line_of(self._settings()))
        return process

    async def _follow(self, process: Process) -> bool:
        """Take what the process says until it hangs, ends or talks nonsense; whether it has seen anything."""
        assert process.stdout is not None
        saw, patience_s = False, START_S
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    line = await process.stdout.readline()
                message = parse(line) if line else None
            except TimeoutError:
                self._lose(f"the stream stands still; nothing came for {patience_s:g} s")
                return saw
            except (NonsenseError, ValueError) as error:
                self._lose(str(error))
                return saw
            if message is None:
                self._lose("the process that watches the camera has ended; it is started again")
                return saw
            saw = saw or isinstance(message, Seen)
            patience_s = self._patience_s(message) or patience_s
            self._take(message)

    def _patience_s(self, message: Message) -> float | None:
        match message:
            case Seen():
                return self._timeout_s + SLACK_S  # the process itself notices at its time-out, if it can
            case Trying():
                return TRIES * self._timeout_s + SLACK_S
            case Lost(wait_s=wait_s):
                return wait_s + SLACK_S
            case _:
                return None

    def _take(self, message: Message) -> None:
        match message:
            case Snapped():
                self.stills.append(message)
            case Unkept(reason=reason):
                if not self._unkept:  # said once; a full disk stays full for days
                    log.warning("camera %s: %s", self._settings().camera, reason)
                self._unkept = True
            case Seen() | Lost():
                self._say(message)

    def _lose(self, reason: str) -> None:
        self._say(Lost(reason=reason, answers=False, wait_s=0))

    def _say(self, said: Seen | Lost) -> None:
        self.said, self.said_s = said, asyncio.get_running_loop().time()
        self.heard.set()

    async def _end(self, process: Process) -> None:
        self._process = None
        with suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
