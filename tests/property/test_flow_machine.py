"""The approval engine, whoever decides what in whatever order."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from hypothesis import assume, given
from hypothesis import strategies as st

from rules.flow.content import digest, plain
from rules.flow.decision import change, decide, escalate, supersede, use, withdraw
from rules.flow.definition import Facts
from rules.flow.request import RefusedError, State, Verdict
from rules.flow.roster import Roster
from rules.flow.seats import seats, wanted
from tests.flowing import FACTS, MONDAY, after, answer, asked, deputy, names, person, step, version

LOGINS = ("ann", "bob", "cho", "dan", "eve")
ROLES = ("manager", "billing")
PLACES = ("", "@site-1", "@building-1", "@site-2")

holdings = st.sets(st.builds(str.__add__, st.sampled_from(ROLES), st.sampled_from(PLACES)), max_size=3)
deputations = st.lists(
    st.tuples(st.sampled_from(LOGINS), st.sampled_from(LOGINS), st.integers(-5, 5), st.integers(0, 10)), max_size=4
)
escalations = st.one_of(
    st.none(),
    st.fixed_dictionaries({"after_h": st.integers(1, 5)}),
    st.fixed_dictionaries(
        {
            "after_h": st.integers(1, 5),
            "roles": st.just(["billing"]),
            "where": st.sampled_from(["site", "organisation"]),
        }
    ),
)


@st.composite
def rosters(draw):
    people = tuple(person(login, *draw(holdings)) for login in LOGINS)
    return Roster(people, tuple(deputy(a, b, start, start + more) for a, b, start, more in draw(deputations)))


@st.composite
def versions(draw, **more):
    steps = [
        step(
            f"s{place}", draw(st.sampled_from(["manager", "billing", "manager billing"])),
            draw(st.sampled_from(["building", "site", "organisation"])),
            needs=draw(st.sampled_from(["one", "all", 1, 2, 3])), deputies=draw(st.booleans()),
            escalation=draw(escalations),
        )
        for place in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    return version(*steps, four_eyes=draw(st.booleans()), **more)


# What people try: who, for whom, which verdict, with the request before him as it is now or as it was at first.
tries = st.lists(
    st.tuples(
        st.sampled_from(LOGINS), st.none() | st.sampled_from(LOGINS),
        st.sampled_from([Verdict.APPROVE] * 5 + [Verdict.REJECT]), st.booleans(),
        st.sampled_from(["decide"] * 8 + ["change", "escalate", "withdraw"]), st.integers(0, 5),
    ),
    max_size=25,
)  # fmt: skip


def _play(first, roster, story):
    """Play a story; what is refused changes nothing.  Gives every state in between."""
    request, hour = first, 0
    yield request
    for login, principal, verdict, fresh, act, later in story:
        hour += later
        try:
            if act == "decide":
                said = answer(request if fresh else first, login, verdict, principal)
                request = decide(request, said, roster, after(hour))
            elif act == "change":
                request = change(request, FACTS, f"hash {hour % 3}", login, roster, after(hour))
            elif act == "escalate":
                request = escalate(request, roster, after(hour))
            else:
                request = withdraw(request, login, after(hour))
        except RefusedError:
            pass
        yield request


@given(versions(), rosters(), st.sampled_from(LOGINS), tries)
def test_nothing_is_approved_without_all_the_distinct_people_that_it_needs(held, roster, submitter, story):
    for request in _play(asked(held, submitter, roster=roster), roster, story):
        if request.state is not State.APPROVED:
            continue
        for place in held.path(request.facts):
            eyes = [decision.eyes for decision in request.counted if decision.step == place]
            needs = held.steps[place].needs
            assert len(eyes) >= (needs if isinstance(needs, int) else 1)
            assert sum(map(len, eyes)) == len(frozenset().union(*eyes))  # nobody twice, deputies with their principals
        if held.four_eyes:
            everybody = [decision.eyes for decision in request.counted]
            assert sum(map(len, everybody)) == len(frozenset().union(*everybody))


@given(versions(), rosters(), st.sampled_from(LOGINS), tries)
def test_no_author_ever_counts(held, roster, submitter, story):
    for request in _play(asked(held, submitter, roster=roster), roster, story):
        assert request.submitter == submitter
        assert not set(request.authors) & frozenset().union(*(decision.eyes for decision in request.counted))
        assert not {seat.login for seat in seats(request, roster, after(1))} & set(request.authors)


@given(versions(), rosters(), st.sampled_from(LOGINS), tries)
def test_what_is_over_stays_over(held, roster, submitter, story):
    states = list(_play(asked(held, submitter, roster=roster), roster, story))
    over = next(
        (place for place, request in enumerate(states) if request.state not in (State.OPEN, State.APPROVED)), None
    )
    if over is not None:
        assert all(request == states[over] for request in states[over:])
    for request in states:
        assert request.open or not seats(request, roster, after(1))


@given(versions(), rosters(), tries)
def test_a_change_always_voids_what_was_decided_before(held, roster, story):
    for request in _play(asked(held, "ann", roster=roster), roster, story):
        if request.state not in (State.OPEN, State.APPROVED):
            continue
        anew = change(request, FACTS, request.content_hash + "'", "ann", roster, after(99))
        assert (anew.state, anew.counted, anew.round) == (State.OPEN, (), request.round + 1)
        assert anew.decisions == request.decisions
        assert anew.step == held.path(FACTS)[0]
        assert anew.needed == wanted(anew.current, anew, roster)


@given(versions(), rosters(), tries, st.lists(st.integers(0, 40), max_size=8))
def test_escalating_twice_is_escalating_once(held, roster, story, hours):
    *_, request = _play(asked(held, "ann", roster=roster), roster, story)
    once = request
    for hour in sorted(hours):
        once = escalate(once, roster, after(hour))
        assert escalate(once, roster, after(hour)) == once
    if hours:
        assert escalate(request, roster, after(max(hours))) == once  # a job that slept misses nothing


@given(rosters(), st.integers(2, 3), st.booleans(), st.data())
def test_the_order_in_which_parallel_approvals_arrive_does_not_matter(roster, needs, all_of_them, data):
    held = version(step("a", needs="all" if all_of_them else needs), step("b", "billing", "organisation"))
    request = asked(held, "ann", roster=roster)
    found = seats(request, roster, after(1))
    apart, seen = [], set()
    for seat in data.draw(st.permutations(found)):
        eyes = {seat.login, seat.principal or seat.login}
        if not eyes & seen:
            apart.append(seat)
            seen |= eyes
    assume(len(apart) >= request.needed)
    ends = set()
    for order in permutations(apart[: request.needed]):
        moved = request
        for seat in order:
            moved = decide(moved, answer(request, seat.login, principal=seat.principal), roster, after(1))
        who = frozenset(decision.eyes for decision in moved.counted)
        ends.add(
            (moved.state, moved.step, moved.needed, moved.short, who, tuple(names(seats(moved, roster, after(1)))))
        )
    assert len(ends) == 1


@given(rosters(), st.data())
def test_where_all_must_approve_one_rejection_wins_whenever_it_comes(roster, data):
    request = asked(version(step("a", needs="all")), "ann", roster=roster)
    own = [seat for seat in seats(request, roster, after(1)) if seat.principal is None]
    assume(own)
    assume(len(own) == request.needed)
    against = data.draw(st.sampled_from(own))
    for order in permutations(own):
        moved = request
        for seat in order:
            verdict = Verdict.REJECT if seat == against else Verdict.APPROVE
            if moved.open:
                moved = decide(moved, answer(request, seat.login, verdict), roster, after(1))
        assert moved.state is State.REJECTED


@given(versions(), rosters(), tries)
def test_an_approval_is_used_once_and_only_for_its_content(held, roster, story):
    for request in _play(asked(held, "ann", roster=roster), roster, story):
        for content in (request.content_hash, "another"):
            try:
                spent = use(request, content, request.ended_at or MONDAY)
            except RefusedError:
                continue
            assert (request.state, content) == (State.APPROVED, request.content_hash)
            assert supersede(spent, after(99)) == escalate(spent, roster, after(9999)) == spent


@given(st.decimals(min_value=0, max_value=10**9, places=4), st.decimals(min_value=1, max_value=10**9, places=4))
def test_every_amount_falls_on_one_side_of_a_limit(amount, limit):
    held = version(
        step("below", amount={"CNY": {"below": limit}}), step("from", amount={"CNY": {"from": limit}})
    )  # fmt: skip
    assert held.path(Facts(amount=amount, currency="CNY")) == ((1,) if amount >= limit else (0,))


@given(st.integers(-2, 12), st.integers(-3, 3), st.integers(0, 6))
def test_a_deputation_holds_from_its_start_to_just_before_its_end(hour, start, length):
    one = deputy("ann", "bob", start, start + length)
    assert one.holds(after(hour)) == (start <= hour < start + length)
    assert not one.holds(one.end)
    assert replace(one, end=one.end + timedelta(microseconds=1)).holds(one.end)


words = st.text(st.characters(blacklist_characters="\x00", codec="utf-8"), max_size=8)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.decimals(allow_nan=False, allow_infinity=False),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(words, held, max_size=3),
    max_leaves=8,
)


@given(plain_values)
def test_what_is_stored_has_the_hash_of_what_was_seen(content):
    assert digest(plain(content)) == digest(content)
    if isinstance(content, dict):
        assert digest(dict(reversed(content.items()))) == digest(content)
