"""Work that is tried again and again: a failure is logged when it begins, and once more when it is over."""

import logging
from collections.abc import Awaitable

from hub.errors import UnavailableError

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
        except UnavailableError as error:
            self._count("%s waits: %s", self._what, error)
            return False
        except Exception as error:  # noqa: BLE001  the supervisor of this process
            self._count("%s has failed; it goes on trying, and says so once", self._what, trace=error)
            return False
        if self.failures:
            over = {"event": "work.back", "work": self._what, "count": self.failures}
            log.warning("%s works again after %d failures", self._what, self.failures, extra=over)
            self.failures = 0
        return True

    def _count(self, said: str, *words: object, trace: Exception | None = None) -> None:
        self.failures += 1
        if self.failures == 1:
            log.log(
                logging.ERROR if trace else logging.WARNING,
                said,
                *words,
                exc_info=trace,
                extra={"event": "work.failed", "work": self._what},
            )
