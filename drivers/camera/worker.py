"""The process that watches one camera: ``python -m drivers.camera.worker``, started by ``process.py``.

It is a process of its own because decoding what strangers send may hang or crash, and because FFmpeg can hold a read
for 13 s.  Settings come on the first line of its input, each later line asks to try again at once; it ends with its
parent, whose death ends the input.  Messages go out, one a line; nothing else is ever written.
"""

import os
import resource
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import IO
from uuid import uuid4
from zoneinfo import ZoneInfo

import cv2
import numpy as np
from pydantic import BaseModel

from drivers.camera import picture
from drivers.camera.clips import Recorder, Ring
from drivers.camera.judge import Judge, Verdict
from drivers.camera.message import (
    LINE_BYTES_MAX,
    REASON_CHARACTERS_MAX,
    Lost,
    Seen,
    Settings,
    Snapped,
    Trying,
    Unkept,
    line_of,
)
from drivers.camera.picture import Colour
from drivers.camera.relay import NoPictureError, Relay
from drivers.camera.url import url_of
from rules.model.event import STILL_BYTES_MAX

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 15.0
MEMORY_BYTES_MAX = 700_000_000  # of data; a picture that needs more ends the process
PIXELS_MAX = 4096 * 2304
RATE_S, RATE_LEAST_S = 5.0, 0.5
RATE_PICTURES_MAX = 1000
PRUNE_S = 60.0
NICENESS = 5


class Eye:
    """Looks at one camera and tells what it sees."""

    def __init__(self, settings: Settings, out: IO[bytes], again: threading.Event) -> None:
        self._settings = settings
        self._out = out
        self._again = again
        self._zone = ZoneInfo(settings.timezone)
        self._judge = Judge(settings.watch)
        self._came: deque[float] = deque(maxlen=RATE_PICTURES_MAX)
        self._snapped_s: dict[str, float] = {}
        self._ring: Ring | None = None
        self._recorder: Recorder | None = None
        self._pruned_s = float("-inf")
        if settings.clips is not None:
            self._ring = Ring(
                settings.clips,
                settings.camera,
                bytes_max=settings.watch.clip_max_mb * 1_000_000,
                age_max=timedelta(days=settings.watch.clip_days),
            )
            self._recorder = Recorder(self._ring, settings.watch.analyse_per_s, self._complain)

    def run(self) -> None:
        """Look for ever: open the stream, follow it to its end, wait, again."""
        wait_s = BACKOFF_FIRST_S
        self._tidy(first=True)
        while True:
            self._tell(Trying())
            try:
                for _ in self._pictures():
                    wait_s = BACKOFF_FIRST_S
            except NoPictureError as error:
                lost = Lost(reason=str(error)[:REASON_CHARACTERS_MAX], answers=error.answers, wait_s=wait_s)
            if self._recorder is not None:
                self._recorder.finish(self._now())
            self._came.clear()
            self._tidy()
            self._tell(lost)
            self._again.wait(wait_s)
            self._again.clear()
            wait_s = min(2 * wait_s, BACKOFF_MAX_S)

    def _pictures(self) -> Iterator[None]:
        """Judge pictures of the stream until it ends; always ends by raising NoPictureError.

        Every picture is taken from the stream, so that none is old; only some are judged.
        """
        with self._stream() as stream:
            due_s = 0.0
            while stream.grab():
                at_s = time.monotonic()
                self._came.append(at_s)
                if at_s < due_s:
                    continue
                due_s = max(due_s + 1 / self._settings.watch.analyse_per_s, at_s)
                good, seen = stream.retrieve()
                if good:
                    self._look(np.asarray(seen, np.uint8), at_s)
                    yield

    @contextmanager
    def _stream(self) -> Iterator[cv2.VideoCapture]:
        settings, place = self._settings, self._settings.place
        wait_ms = max(1, int(settings.timeout_s * 1000))
        wanted = (
            (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait_ms), (cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait_ms),
            (cv2.CAP_PROP_N_THREADS, 1),
        )  # fmt: skip
        with Relay(place, settings.timeout_s, known=settings.user is not None) as relay:
            url = url_of(relay.place, settings.user, settings.password)
            stream = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [number for pair in wanted for number in pair])
            try:
                wide, high = (int(stream.get(n)) for n in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
                if not stream.isOpened() or wide * high <= 0:
                    raise relay.failure(seen=False)
                if wide * high > PIXELS_MAX:
                    raise NoPictureError(
                        f"the pictures of {place} have {wide} x {high} pixels; take a smaller stream", answers=True
                    )
                yield stream
                raise relay.failure(seen=bool(self._came))
            finally:
                stream.release()

    def _look(self, seen: Colour, at_s: float) -> None:
        now = self._now()
        verdict = self._judge.step(picture.shrink(seen), at_s, now.astimezone(self._zone))
        if self._recorder is not None:
            self._recorder.take(seen, at_s, now)
        for number, cause in enumerate(verdict.begun):
            # Two stills of a camera never have one moment: that is what they are told apart by.
            self._snap(cause, seen, at_s, now + timedelta(milliseconds=number))
        if (per_s := self._per_s(at_s)) is not None:
            self._tell(_seen(verdict, per_s))
        if at_s - self._pruned_s > PRUNE_S:
            self._tidy()

    def _snap(self, cause: str, seen: Colour, at_s: float, now: datetime) -> None:
        if at_s - self._snapped_s.get(cause, float("-inf")) < self._settings.watch.still_every_s:
            return
        self._snapped_s[cause] = at_s
        jpeg = picture.still(seen, STILL_BYTES_MAX)
        self._tell(Snapped.model_construct(kind="snapped", id=uuid4(), at=now, cause=cause, jpeg=jpeg))
        if self._recorder is not None:
            self._recorder.begin(cause, at_s, now)

    def _tidy(self, *, first: bool = False) -> None:
        self._pruned_s = time.monotonic()
        if self._ring is None:
            return
        try:
            if first:
                self._ring.clear_parts()
            self._ring.prune(self._now())
        except OSError as error:
            self._complain(f"old clips cannot be removed: {error}")

    def _per_s(self, at_s: float) -> float | None:
        """Give the pictures a second of the last RATE_S; None before there is a rate."""
        while at_s - self._came[0] > RATE_S:
            self._came.popleft()
        span_s = at_s - self._came[0]
        return round((len(self._came) - 1) / span_s, 1) if span_s >= RATE_LEAST_S else None

    def _now(self) -> datetime:
        now = datetime.now(UTC) + timedelta(seconds=self._settings.ahead_s)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _complain(self, reason: str) -> None:
        self._tell(Unkept(reason=reason[:REASON_CHARACTERS_MAX]))

    def _tell(self, message: BaseModel) -> None:
        self._out.write(line_of(message))
        self._out.flush()


def _seen(verdict: Verdict, per_s: float) -> Seen:
    return Seen(
        per_s=min(per_s, RATE_PICTURES_MAX), frozen=verdict.frozen, dark=verdict.dark, covered=verdict.covered,
        moved=verdict.moved, motion=verdict.motion, line=verdict.line, intrusion=verdict.intrusion,
    )  # fmt: skip


def _listen(again: threading.Event) -> None:
    """Wake the eye for each line; end with the parent, whatever else this process is doing."""
    while sys.stdin.buffer.readline(LINE_BYTES_MAX):
        again.set()
    os._exit(0)


def _bound() -> None:
    """Take little, and leave no core with pictures and the password in it.

    A service whose system calls are filtered may not set limits; its unit has set them.
    """
    for limit, most in ((resource.RLIMIT_DATA, MEMORY_BYTES_MAX), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))
    with suppress(OSError):
        os.nice(NICENESS)
    cv2.setNumThreads(1)


def main() -> None:
    """Watch until the input ends."""
    _bound()
    out = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # libraries may print; messages go another way
    settings = Settings.model_validate_json(sys.stdin.buffer.readline(LINE_BYTES_MAX))
    again = threading.Event()
    threading.Thread(target=_listen, args=(again,), daemon=True).start()
    try:
        Eye(settings, out, again).run()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
