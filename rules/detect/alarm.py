"""The alarm of one rule on one device: normal, pending, active, clearing, normal again.

Two things drive it: ``step`` when readings say something new, ``tick`` when time passes.  An event carries
the moment at which its delay ran out, so it is the same whether a reading, the job of the second or a hub
that was restarted in between notices it.

Delays are those of OPC UA Part 9 (OnDelay, OffDelay).  Values that cannot be trusted keep the state: no
delay runs out while nobody can see.  A masked condition (fan off) ends a pending alarm but clears nothing: a
machine that stands still has not shown that it is repaired.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from rules.detect.condition import Truth
from rules.detect.rule import Rule


class Phase(StrEnum):
    """Where the alarm stands."""

    NORMAL = "normal"
    PENDING = "pending"  # the condition holds, its on-delay runs
    ACTIVE = "active"
    CLEARING = "clearing"  # the condition has ended, its off-delay runs; still active to the outside


class Turn(StrEnum):
    """What happened to the outside."""

    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class State:
    """Phase, the moment it began (None before the first reading) and whether values are missing since."""

    phase: Phase = Phase.NORMAL
    since: datetime | None = None
    blind: bool = False

    @property
    def held(self) -> bool:
        """Whether the condition held when last judged; selects the side of the deadband."""
        return self.phase in (Phase.PENDING, Phase.ACTIVE)

    @property
    def standing(self) -> bool:
        """Whether the alarm has been raised and not cleared."""
        return self.phase in (Phase.ACTIVE, Phase.CLEARING)


@dataclass(frozen=True, slots=True)
class Event:
    """The alarm was raised or cleared at ``at``; the condition began or ended at ``since``."""

    turn: Turn
    at: datetime
    since: datetime


Outcome = tuple[State, tuple[Event, ...]]


def due_at(state: State, rule: Rule) -> datetime | None:
    """Give the moment at which a running delay runs out; None when none runs or values are missing."""
    if state.since is None or state.blind:
        return None
    if state.phase is Phase.PENDING:
        return state.since + timedelta(seconds=rule.on_delay_s)
    if state.phase is Phase.CLEARING:
        return state.since + timedelta(seconds=rule.off_delay_s)
    return None


def tick(state: State, rule: Rule, now: datetime) -> Outcome:
    """Let time pass until ``now``."""
    due = due_at(state, rule)
    if due is None or now < due:
        return state, ()
    return _run_out(state, due)


def step(state: State, rule: Rule, at: datetime, truth: Truth) -> Outcome:
    """Take in what the values at ``at`` say; what ran out before that moment happens first."""
    state, before = tick(state, rule, at)
    if state.since is not None:
        at = max(at, state.since)  # a slower point never turns the clock of the alarm back
    after = _turn(state, at, truth)
    if state.blind and not after.blind and after.since == state.since and after.phase is state.phase:
        due = due_at(after, rule)  # held on both sides of the gap: proven now, not in the dark
        happened = _run_out(after, at) if due is not None and due <= at else (after, ())
    else:
        happened = tick(after, rule, at)
    return happened[0], before + happened[1]


def _run_out(state: State, at: datetime) -> Outcome:
    since = state.since or at
    if state.phase is Phase.PENDING:
        return State(Phase.ACTIVE, at), (Event(Turn.RAISED, at, since),)
    return State(Phase.NORMAL, at), (Event(Turn.CLEARED, at, since),)


_NEXT: dict[tuple[Phase, Truth], Phase] = {
    (Phase.NORMAL, Truth.YES): Phase.PENDING,
    (Phase.PENDING, Truth.NO): Phase.NORMAL,
    (Phase.PENDING, Truth.MASKED): Phase.NORMAL,
    (Phase.ACTIVE, Truth.NO): Phase.CLEARING,
    (Phase.CLEARING, Truth.YES): Phase.ACTIVE,
    (Phase.CLEARING, Truth.MASKED): Phase.ACTIVE,
}


def _turn(state: State, at: datetime, truth: Truth) -> State:
    phase = _NEXT.get((state.phase, truth), state.phase)
    if phase is not state.phase:
        return State(phase, at)
    blind = truth is Truth.UNKNOWN and phase in (Phase.PENDING, Phase.CLEARING)
    return replace(state, blind=blind, since=state.since or at)
