"""Where the publisher lays site files that the hub has pushed, and finds what to say of the one in force."""

import asyncio
import logging

from edge_agent.health import Health
from rules.wire.configuration import Pushed, Told, told_metric, unwrap
from rules.wire.sparkplug import MalformedPayloadError, Metric

PUSHED_MAX = 1  # files that wait; the hub sends the one that it wants again

log = logging.getLogger(__name__)


class Desk:
    """One gateway's; nothing is taken before somebody has told what is in force."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._told: Told | None = None
        self.pushed: asyncio.Queue[Pushed] = asyncio.Queue(PUSHED_MAX)

    def tell(self, told: Told) -> bool:
        """Note by which file the gateway goes; gives whether that is news."""
        news, self._told = told != self._told, told
        return news

    def metrics(self) -> tuple[Metric, ...]:
        """Give what to say in births and reports."""
        return () if self._told is None else (told_metric(self._told),)

    def take(self, value: object) -> None:
        """Take a file that came (None: none did); one that is no good is said in the log."""
        if value is None or self._told is None or self.pushed.full():
            return
        try:
            self.pushed.put_nowait(unwrap(value))
        except MalformedPayloadError as error:
            self._health.refused_commands += 1
            log.warning("%s", error)
