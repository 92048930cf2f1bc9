"""Work beside the event loop: bounded, and its places come back whatever happens."""

import asyncio
import threading

import pytest

from hub.errors import UnavailableError
from hub.workers import Workers


async def test_what_waits_is_bounded_and_the_rest_is_told_so_at_once() -> None:
    gate = threading.Event()
    workers = Workers("test", 1, 2, "Too much waits.")
    waiting = [asyncio.create_task(workers.run(gate.wait, 10)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="Too much waits"):
        await workers.run(gate.wait, 10)
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert await workers.run(len, "abc") == 3


async def test_who_gives_up_waiting_and_work_that_fails_give_their_places_back() -> None:
    gate = threading.Event()
    workers = Workers("test", 1, 1, "Too much waits.")
    working = asyncio.create_task(workers.run(gate.wait, 10))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(workers.run(len, "never"), 0.01)
    gate.set()
    await working
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await workers.run(divmod, 1, 0)
