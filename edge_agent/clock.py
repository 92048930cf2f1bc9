"""The gateway's clock: wall time that never goes back while the process lives.

Time here is an anchor (wall time at one moment) plus monotonic time since then, so a stepped wall clock cannot
put a later reading before an earlier one.  When the wall clock is ahead by more than a second the clock follows
at once: the jump is a gap, which everybody downstream can see.  When the wall clock is behind by more than a
second, somebody set it back: the step is reported once and the clock runs on, a tenth slower until the wall clock
has caught up (an hour in ten).  A restart finds the newest reading that the spool remembers; if the wall clock is
still behind that, the clock starts one millisecond after it and goes on in the same way.  So times may be late by
the step for a while, but the order of readings is always true.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

STEP = timedelta(seconds=1)  # smaller differences are drift, which NTP steers by itself
SLOWER = 10  # ahead of the wall clock we lose one second in so many
_MILLISECOND = timedelta(milliseconds=1)

log = logging.getLogger(__name__)


def wall_clock() -> datetime:
    """Read the computer's clock."""
    return datetime.now(UTC)


class Clock:
    """Gives aware UTC times in whole milliseconds that never go back."""

    def __init__(
        self,
        newest: datetime | None = None,
        *,
        wall: Callable[[], datetime] = wall_clock,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic_s = monotonic_s
        self._stepped = timedelta(0)
        self._offset = timedelta(0)  # how far the wall clock was from ours when last reported
        self._anchor = wall()
        self._anchored_s = monotonic_s()
        if newest is not None and self._anchor <= newest:
            log.warning(
                "clock: the computer says %s, but readings up to %s are spooled; going on from there",
                self._anchor.isoformat(timespec="seconds"),
                newest.isoformat(timespec="seconds"),
            )
            self._stepped = self._offset = self._anchor - newest
            self._anchor = newest + _MILLISECOND

    def now(self) -> datetime:
        """Give the time, never earlier than before."""
        monotonic_s = self._monotonic_s()
        elapsed = timedelta(seconds=monotonic_s - self._anchored_s)
        ours, wall = self._anchor + elapsed, self._wall()
        if wall - ours > STEP:
            self._report(wall - ours - self._offset)
            self._offset, ours = timedelta(0), wall
        elif abs(wall - ours - self._offset) > STEP:
            self._report(wall - ours - self._offset)
            self._offset = wall - ours
        if ours - wall > STEP:
            made_good = min(elapsed / SLOWER, ours - wall)
            ours, self._offset = ours - made_good, self._offset + made_good
        self._anchor, self._anchored_s = ours, monotonic_s
        return ours.replace(microsecond=ours.microsecond // 1000 * 1000)

    def _report(self, step: timedelta) -> None:
        self._stepped += step
        log.warning(
            "clock: the computer's clock was set %s by %.3f s; readings keep their order",
            "forward" if step > timedelta(0) else "back",
            abs(step.total_seconds()),
        )

    def take_step(self) -> timedelta:
        """Give how far the wall clock has stepped since this was last asked (zero: it has not)."""
        step, self._stepped = self._stepped, timedelta(0)
        return step
