"""Local rules over any course of events: never early, never forgotten, never guessed."""

from hypothesis import given
from hypothesis import strategies as st

from rules.control.local_rule import Manner, Standing, due_in_s, judge
from rules.model.evaluation import Missing

GONE = Missing("'A.x' is bad")
steps = st.lists(
    st.tuples(st.sampled_from([True, False, GONE]), st.sampled_from([True, False, GONE]), st.floats(0, 10)),
    max_size=40,
)
manners = st.builds(Manner, st.sampled_from([0.0, 3.0]), st.booleans(), st.booleans())


@given(steps, manners)
def test_a_rule_keeps_its_word(course: list[tuple[bool | Missing, bool | Missing, float]], manner: Manner) -> None:
    standing, now_s, held_since = Standing(), 0.0, None
    for said, reset, passed_s in course:
        now_s += passed_s
        before, standing = standing, judge(standing, said, reset, manner, now_s)
        holds = said is True or (said is GONE and manner.act_when_unknown)
        held_since = (now_s if held_since is None else held_since) if holds else None
        assert bool(standing.doubt) == (said is GONE)
        if standing.acting and not before.acting:  # never early, never without cause
            assert held_since is not None
            assert now_s - held_since >= manner.delay_s
        if holds and held_since is not None and now_s - held_since >= manner.delay_s:
            assert standing.acting
        if before.acting and not standing.acting:  # ends only by knowledge, a latched one by its reset
            assert said is False
            assert not manner.latch or reset is True
        if said is GONE and not manner.act_when_unknown:
            assert standing.acting == before.acting
        due_s = due_in_s(standing, manner, now_s)
        assert due_s is None or 0 <= due_s <= manner.delay_s + 1e-9
