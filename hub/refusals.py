"""What was refused, for the log ``plantroom.security``: told when it begins, then by its count: nobody fills the log.

A streak is the same refusal to the same person or address, each within STREAK_S of the one before.
"""

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

STREAK_S = 60.0
STREAKS_MAX = 10_000  # watched at the same time; of more the oldest is told and forgotten
LINES_PER_MINUTE = 300
VALUE_CHARACTERS_MAX = 200

log = logging.getLogger("plantroom.security")


@dataclass(slots=True)
class Tally:
    """How often something was refused since ``began_s``, and how often it was when the log said so last."""

    began_s: float
    last_s: float
    count: int = 0
    told: int = 0


class Refusals:
    """Counts refusals by what was refused and to whom; ``clock`` is a monotonic time in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streaks: OrderedDict[tuple[str, str], Tally] = OrderedDict()
        self._minute = self._lines = self._dropped = 0

    def note(self, what: str, who: str, **facts: object) -> bool:
        """Count a refusal, log it where its streak begins or has grown tenfold; gives whether it begins a streak.

        ``who`` is a login or an address, ``facts`` are what helps to understand it: never a secret.
        """
        now_s = self._clock()
        self._tell_ended(now_s)
        key = (what, who)
        streak = self._streaks.setdefault(key, Tally(now_s, now_s))
        self._streaks.move_to_end(key)
        streak.last_s = now_s
        streak.count += 1
        if streak.count >= streak.told * 10:
            self._tell(key, streak, facts)
        return streak.count == 1

    def _tell_ended(self, now_s: float) -> None:
        while self._streaks:
            key, streak = next(iter(self._streaks.items()))
            if now_s - streak.last_s < STREAK_S and len(self._streaks) < STREAKS_MAX:
                return
            del self._streaks[key]
            if streak.count > streak.told:
                self._tell(key, streak, {"over": True})

    def _tell(self, key: tuple[str, str], streak: Tally, facts: dict[str, object]) -> None:
        streak.told = streak.count
        minute = int(self._clock() // 60)
        if minute != self._minute:
            if self._dropped:
                log.warning("%d more refusals were not logged one by one", self._dropped)
            self._minute, self._lines, self._dropped = minute, 0, 0
        self._lines += 1
        if self._lines > LINES_PER_MINUTE:
            self._dropped += 1
            return
        said = {"to": key[1], **facts}
        if streak.count > 1:
            said |= {"times": streak.count, "within_s": round(streak.last_s - streak.began_s)}
        log.warning("refused: %s %s", key[0], " ".join(f"{name}={_quoted(value)}" for name, value in said.items()))


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return json.dumps(text[:VALUE_CHARACTERS_MAX], ensure_ascii=False)


Note = Callable[..., bool]
note: Note = Refusals().note  # of this process
