"""How far a replica is behind, from positions in the log alone."""

from hub.store.replica import MARKS_MOST, Distance


def test_a_replica_that_has_everything_is_not_behind() -> None:
    distance = Distance()
    distance.written(10.0, 100)
    assert distance.lag_s(10.5, 100) == 0.0
    assert distance.lag_s(500.0, 100) == 0.0  # nothing was written since


def test_the_lag_is_counted_from_the_first_position_that_is_missing() -> None:
    distance = Distance()
    for second, position in enumerate((100, 200, 300)):
        distance.written(float(second), position)
    assert distance.lag_s(5.0, 100) == 4.0
    assert distance.lag_s(5.0, 250) == 3.0
    assert distance.lag_s(5.0, 300) == 0.0


def test_a_position_that_stands_still_is_remembered_from_when_it_was_reached() -> None:
    distance = Distance()
    for second in range(10):
        distance.written(float(second), 100)
    assert distance.lag_s(10.0, 50) == 10.0


def test_marks_are_bounded_and_the_oldest_stays() -> None:
    distance = Distance()
    for second in range(2 * MARKS_MOST):
        distance.written(float(second), second + 1)
    assert len(distance.marks) == MARKS_MOST
    assert distance.lag_s(2.0 * MARKS_MOST, 0) == 2.0 * MARKS_MOST
