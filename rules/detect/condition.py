"""Judge a rule's condition on the values that a device shows now."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from rules.detect.rule import Deviation, Limit, Mask, Rule, Stale


class Truth(Enum):
    """What the values say about a condition."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"  # a value is missing or cannot be trusted
    MASKED = "masked"  # the equipment is in a state in which the condition means nothing


Values = Mapping[str, float | None]


def evaluate(rule: Rule, values: Values, at: datetime, zone: ZoneInfo, *, held: bool) -> Truth:
    """Judge ``rule`` on the ``values`` by measure (None or absent: cannot be trusted) at ``at``.

    ``held`` says whether the condition held before: then it must fall back by the deadband to end.
    Stale conditions are about time, not values: see ``stale_at``.
    """
    condition = rule.condition
    if isinstance(condition, Stale):
        raise TypeError(f"rule '{rule.code}' is about silence; ask stale_at")
    if isinstance(condition, Limit | Deviation) and condition.only_while is not None:
        masked = _masked(condition.only_while, values)
        if masked is not Truth.YES:
            return masked
    value = values.get(condition.measure)
    if isinstance(condition, Limit):
        return _limit(condition, value, at, zone, held=held)
    if isinstance(condition, Deviation):
        return _deviation(condition, value, values.get(condition.setpoint), held=held)
    return Truth.UNKNOWN if value is None else _truth(round(value) == condition.equals)


def shown(rule: Rule, values: Values) -> tuple[float | None, float | None]:
    """Give the measured value and the limit that it is held against, as an alarm shows them.

    For a deviation the limit is the set point plus or minus the deviation allowed, on the side of the value.
    """
    condition = rule.condition
    if isinstance(condition, Stale):
        return None, float(condition.after_s)
    value = values.get(condition.measure)
    if isinstance(condition, Deviation):
        setpoint = values.get(condition.setpoint)
        if value is None or setpoint is None:
            return value, None
        return value, setpoint + (condition.above if value >= setpoint else -condition.above)
    if isinstance(condition, Limit):
        low = condition.above is None or (condition.below is not None and (value or 0.0) < condition.below)
        return value, condition.below if low else condition.above
    return value, float(condition.equals)


def stale_at(rule: Rule, good_at: datetime) -> datetime:
    """Give the moment from which a device whose last good reading was at ``good_at`` counts as stale."""
    if not isinstance(rule.condition, Stale):
        raise TypeError(f"rule '{rule.code}' is not about silence; ask evaluate")
    return good_at + timedelta(seconds=rule.condition.after_s)


def _truth(holds: bool) -> Truth:
    return Truth.YES if holds else Truth.NO


def _masked(mask: Mask, values: Values) -> Truth:
    value = values.get(mask.measure)
    if value is None:
        return Truth.UNKNOWN
    return Truth.YES if round(value) == mask.equals else Truth.MASKED


def _limit(condition: Limit, value: float | None, at: datetime, zone: ZoneInfo, *, held: bool) -> Truth:
    # Outside its hours a limit does not apply, whatever the value: that much is known.
    if condition.window is not None and at.astimezone(zone).time() not in condition.window:
        return Truth.NO
    if value is None:
        return Truth.UNKNOWN
    slack = condition.deadband if held else 0.0
    high = condition.above is not None and value > condition.above - slack
    low = condition.below is not None and value < condition.below + slack
    return _truth(high or low)


def _deviation(condition: Deviation, value: float | None, setpoint: float | None, *, held: bool) -> Truth:
    if value is None or setpoint is None:
        return Truth.UNKNOWN
    slack = condition.deadband if held else 0.0
    return _truth(abs(value - setpoint) > condition.above - slack)
