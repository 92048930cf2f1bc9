"""How fast what has waited may go out, so that a long outage does not drown the hub: a bucket that fills."""

from edge_agent.frame import Frame

BURST_S = 0.25  # what has not been used of the rate is good for so long
LIVE_OVER_S = 10.0  # the live rate is an average over about so long
ABOVE_LIVE = 2.0  # however slow the pace is set, what waits must grow less
PICTURE_COSTS = 500  # readings, about what a picture is in bytes


def cost(frame: Frame) -> int:
    """Give what a frame takes of the rate, in readings."""
    if frame.event is not None:
        return PICTURE_COSTS
    return max(1, len(frame.readings))


class Pace:
    """The rate of one gateway, ``per_s`` readings a second or twice what it reads, whichever is more."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._live_per_s = 0.0
        self._live = 0
        self._live_since_s = 0.0
        self._held = 0.0
        self._filled_s = 0.0
        self._from_s = 0.0

    def begin(self, now_s: float, wait_s: float) -> None:
        """Start anew on a connection; nothing goes before ``wait_s`` have passed."""
        self._from_s = self._filled_s = now_s + wait_s
        self._held = 1.0

    def note_live(self, readings: int, now_s: float) -> None:
        """Count what has just been read."""
        self._live += readings
        passed_s = now_s - self._live_since_s
        if passed_s >= LIVE_OVER_S:
            self._live_per_s, self._live, self._live_since_s = self._live / passed_s, 0, now_s

    @property
    def _rate(self) -> float:
        return max(self.per_s, ABOVE_LIVE * self._live_per_s)

    def due_in_s(self, now_s: float) -> float:
        """Seconds until something may go."""
        self._fill(now_s)
        return max(self._from_s - now_s, -self._held / self._rate)

    def take(self, frame: Frame, now_s: float) -> bool:
        """Whether a frame may go now; then it has used its part."""
        self._fill(now_s)
        if now_s < self._from_s or self._held <= 0:
            return False
        self._held -= cost(frame)
        return True

    def _fill(self, now_s: float) -> None:
        if now_s > self._filled_s:
            self._held = min(self._held + (now_s - self._filled_s) * self._rate, BURST_S * self._rate)
            self._filled_s = now_s
