"""Run one program in the foreground until it ends or somebody asks it to."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``; Ctrl-C and SIGTERM cancel it, and it cleans up before this returns."""
    asyncio.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _cancel_once, task)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise


def _cancel_once(task: asyncio.Task[Any]) -> None:
    """Cancel at the first signal; a second one does not disturb the cleaning up."""
    if not task.cancelling():
        task.cancel()
