"""Run one program in the foreground until it ends or somebody asks it to."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result | None:
    """Run ``work`` and give its result; Ctrl-C and SIGTERM cancel it, it cleans up, and this gives None."""
    return asyncio.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, Result]) -> Result | None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _cancel_once, task)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        return None


def _cancel_once(task: asyncio.Task[Any]) -> None:
    """Cancel at the first signal; a second one does not disturb the cleaning up."""
    if not task.cancelling():
        task.cancel()
