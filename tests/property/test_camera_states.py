"""Small parts of a camera's judgement, whatever is seen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.camera import picture
from drivers.camera.bodies import BODIES_MAX, Body, Ways, bodies
from drivers.camera.steady import Steady

STEP_S = 0.25
seen_rows = st.lists(st.booleans(), max_size=200)
share = st.integers(0, 64).map(lambda n: n / 64)
body_rows = st.builds(Body, st.tuples(share, share), st.tuples(share, share), share)


@given(seen_rows, st.integers(0, 8), st.integers(0, 8))
def test_a_state_holds_at_least_as_long_as_it_takes_to_change(rows: list[bool], on: int, off: int) -> None:
    state = Steady(on * STEP_S, off * STEP_S)
    states = [False]
    for n, seen in enumerate(rows):
        began = state.step(seen, n * STEP_S)
        assert began is (state.on and not states[-1])
        states.append(state.on)
        wanted = (on if state.on else off) + 1
        if states[-1] != states[-2]:  # it was contradicted without a break for the whole time
            assert all(row is state.on for row in rows[max(0, n + 1 - wanted) : n + 1])


@given(st.booleans(), st.integers(1, 8))
def test_what_lasts_longer_than_both_times_is_the_state(last: bool, steps: int) -> None:
    state = Steady(steps * STEP_S, steps * STEP_S)
    for n in range(3 * steps + 2):
        state.step(last, n * STEP_S)
    assert state.on is last


@given(
    st.lists(
        st.lists(st.builds(Body, st.tuples(share, share), st.tuples(share, share), share), max_size=3), max_size=10
    )
)
def test_ways_are_bounded_and_their_steps_join(rows: list[list[Body]]) -> None:
    ways = Ways()
    for n, row in enumerate(rows):
        steps = ways.step(row, n * STEP_S)
        assert len(steps) <= len(row)
        assert {after for _, after in steps} <= {body.middle for body in row}
    assert len(ways._ways) <= 3 * 6  # of the last second


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.5))
def test_bodies_are_few_large_enough_and_within_the_picture(seed: int, least: float) -> None:
    mask = (np.random.default_rng(seed).random((54, 96)) > 0.6).astype(np.uint8)
    found = bodies(mask, least)
    assert len(found) <= BODIES_MAX
    for body in found:
        assert least <= body.size <= 1
        assert all(0 <= number <= 1 for number in (*body.middle, *body.foot))


@given(st.integers(0, 255), st.integers(0, 3))
def test_a_flat_picture_is_flat_and_dark_only_when_it_is(level: int, noise: int) -> None:
    grey = np.full((108, 192), level, np.int16) + np.random.default_rng(1).integers(-noise, noise + 1, (108, 192))
    flat = np.clip(grey, 0, 255).astype(np.uint8)
    assert picture.flatness(flat) == 1.0
    assert picture.dark(flat) is (float(flat.mean()) < picture.DARK_MEAN)
    assert picture.same(flat, flat)
