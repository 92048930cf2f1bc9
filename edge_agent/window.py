"""Which frames are in flight: go-back-N as pure bookkeeping.

Frames go out strictly in the order of their spool numbers, at most WINDOW_FRAMES ahead of what the hub has
committed.  Without progress for RESEND_S everything after the committed number goes out again; until the hub
then shows progress only PROBE_FRAMES at a time do, so that a hub which is down costs next to no traffic.
"""

WINDOW_FRAMES = 64
PROBE_FRAMES = 1
RESEND_S = 3.0


class Window:
    """The sender's view of one connection.  ``sent`` is the highest number that went out on it."""

    def __init__(self, committed: int, now_s: float) -> None:
        self.committed = committed
        self.sent = committed
        self._highest = committed  # over all rounds: what lies below has gone out before
        self._frames = WINDOW_FRAMES
        self._progress_s = now_s

    def room(self) -> int:
        """How many more frames may go out now."""
        return max(0, self._frames - (self.sent - self.committed))

    @property
    def probing(self) -> bool:
        """Whether the hub has shown no progress since everything went out again."""
        return self._frames == PROBE_FRAMES

    def note_sent(self, number: int, now_s: float) -> bool:
        """Count a frame as sent; gives whether it had gone out before."""
        if self.sent == self.committed:
            self._progress_s = now_s
        again = number <= self._highest
        self.sent = number
        self._highest = max(self._highest, number)
        return again

    def note_committed(self, number: int, now_s: float) -> bool:
        """Take the hub's word; gives whether it is progress."""
        if number <= self.committed:
            return False
        self.committed = number
        self.sent = max(self.sent, number)
        self._frames = WINDOW_FRAMES
        self._progress_s = now_s
        return True

    def due_in_s(self, now_s: float) -> float:
        """Seconds until the frames in flight must go out again (never more than RESEND_S)."""
        if self.sent == self.committed:
            return RESEND_S
        return max(0.0, self._progress_s + RESEND_S - now_s)

    def rewind(self, *, probe: bool) -> None:
        """Start again after the committed number, with the whole window or one frame at a time."""
        self.sent = self.committed
        self._frames = PROBE_FRAMES if probe else WINDOW_FRAMES
