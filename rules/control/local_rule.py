"""Whether a rule of a gateway acts now: pure.

A condition has to be known to hold without a break for the rule's delay.  What cannot be judged changes nothing (hold)
or counts as holding (act), as the rule says.
"""

from dataclasses import dataclass, replace

from rules.model.evaluation import Missing

Said = bool | Missing


@dataclass(frozen=True, slots=True)
class Manner:
    """How a rule acts: after how many seconds, whether it latches, and what it takes an unknown input for."""

    delay_s: float = 0.0
    latch: bool = False
    act_when_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands: since when its condition holds (None: it does not), whether it acts, what is not known."""

    since_s: float | None = None
    acting: bool = False
    doubt: str = ""


def judge(before: Standing, said: Said, reset: Said, manner: Manner, now_s: float) -> Standing:
    """Give where a rule stands, given what its condition and its reset say now."""
    if isinstance(said, Missing):
        if not manner.act_when_unknown:
            return Standing(None, before.acting, said.reason)
        return replace(_holds(before, manner, now_s), doubt=said.reason)
    if said:
        return _holds(before, manner, now_s)
    return Standing(None, acting=before.acting and manner.latch and reset is not True)


def due_in_s(standing: Standing, manner: Manner, now_s: float) -> float | None:
    """Give in how many seconds the rule begins to act if nothing changes; None: it does not."""
    if standing.acting or standing.since_s is None:
        return None
    return max(0.0, standing.since_s + manner.delay_s - now_s)


def _holds(before: Standing, manner: Manner, now_s: float) -> Standing:
    since_s = now_s if before.since_s is None else before.since_s
    return Standing(since_s, acting=before.acting or now_s - since_s >= manner.delay_s)
