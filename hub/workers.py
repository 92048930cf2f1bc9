"""Work that takes a core for long, beside the event loop: bounded in threads and in what may wait."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from hub.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """``threads`` work at one time and ``queue_max`` tasks wait; whoever comes then is told ``busy``.

    Each kind of work has its own, so that many prints keep nobody from signing in.  ``nice`` is how far its threads
    step back where they and the event loop want the same core (0 to 19; on Linux).
    """

    def __init__(self, name: str, threads: int, queue_max: int, busy: str, nice: int = 0) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=_step_back, initargs=(nice,))
        self._places = threading.BoundedSemaphore(threads + queue_max)
        self._busy = busy

    async def run(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Give what ``work`` gives; raises UnavailableError at once when too much waits."""
        if not self._places.acquire(blocking=False):
            raise UnavailableError(self._busy)

        task = self._pool.submit(work, *arguments, **named)
        task.add_done_callback(lambda _: self._places.release())  # also when nobody waits for it any more
        return await asyncio.wrap_future(task)


def _step_back(nice: int) -> None:
    if nice and sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
