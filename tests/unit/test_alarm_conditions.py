"""Conditions on values, in the adversarial situations that a fault rule must pass."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rules.detect.condition import Truth, evaluate, shown, stale_at
from rules.detect.rule import AppliesTo, Deviation, Limit, Mask, Priority, Rule, Stale, State, Window

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)  # 12:00 at the site


def _rule(condition, **more):
    said = dict.fromkeys(("name_zh", "name_en", "cause_zh", "cause_en", "advice_zh", "advice_en"), "x")
    return Rule(
        code="r", version=1, valid_from=NOON.date(), priority=Priority.LOW, applies_to=AppliesTo(),
        condition=condition, **said, **more,
    )  # fmt: skip


AIR = _rule(
    Deviation(kind="deviation", measure="t", setpoint="sp", above=3, deadband=0.5,
              only_while=Mask(measure="fan", equals=1))
)  # fmt: skip


def _judge(rule, values, *, held=False, at=NOON):
    return evaluate(rule, values, at, SHANGHAI, held=held)


@pytest.mark.parametrize(
    ("values", "held", "truth"),
    [
        ({"t": 16.0, "sp": 16.0, "fan": 1.0}, False, Truth.NO),
        ({"t": 19.0, "sp": 16.0, "fan": 1.0}, False, Truth.NO),  # exactly on the limit
        ({"t": 19.1, "sp": 16.0, "fan": 1.0}, False, Truth.YES),
        ({"t": 12.9, "sp": 16.0, "fan": 1.0}, False, Truth.YES),  # too cold counts as well
        ({"t": 18.6, "sp": 16.0, "fan": 1.0}, True, Truth.YES),  # inside the deadband
        ({"t": 18.5, "sp": 16.0, "fan": 1.0}, True, Truth.NO),
        ({"t": 25.0, "sp": 16.0, "fan": 0.0}, False, Truth.MASKED),
        ({"t": 25.0, "sp": 16.0, "fan": None}, False, Truth.UNKNOWN),
        ({"t": None, "sp": 16.0, "fan": 1.0}, True, Truth.UNKNOWN),
        ({"t": 25.0, "fan": 1.0}, False, Truth.UNKNOWN),
    ],
)
def test_a_deviation_is_judged_only_while_the_fan_runs_and_all_values_are_good(values, held, truth):
    assert _judge(AIR, values, held=held) is truth


def test_a_night_limit_counts_only_at_night_in_the_time_of_the_site():
    window = Window.model_validate({"start": "23:00", "end": "05:00"})
    rule = _rule(Limit(kind="limit", measure="power", above=10, deadband=1, window=window))
    assert _judge(rule, {"power": 50.0}) is Truth.NO
    night = datetime(2026, 11, 23, 15, tzinfo=UTC)  # 23:00 at the site
    assert _judge(rule, {"power": 50.0}, at=night) is Truth.YES
    assert _judge(rule, {"power": None}, at=night) is Truth.UNKNOWN
    assert _judge(rule, {"power": None}) is Truth.NO  # by day the value does not matter
    assert _judge(rule, {"power": 50.0}, at=night + timedelta(hours=6)) is Truth.NO


def test_a_limit_below_has_its_deadband_above():
    rule = _rule(Limit(kind="limit", measure="p", below=2, deadband=0.5))
    assert [_judge(rule, {"p": p}) for p in (2.0, 1.9)] == [Truth.NO, Truth.YES]
    assert [_judge(rule, {"p": p}, held=True) for p in (2.4, 2.5)] == [Truth.YES, Truth.NO]


def test_a_state_compares_whole_numbers():
    rule = _rule(State(kind="state", measure="trip", equals=1))
    assert [_judge(rule, {"trip": v}) for v in (1.0, 0.0, None)] == [Truth.YES, Truth.NO, Truth.UNKNOWN]


def test_silence_is_about_time():
    rule = _rule(Stale(kind="stale", after_s=300))
    assert stale_at(rule, NOON) == NOON + timedelta(minutes=5)
    with pytest.raises(TypeError):
        _judge(rule, {})
    with pytest.raises(TypeError):
        stale_at(AIR, NOON)


def test_an_alarm_shows_the_value_and_the_limit_on_its_side():
    assert shown(AIR, {"t": 22.0, "sp": 16.0}) == (22.0, 19.0)
    assert shown(AIR, {"t": 11.0, "sp": 16.0}) == (11.0, 13.0)
    assert shown(AIR, {"t": 11.0}) == (11.0, None)
    band = _rule(Limit(kind="limit", measure="p", above=9, below=2))
    assert shown(band, {"p": 10.0}) == (10.0, 9)
    assert shown(band, {"p": 1.0}) == (1.0, 2)
    assert shown(_rule(Stale(kind="stale", after_s=300)), {}) == (None, 300)
