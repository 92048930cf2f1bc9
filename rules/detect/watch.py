"""Follow one rule on one device through a batch of readings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from rules.detect.alarm import Event, Outcome, State, step, tick
from rules.detect.condition import Truth, Values, evaluate, shown, stale_at
from rules.detect.rule import Rule, Stale


@dataclass(frozen=True, slots=True)
class Said:
    """What a measure of the device said at ``at``; None for a value that cannot be trusted."""

    measure: str
    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Happening:
    """An event with the value and the limit that an alarm shows."""

    event: Event
    value: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Watched:
    """Where the alarm stands afterwards, and what happened on the way."""

    state: State
    happenings: tuple[Happening, ...] = ()


def follow(rule: Rule, state: State, rest: Values, said: Sequence[Said], zone: ZoneInfo) -> Watched:
    """Judge ``rule`` at every moment of ``said`` (in any order).

    ``rest`` holds the current values of the measures that are not in ``said``.  A measure of ``said`` is not
    known before its first reading there, so the rule is judged from the moment at which all are.
    """
    values, happenings = dict(rest), list[Happening]()
    for at, together in groupby(sorted(said, key=lambda one: one.at), key=lambda one: one.at):
        news = {one.measure: one.value for one in together}
        values |= news
        truth = _truth(rule, state, values, news, at, zone)
        if truth is not None:
            outcome = step(state, rule, at, truth)
            happenings += _shown(rule, outcome, values)
            state = outcome[0]
    return Watched(state, tuple(happenings))


def elapse(rule: Rule, state: State, values: Values, now: datetime) -> Watched:
    """Let time pass until ``now``."""
    outcome = tick(state, rule, now)
    return Watched(outcome[0], tuple(_shown(rule, outcome, values)))


def listen(rule: Rule, state: State, good_at: datetime, heard_since: datetime, now: datetime) -> Watched:
    """Judge the silence of a device whose last good reading was at ``good_at``.

    Silence counts only from ``heard_since``, when the hub began to listen: its own absence is nobody's fault.
    """
    due = stale_at(rule, max(good_at, heard_since))
    outcome = step(state, rule, due, Truth.YES) if now >= due else step(state, rule, good_at, Truth.NO)
    later = elapse(rule, outcome[0], {}, now)
    return Watched(later.state, (*_shown(rule, outcome, {}), *later.happenings))


def _truth(
    rule: Rule, state: State, values: Values, news: Mapping[str, float | None], at: datetime, zone: ZoneInfo
) -> Truth | None:
    if isinstance(rule.condition, Stale):
        return Truth.NO if any(value is not None for value in news.values()) else None
    if not rule.measures & news.keys() or not rule.measures <= values.keys():
        return None
    return evaluate(rule, values, at, zone, held=state.held)


def _shown(rule: Rule, outcome: Outcome, values: Values) -> Iterator[Happening]:
    for event in outcome[1]:
        yield Happening(event, *shown(rule, values))
