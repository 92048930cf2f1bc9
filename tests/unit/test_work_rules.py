"""The life of a work order, who goes, and whether the repair helped."""

from datetime import UTC, datetime, timedelta

import pytest

from rules.work.dispatch import Candidate, choose
from rules.work.order import OPEN, TRANSITIONS, ImpossibleError, NotYoursError, Part, Status, Verb, move, possible
from rules.work.verification import Evidence, Verdict, judge

DONE = datetime(2026, 11, 23, 8, tzinfo=UTC)


def test_the_usual_walk_of_an_order():
    status = Status.REQUESTED
    for verb, part in [
        (Verb.ASSIGN, Part.TELEMETRY), (Verb.ACCEPT, Part.ASSIGNEE), (Verb.ARRIVE, Part.ASSIGNEE),
        (Verb.COMPLETE, Part.ASSIGNEE), (Verb.REOPEN, Part.TELEMETRY), (Verb.ASSIGN, Part.TELEMETRY),
        (Verb.ACCEPT, Part.ASSIGNEE), (Verb.ARRIVE, Part.ASSIGNEE), (Verb.COMPLETE, Part.ASSIGNEE),
        (Verb.VERIFY, Part.TELEMETRY), (Verb.CLOSE, Part.DISPATCHER),
    ]:  # fmt: skip
        status = move(status, verb, part)
    assert status is Status.CLOSED


def test_every_state_can_be_reached_and_only_three_end_the_work():
    reached = {Status.REQUESTED} | {row.target for row in TRANSITIONS}
    assert reached == set(Status)
    assert set(Status) - OPEN == {Status.VERIFIED, Status.CLOSED, Status.STOPPED}
    assert {row.verb for row in TRANSITIONS} == set(Verb)


def test_what_cannot_be_done_is_refused_with_a_sentence():
    with pytest.raises(ImpossibleError, match=r"is closed; only one that is arrived .*'complete'"):
        move(Status.CLOSED, Verb.COMPLETE, Part.ASSIGNEE)
    with pytest.raises(NotYoursError, match="Only an engineer or administrator can stop"):
        move(Status.ARRIVED, Verb.STOP, Part.ASSIGNEE)
    with pytest.raises(NotYoursError, match="the technician to whom it is assigned or an engineer"):
        move(Status.ASSIGNED, Verb.ACCEPT, None)


def test_the_buttons_of_a_page_are_what_can_be_done_next():
    assert possible(Status.ASSIGNED, Part.ASSIGNEE) == (Verb.ACCEPT, Verb.RETURN)
    assert possible(Status.ARRIVED, Part.ASSIGNEE) == (Verb.COMPLETE, Verb.RETURN)
    assert possible(Status.CLOSED, Part.DISPATCHER) == ()
    assert possible(Status.ASSIGNED, None) == ()


def _person(login, skills=("hvac",), zones=("A",), load=0):
    return Candidate(login, frozenset(skills), frozenset(zones), load)


def test_the_skilled_technician_of_the_building_with_the_least_work_goes():
    people = [_person("zhou", load=1), _person("bai", load=1), _person("an", zones=("B",)), _person("ai", ("water",))]
    choice = choose(people, "hvac", "A")
    assert choice == choose(people[::-1], "hvac", "A")
    assert choice.login == "bai"  # the tie goes to the login that sorts first
    assert "bai has the skill 'HVAC', serves building 'A' and has the least open work (1) of 2." in choice.why_en
    assert choose(people, "hvac", "A", without={"bai"}).login == "zhou"


@pytest.mark.parametrize(
    ("skill", "zone", "without", "why"),
    [
        ("lifts", "A", (), "no technician has the skill 'lifts'"),
        ("hvac", "C", (), "none of the 1 with the skill 'HVAC' serves building 'C'"),
        ("hvac", "A", ("bai",), "has given it back"),
    ],
)
def test_when_nobody_can_go_the_reason_says_so(skill, zone, without, why):
    choice = choose([_person("bai")], skill, zone, without)
    assert choice.login is None
    assert why in choice.why_en
    assert "人工指派" in choice.why_zh


@pytest.mark.parametrize(
    ("alarm", "after_s", "verdict"),
    [
        (Evidence(standing=False), 0, Verdict.VERIFIED),
        (Evidence(standing=True), 39, Verdict.WAITING),
        (Evidence(standing=True), 40, Verdict.REOPEN),
        (Evidence(standing=True, clearing_since=DONE + timedelta(seconds=35)), 41, Verdict.WAITING),
    ],
)
def test_telemetry_decides_whether_the_repair_helped(alarm, after_s, verdict):
    assert judge(DONE, 30, 10, alarm, DONE + timedelta(seconds=after_s)) is verdict
