"""Put pushed configurations on trial while the gateway runs, and judge them by its health."""

import asyncio
import logging
import time
from contextlib import suppress

from edge_agent.configuration import Configuration
from edge_agent.gateway import Gateway
from rules.wire.configuration import Pushed

LOOK_S = 0.5
SETTLE_S = 5.0  # a trial takes at least so long: what breaks often breaks soon
SAID_MAX = 5  # devices, in a reason

log = logging.getLogger(__name__)


async def judge(gateway: Gateway, configuration: Configuration) -> None:
    """Take what the hub pushes, and confirm or roll back what is on trial, until cancelled."""
    began_s = time.monotonic()
    while True:
        if configuration.trial is None:
            pushed = await gateway.publisher.desk.pushed.get()
            began_s = time.monotonic()
            async with gateway.exchanging:
                await _begin(gateway, configuration, pushed)
        else:
            await asyncio.sleep(LOOK_S)
            async with gateway.exchanging:
                await _look(gateway, configuration, began_s)
        gateway.publisher.tell(configuration.told)


async def _begin(gateway: Gateway, configuration: Configuration, pushed: Pushed) -> None:
    try:
        config = await asyncio.to_thread(configuration.offer, pushed, gateway.lines.answering)
    except OSError as error:
        log.error("the pushed configuration cannot be kept: %s", error.strerror)  # noqa: TRY400  one sentence says it all
        return
    if config is not None:
        log.warning("the pushed configuration %s is on trial", pushed.sha256[:12])
        await gateway.apply(config)


async def _look(gateway: Gateway, configuration: Configuration, began_s: float) -> None:
    """Look at a trial once; a disk that takes no record leaves it open, for the next look or the next start."""
    trial = configuration.trial
    if trial is None:
        return
    silent = sorted(set(trial.answering) - gateway.lines.answering)
    heard = gateway.publisher.acknowledged_s > began_s
    with suppress(OSError):
        if heard and not silent and time.monotonic() - began_s >= SETTLE_S:
            await asyncio.to_thread(configuration.confirm)
        elif configuration.remaining_s() <= 0:
            why = (
                f"these no longer answer: {', '.join(silent[:SAID_MAX])}" if silent else "the hub has not acknowledged"
            )
            await gateway.apply(await asyncio.to_thread(configuration.roll_back, why))
