"""Lines and polygons in a picture, whatever they are."""

from hypothesis import assume, given
from hypothesis import strategies as st

from rules.model.outline import Place, area, crossed, crosses_itself, meet, turn, within

share = st.integers(0, 64).map(lambda n: n / 64)  # exact in binary: no test lives on a rounding
place = st.tuples(share, share)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Place, Place, Place, Place]:
    left, right = sorted(draw(st.lists(share, min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(share, min_size=2, max_size=2, unique=True)))
    return (left, top), (right, top), (right, bottom), (left, bottom)


@given(boxes(), place)
def test_a_place_is_in_a_box_as_its_coordinates_say_and_the_border_belongs_to_it(
    box: tuple[Place, Place, Place, Place], where: Place
) -> None:
    (left, top), _, (right, bottom), _ = box
    assert within(box, where) is (left <= where[0] <= right and top <= where[1] <= bottom)
    assert within(box[::-1], where) is within(box, where)
    assert area(box) == (right - left) * (bottom - top)
    assert crosses_itself(box) is None


@given(boxes())
def test_a_box_with_two_corners_exchanged_crosses_itself(box: tuple[Place, Place, Place, Place]) -> None:
    assert crosses_itself((box[0], box[2], box[1], box[3])) is not None


@given(place, place, place, place)
def test_segments_meet_the_same_from_every_end(a: Place, b: Place, c: Place, d: Place) -> None:
    assert meet(a, b, c, d) is meet(c, d, a, b) is meet(b, a, c, d) is meet(a, b, d, c)


@given(place, place, place, place)
def test_a_step_back_over_a_line_is_the_other_direction(a: Place, b: Place, before: Place, after: Place) -> None:
    assume(turn(a, b, before) != 0)
    assume(turn(a, b, after) != 0)
    there, back = crossed(a, b, before, after), crossed(a, b, after, before)
    assert {there, back} in ({""}, {"left", "right"})
    if there:
        assert crossed(b, a, before, after) == back  # seen from the other end, left is right


@given(place, place, st.lists(place, min_size=2, max_size=12))
def test_a_way_that_ends_where_it_began_crosses_a_whole_line_as_often_to_the_left_as_to_the_right(
    a: Place, b: Place, way: list[Place]
) -> None:
    assume(a != b)
    far = 1000.0  # the line is so long that nobody walks around it
    start = (a[0] + (a[0] - b[0]) * far, a[1] + (a[1] - b[1]) * far)
    end = (b[0] + (b[0] - a[0]) * far, b[1] + (b[1] - a[1]) * far)
    assume(turn(start, end, way[0]) != 0)
    steps = list(zip(way, [*way[1:], way[0]], strict=True))
    told = [side for before, after in steps if (side := crossed(start, end, before, after))]
    assert told.count("left") == told.count("right")
