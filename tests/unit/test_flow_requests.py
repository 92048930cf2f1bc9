"""A request for approval: whom it reaches, what counts, what is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from rules.flow.content import UnclearContentError, canonical, digest, plain
from rules.flow.decision import Answer, begin, change, decide, escalate, supersede, use, withdraw
from rules.flow.definition import Facts
from rules.flow.request import RefusedError, State, Verdict
from rules.flow.roster import Roster
from rules.flow.seats import seats
from tests.flowing import (
    FACTS,
    MONDAY,
    OTHER_SITE,
    PEOPLE,
    ROSTER,
    after,
    answer,
    approve,
    asked,
    deputy,
    names,
    person,
    step,
    version,
)

TWO_STEPS = version(step("site"), step("money", "billing", "organisation"))


def _who(request, roster=ROSTER, hours=1.0):
    return names(seats(request, roster, after(hours)))


def test_the_usual_walk_of_a_request():
    request = asked(TWO_STEPS)
    assert (request.state, request.current.code, _who(request)) == (State.OPEN, "site", ["ann", "bob"])
    request = approve(request, "ann")
    assert (request.state, request.current.code, _who(request)) == (State.OPEN, "money", ["cho"])
    request = approve(request, "cho")
    assert (request.state, request.ended_at, _who(request)) == (State.APPROVED, after(1), [])
    assert use(request, "hash", after(2)).state is State.USED


def test_one_rejection_ends_it():
    request = asked(TWO_STEPS)
    request = decide(request, answer(request, "bob", Verdict.REJECT), ROSTER, after(1))
    assert request.state is State.REJECTED
    with pytest.raises(RefusedError, match="was rejected; a new one"):
        approve(request, "ann")


def test_a_step_falls_to_the_nearest_level_that_has_anybody():
    near = version(step("site", where="building"))
    assert _who(asked(near)) == ["ann", "bob"]
    assert _who(asked(near, facts=Facts(site=OTHER_SITE))) == ["dan"]
    assert _who(asked(near, facts=Facts())) == ["dan"]
    assert _who(asked(version(step("top", where="organisation")))) == ["dan"]
    here = Roster((*PEOPLE, person("gil", "manager@building-1")))
    assert _who(asked(near, roster=here), here) == ["gil"]
    assert _who(asked(near, "gil", roster=here), here) == ["ann", "bob"]  # who asks is nobody


def test_a_step_that_needs_more_people_than_are_near_goes_further_out():
    assert _who(asked(version(step("site", needs=2)))) == ["ann", "bob"]
    request = asked(version(step("site", needs=3)))
    assert _who(request) == ["ann", "bob", "dan"]
    assert not request.short
    request = approve(request, "ann", "dan")
    assert (request.state, _who(request)) == (State.OPEN, ["bob"])
    assert approve(request, "bob").state is State.APPROVED


def test_all_means_all_who_hold_it_when_the_step_begins():
    request = asked(version(step("site", needs="all")))
    assert request.needed == 2
    request = approve(request, "bob")
    assert (request.open, _who(request)) == (True, ["ann"])
    assert approve(request, "ann").state is State.APPROVED
    assert asked(version(step("site", needs="all")), "ann").needed == 1


def test_nobody_decides_two_steps_unless_the_flow_says_so():
    steps = [step("site", where="organisation"), step("again", "manager administrator", "organisation")]
    request = approve(asked(version(*steps)), "dan")
    assert _who(request) == ["eve"]
    with pytest.raises(RefusedError, match="second pair of eyes"):
        approve(request, "dan")
    request = approve(asked(version(*steps, four_eyes=False)), "dan")
    assert approve(request, "dan").state is State.APPROVED


def test_who_asks_never_decides_even_without_four_eyes():
    request = asked(version(step("site"), four_eyes=False), "ann")
    assert _who(request) == ["bob"]
    with pytest.raises(RefusedError, match="Who asks for something"):
        approve(request, "ann")


def test_a_deputy_decides_on_behalf_of_his_principal_while_it_lasts():
    away = Roster(PEOPLE, (deputy("ann", "fay", 2, 5),))
    request = asked(version(step("site")), "cho", roster=away)
    assert _who(request, away, 1.99) == ["ann", "bob"]
    assert _who(request, away, 2) == _who(request, away, 4.99) == ["ann", "bob", "fay for ann"]
    assert _who(request, away, 5) == ["ann", "bob"]
    decided = approve(request, "fay for ann", roster=away, hours=3)
    assert (decided.state, decided.decisions[0].principal) == (State.APPROVED, "ann")
    with pytest.raises(RefusedError, match="not yours"):
        approve(request, "fay", roster=away, hours=3)
    with pytest.raises(RefusedError, match="not yours"):
        approve(request, "fay for bob", roster=away, hours=3)


def test_deputy_and_principal_are_one_pair_of_eyes():
    both = Roster(PEOPLE, (deputy("ann", "fay"), deputy("dan", "fay"), deputy("bob", "ann")))
    request = asked(version(step("site", needs=2), step("top", where="organisation")), "cho", roster=both)
    assert _who(request, both) == ["ann", "ann for bob", "bob", "fay for ann"]
    request = approve(request, "fay for ann", roster=both)
    for again in ("ann", "ann for bob", "fay for ann"):
        with pytest.raises(RefusedError, match="second pair of eyes"):
            approve(request, again, roster=both)
    request = approve(request, "bob", roster=both)
    assert _who(request, both) == ["dan"]  # fay has decided for ann and cannot for dan


def test_neither_the_deputy_nor_the_principal_may_have_asked():
    both = Roster(PEOPLE, (deputy("ann", "fay"),))
    assert _who(asked(version(step("site")), "fay", roster=both), both) == ["ann", "bob"]
    request = asked(version(step("site")), "ann", roster=both)
    assert _who(request, both) == ["bob"]
    with pytest.raises(RefusedError, match="Who asks for something"):
        approve(request, "fay for ann", roster=both)


def test_a_deputation_is_not_passed_on_and_a_step_may_do_without():
    chain = Roster(PEOPLE, (deputy("ann", "fay"), deputy("fay", "eve"), deputy("bob", "gone")))
    assert _who(asked(version(step("site")), "cho", roster=chain), chain) == ["ann", "bob", "fay for ann"]
    assert _who(asked(version(step("site", deputies=False)), "cho", roster=chain), chain) == ["ann", "bob"]


def test_a_step_is_reminded_of_and_escalated_when_it_is_due_and_once():
    request = asked(version(step("site", within_h=2, escalation={"after_h": 4})))
    assert escalate(request, ROSTER, after(1.99)) == request
    reminded = escalate(request, ROSTER, after(2))
    assert (reminded.reminded, reminded.escalated, _who(reminded)) == (True, False, ["ann", "bob"])
    late = escalate(reminded, ROSTER, after(4))
    assert (late.escalated, late.short, _who(late)) == (True, False, ["ann", "bob", "dan"])
    assert escalate(late, ROSTER, after(4)) == late
    assert approve(late, "dan").state is State.APPROVED


def test_an_escalation_may_name_other_people():
    other = {"after_h": 4, "roles": ["administrator"], "where": "organisation"}
    late = escalate(asked(version(step("site", escalation=other))), ROSTER, after(4))
    assert _who(late) == ["ann", "bob", "eve"]


def test_where_nobody_is_there_it_escalates_at_once_and_says_so():
    other = {"after_h": 4, "roles": ["administrator"], "where": "organisation"}
    request = asked(version(step("none", "security", escalation=other)))
    assert (request.short, request.escalated, _who(request)) == (True, True, ["eve"])
    alone = asked(version(step("none", "security")))
    assert (alone.short, alone.escalated, _who(alone)) == (True, False, [])
    found = Roster((*PEOPLE, person("gil", "security")))
    assert _who(alone, found) == ["gil"]
    # the manager leaves while the request waits
    fewer = Roster(tuple(one for one in PEOPLE if one.login not in ("ann", "bob", "dan")))
    left = escalate(asked(version(step("site", escalation=other))), fewer, after(1))
    assert (left.short, _who(left, fewer)) == (True, ["eve"])


def test_each_step_has_its_own_time():
    both = version(*(step(code, "manager", "organisation", within_h=2, escalation={"after_h": 4}) for code in "ab"))
    here = Roster((*PEOPLE, person("gil", "manager")))
    request = approve(escalate(asked(both), here, after(4)), "dan", roster=here, hours=4)
    assert (request.since, request.reminded, request.escalated, request.short) == (after(4), False, False, False)
    assert not escalate(request, here, after(5.9)).reminded
    assert escalate(request, here, after(6)).reminded


def test_an_undecided_request_and_an_unused_approval_end():
    held = version(step("site"), open_days=2, validity_days=1)
    request = asked(held)
    assert escalate(request, ROSTER, after(47)).open
    assert escalate(request, ROSTER, after(48)).state is State.EXPIRED
    with pytest.raises(RefusedError, match="has expired"):
        approve(request, "ann", hours=48)  # before any job looked at it
    approved = approve(request, "ann")
    assert use(approved, "hash", after(24.9)).state is State.USED
    with pytest.raises(RefusedError, match="lapsed"):
        use(approved, "hash", after(25))
    assert escalate(approved, ROSTER, after(25)).state is State.EXPIRED
    assert escalate(use(approved, "hash", after(2)), ROSTER, after(99)).state is State.USED


def test_changed_content_makes_every_decision_void():
    request = approve(asked(TWO_STEPS), "ann")
    before = request
    request = change(request, FACTS, "other", "fay", ROSTER, after(2))
    assert (request.round, request.current.code, request.counted, len(request.decisions)) == (2, "site", (), 1)
    assert _who(request) == ["ann", "bob"]  # who decided on other content decides again
    with pytest.raises(RefusedError, match="was changed after you opened it"):
        decide(request, answer(before, "cho"), ROSTER, after(3))
    stale = Answer("ann", Verdict.APPROVE, "hash", 2, 0)
    with pytest.raises(RefusedError, match="was changed after you opened it"):
        decide(request, stale, ROSTER, after(3))
    assert change(request, FACTS, "other", "dan", ROSTER, after(3)) is request


def test_content_changed_back_is_not_approved_by_what_was_decided_before():
    request = change(approve(asked(TWO_STEPS), "ann"), FACTS, "other", "fay", ROSTER, after(2))
    back = change(request, FACTS, "hash", "fay", ROSTER, after(3))
    assert (back.round, back.step, back.given) == (3, 0, 0)


def test_a_change_after_the_approval_asks_again_and_by_the_same_version():
    one = version(step("site", amount={"CNY": {"below": 5000}}), step("top", where="organisation"))
    approved = approve(asked(one), "ann", "dan")
    with pytest.raises(RefusedError, match="not what was approved"):
        use(approved, "other", after(2))
    more = Facts(site="site-1", amount=Decimal(5000), currency="CNY")
    again = change(approved, more, "other", "fay", ROSTER, after(2))
    assert (again.state, again.ended_at, again.current.code, again.version) == (State.OPEN, None, "top", one)


def test_who_changes_the_content_does_not_decide_on_it():
    request = change(asked(TWO_STEPS), FACTS, "other", "ann", ROSTER, after(1))
    assert (request.submitter, request.authors, _who(request)) == ("fay", ("fay", "ann"), ["bob"])


def test_an_approval_serves_once():
    spent = use(approve(asked(version(step("site"))), "ann"), "hash", after(2))
    for again in (lambda: use(spent, "hash", after(3)), lambda: change(spent, FACTS, "x", "fay", ROSTER, after(3))):
        with pytest.raises(RefusedError, match="has been done"):
            again()
    with pytest.raises(RefusedError, match="not been approved yet"):
        use(asked(TWO_STEPS), "hash", after(2))


def test_only_the_submitter_withdraws_and_only_before_the_decision():
    request = asked(TWO_STEPS)
    assert withdraw(request, "fay", after(1)).state is State.WITHDRAWN
    with pytest.raises(RefusedError, match="Only who submitted"):
        withdraw(request, "ann", after(1))
    with pytest.raises(RefusedError, match="approved already"):
        withdraw(approve(request, "ann", "cho"), "fay", after(2))
    with pytest.raises(RefusedError, match="cannot be withdrawn"):
        withdraw(asked(version(step("site"), self_withdraw=False)), "fay", after(1))


def test_a_later_request_takes_the_place_of_an_open_or_unused_one():
    request = asked(version(step("site")))
    assert supersede(request, after(1)).state is State.SUPERSEDED
    assert supersede(approve(request, "ann"), after(2)).state is State.SUPERSEDED
    spent = use(approve(request, "ann"), "hash", after(2))
    assert supersede(spent, after(3)) == spent


def test_a_click_that_was_meant_for_one_step_does_not_count_for_the_next():
    request = asked(version(step("a"), step("b")))
    meant = answer(request, "bob")
    moved = approve(request, "ann")
    with pytest.raises(RefusedError, match="decided meanwhile"):
        decide(moved, meant, ROSTER, after(2))


def test_a_subject_without_steps_is_refused_unless_the_flow_lets_it_through():
    small = step("big", amount={"CNY": {"from": 5000}})
    with pytest.raises(RefusedError, match="gap"):
        asked(version(small))
    assert asked(version(small, without_steps="approved")).state is State.APPROVED
    assert begin(version(without_steps="approved"), FACTS, "h", "ann", ROSTER, MONDAY).state is State.APPROVED
    held = version(small, step("top", where="organisation", amount={"CNY": {"below": 2000}}))
    with pytest.raises(RefusedError, match="gap"):
        change(asked(held), Facts(amount=Decimal(3000), currency="CNY"), "x", "fay", ROSTER, after(1))


def test_the_hash_is_of_the_meaning():
    said = {"b": Decimal("100.00"), "a": [datetime(2026, 1, 1, 8, tzinfo=UTC), UUID(int=1), None, True, 3]}
    moment, nobody = "2026-01-01T08:00:00+00:00", "00000000-0000-0000-0000-000000000001"
    assert canonical(said) == f'{{"a":["{moment}","{nobody}",null,true,3],"b":"100"}}'
    assert digest(said) == digest(plain(said)) == digest({"a": said["a"], "b": Decimal("1E+2")})
    assert digest({"x": Decimal("-0.00")}) == digest({"x": Decimal(0)})
    assert digest({"x": Decimal("0.10")}) != digest({"x": Decimal("0.01")})
    assert digest(said) != digest({**said, "c": None})


NO_ZONE = datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize("unclear", [0.1, Decimal("NaN"), Decimal("Infinity"), b"x", {1: 2}, NO_ZONE, {3}, "a\x00b"])
def test_content_that_could_mean_two_things_is_refused(unclear):
    with pytest.raises(UnclearContentError):
        digest({"a": [unclear]})
