"""Work that is tried again and again: a failure is logged when it begins, and once more when it is over."""

import logging
from collections.abc import Awaitable

log = logging.getLogger(__name__)


class Streak:
    """The supervisor of one repeated piece of work; the only broad ``except`` of the hub stands here."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.failures = 0  # in a row

    async def attempt(self, work: Awaitable[object]) -> bool:
        """Do the work; gives whether it went well.  Whatever went wrong is logged, counted and over."""
        try:
            await work
        except Exception:
            self.failures += 1
            if self.failures == 1:
                log.exception("%s has failed; it goes on trying, and says so once", self._what)
            return False
        if self.failures:
            log.warning("%s works again after %d failures", self._what, self.failures)
            self.failures = 0
        return True
