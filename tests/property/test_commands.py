"""A command does something only where, when and as often as it may; a replayed or expired one does nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.control.command import LIFE_MAX, SKEW_MAX, Allowance, Command, fault

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
POINT = "AHU-1.setpoint"
ALLOWED = {POINT: Allowance(18.0, 26.0, timedelta(seconds=60)), "FAN.on": Allowance(0.0, 1.0, critical=True)}


def command(point: str = POINT, value: float | None = 21.0, **more: object) -> Command:
    said: dict[str, object] = {"issued_at": NOW, "expires_at": NOW + timedelta(minutes=1), "by": "li.wei", **more}
    return Command("c1", point, value, **said)  # type: ignore[arg-type]


def test_a_command_within_its_limits_is_carried_out() -> None:
    assert fault(command(), ALLOWED, None, NOW) == ""
    assert fault(command(value=None), ALLOWED, NOW - timedelta(minutes=1), NOW) == ""


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_value_outside_the_range_passes(value: float) -> None:
    assert (fault(command(value=value), ALLOWED, None, NOW) == "") == (18.0 <= value <= 26.0)


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_a_command_counts_from_its_issue_to_just_before_its_end(later: timedelta) -> None:
    counts = fault(command(), ALLOWED, None, NOW + later) == ""
    assert counts == (-SKEW_MAX <= later < timedelta(minutes=1))


@given(st.timedeltas(timedelta(days=-1), timedelta(days=400)))
def test_no_command_lives_longer_than_the_limit(life: timedelta) -> None:
    said = fault(command(expires_at=NOW + life), ALLOWED, None, NOW)
    assert (said == "") == (timedelta(0) < life <= LIFE_MAX)


@given(st.timedeltas(timedelta(0), timedelta(minutes=3)))
def test_a_point_is_not_set_more_often_than_its_allowance(since: timedelta) -> None:
    said = fault(command(), ALLOWED, NOW - since, NOW)
    assert (said == "") == (since >= timedelta(seconds=60))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (command("AHU-1.supply_temp"), "not among the points"),
        (command("FAN.on", 1.0), "a second person"),
        (command("FAN.on", 2.0, seconded=True), "from 0 to 1"),
        (command(value=27.0), "from 18 to 26, not to 27"),
    ],
)
def test_each_refusal_says_what_where_and_why(asked: Command, says: str) -> None:
    assert says in fault(asked, ALLOWED, None, NOW)


def test_an_interlock_has_the_last_word() -> None:
    assert fault(command("FAN.on", 1.0, seconded=True), ALLOWED, None, NOW, blocked="the fire alarm is on") == (
        "the fire alarm is on"
    )
