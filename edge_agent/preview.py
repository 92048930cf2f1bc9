"""Previews: what has just been read goes to the hub at once where its numbered frame must wait behind others.  Pure.

A preview has no number: nobody acknowledges it and nobody sends it again.  The hub stores it by (point, at), so that
its numbered frame, which comes in its order, finds it there; lost previews cost nothing but the moment.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from edge_agent.frame import FRAME_READINGS_MAX, Frame
from edge_agent.roster import Member

PREVIEWS_MAX = 1_000  # frames


class Previews:
    """Frames that were read a moment ago."""

    def __init__(self) -> None:
        self._fresh: deque[Frame] = deque(maxlen=PREVIEWS_MAX)

    def add(self, frames: Iterable[Frame]) -> None:
        """Take in what was read; number 0: the spool could not keep it."""
        self._fresh.extend(frame for frame in frames if frame.readings)

    def begin(self, members: Mapping[str, Member], last_number: int) -> None:
        """Start anew on a connection, with the last reading of every point whose device answers."""
        self._fresh.clear()
        for device, member in members.items():
            latest = list(member.latest.values()) if member.alive else []
            self.add(
                Frame(device, tuple(latest[start : start + FRAME_READINGS_MAX]), number=last_number)
                for start in range(0, len(latest), FRAME_READINGS_MAX)
            )

    def take(self, sent: int, reach: int = 0, *, unkept_only: bool) -> list[Frame]:
        """Give what must not wait, as frames without a number, and forget them.

        Frames up to ``sent`` are out already and forgotten, those up to ``reach`` may be out in a moment and stay here.
        ``unkept_only``: nobody is there who would know the numbered frame again.
        """
        held, self._fresh = self._fresh, deque(maxlen=PREVIEWS_MAX)
        self._fresh.extend(frame for frame in held if sent < frame.number <= reach)
        fresh = [frame for frame in held if frame.number == 0 or frame.number > max(sent, reach)]
        return [replace(frame, number=0) for frame in fresh if frame.number == 0 or not unkept_only]
