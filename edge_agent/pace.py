"""How fast what has waited may go out, so that a long outage does not drown the hub: a bucket that fills."""

from collections import deque

from edge_agent.frame import Frame

BURST_S = 0.25  # what has not been used of the rate is good for so long
LIVE_OVER_S = 10.0  # the live rate is an average over about so long
ABOVE_LIVE = 2.0  # however slow the pace is set, what waits must grow less
PICTURE_COSTS = 1_000  # readings: developing it is work for the hub
IN_FLIGHT_S = 0.3  # so much of the rate at most is on its way: the present waits behind no more than that in the hub


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
        self._flying: deque[tuple[int, int]] = deque()  # (frame, what it cost)
        self._flying_cost = 0

    def begin(self, now_s: float, wait_s: float) -> None:
        """Start anew on a connection; nothing goes before ``wait_s`` have passed."""
        self.landed(None)
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

    @property
    def _crowded(self) -> bool:
        return self._flying_cost >= IN_FLIGHT_S * self._rate

    def due_in_s(self, now_s: float) -> float:
        """Seconds until something may go; for ever while too much is on its way."""
        self._fill(now_s)
        if self._crowded:
            return float("inf")
        return max(self._from_s - now_s, -self._held / self._rate)

    def take(self, frame: Frame, now_s: float) -> bool:
        """Whether a frame may go now; then it has used its part, and is on its way until it has ``landed``."""
        self._fill(now_s)
        if now_s < self._from_s or self._held <= 0 or self._crowded:
            return False
        self._held -= cost(frame)
        self._flying.append((frame.number, cost(frame)))
        self._flying_cost += cost(frame)
        return True

    def landed(self, number: int | None) -> None:
        """Count frames up to a number as arrived; None: whatever is on its way goes out again."""
        while self._flying and (number is None or self._flying[0][0] <= number):
            self._flying_cost -= self._flying.popleft()[1]

    def _fill(self, now_s: float) -> None:
        if now_s > self._filled_s:
            self._held = min(self._held + (now_s - self._filled_s) * self._rate, BURST_S * self._rate)
            self._filled_s = now_s
