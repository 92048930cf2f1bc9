"""What a row of pictures is taken for: drawn scenes, five pictures a second, days shorter than a second."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from drivers.camera import judge, picture
from drivers.camera.judge import Judge, Verdict
from rules.model.event import STILL_BYTES_MAX
from rules.model.watch import Watch
from simulators.hall import PLAIN, Figure, Hall, Show, walking

STARTED = datetime(2026, 3, 2, 8, tzinfo=UTC)
PER_S = 5
FLOOR = [[0.4, 0.6], [0.7, 0.6], [0.7, 1], [0.4, 1]]
MIDDLE = {"start": [0.5, 0.2], "end": [0.5, 1]}
WATCH = Watch.model_validate({"intrusion": [{"polygon": FLOOR}], "crossing": [MIDDLE], "frozen_s": 5})


class Stand:
    """A camera in front of a hall; ``show`` says what happens ``s`` seconds after it was switched on."""

    def __init__(self, watch: Watch = WATCH, seed: int = 1) -> None:
        self.hall = Hall("CAM-1", seed)
        self.judge = Judge(watch)
        self.now_s = 0.0
        self.causes: list[str] = []

    def watch(self, seconds: float, show: Callable[[float], Show] = lambda _s: PLAIN) -> set[str]:
        """Watch for a while; gives every state that held at any time."""
        held: set[str] = set()
        for passed_s, verdict in self.verdicts(seconds, show):
            held |= {name for name in Verdict.__slots__ if getattr(verdict, name) is True}
            self.causes += verdict.begun
            self.last, self.last_s = verdict, passed_s
        return held

    def verdicts(self, seconds: float, show: Callable[[float], Show]) -> Iterator[tuple[float, Verdict]]:
        for n in range(round(seconds * PER_S)):
            at = STARTED + timedelta(seconds=self.now_s)
            grey = picture.shrink(self.hall.picture(at, show(n / PER_S)))
            yield n / PER_S, self.judge.step(grey, self.now_s, at)
            self.now_s += 1 / PER_S


def walk(seconds: float) -> Show:
    return Show(figures=(walking(seconds),) if seconds < 10 else ())


def back(seconds: float) -> Show:
    return Show(figures=(walking(10 - seconds),) if seconds < 10 else ())


@pytest.fixture
def stand() -> Stand:
    made = Stand()
    assert made.watch(10) == set()
    return made


def test_an_empty_hall_with_noise_and_a_clock_is_quiet(stand: Stand) -> None:
    assert stand.watch(60) == set()
    assert stand.causes == []


def test_somebody_who_walks_through_moves_crosses_the_line_and_stands_in_the_zone(stand: Stand) -> None:
    assert stand.watch(16, walk) == {"motion", "line", "intrusion"}
    assert stand.causes == ["motion", "zone", "line"]
    assert not any((stand.last.motion, stand.last.line, stand.last.intrusion))


@pytest.mark.parametrize(("direction", "there", "back_again"), [("both", 1, 1), ("left", 1, 0), ("right", 0, 1)])
def test_a_line_counts_in_its_direction_alone(direction: str, there: int, back_again: int) -> None:
    stand = Stand(Watch.model_validate({"crossing": [MIDDLE | {"direction": direction}]}))
    stand.watch(10)
    stand.watch(16, walk)  # seen from the top of the line, rightwards in the picture is to the left
    assert stand.causes.count("line") == there
    stand.causes.clear()
    stand.watch(16, back)
    assert stand.causes.count("line") == back_again


def test_outside_its_schedule_neither_zone_nor_line_says_anything() -> None:
    night = [{"start": "22:00", "end": "06:00"}]
    stand = Stand(
        Watch.model_validate(
            {"intrusion": [{"polygon": FLOOR, "schedule": night}], "crossing": [MIDDLE | {"schedule": night}]}
        )
    )
    stand.watch(10)
    assert stand.watch(16, walk) == {"motion"}


def test_what_is_smaller_than_the_least_size_is_not_there() -> None:
    stand = Stand(Watch.model_validate({"intrusion": [{"polygon": FLOOR}], "least_size": 0.05}))
    stand.watch(10)
    assert stand.watch(16, walk) == set()


def test_somebody_beside_the_zone_moves_but_does_not_intrude(stand: Stand) -> None:
    held = stand.watch(10, lambda s: Show(figures=(Figure(0.1 + 0.01 * s),)))
    assert held == {"motion"}


def test_somebody_who_hides_half_of_the_picture_does_not_move_the_camera(stand: Stand) -> None:
    held = stand.watch(10, lambda s: Show(figures=(Figure(0.2 + 0.06 * s, feet=1.2, tall=1.4),)))
    assert "motion" in held
    assert not held & {"moved", "covered", "dark"}


@pytest.mark.parametrize(
    ("show", "state", "causes"),
    [
        (Show(covered=True), "covered", ["fault"]),
        (Show(moved=True), "moved", ["fault"]),
        (Show(dark=True), "dark", []),
    ],
)
def test_dark_covered_and_moved_are_told_apart_and_pass(
    stand: Stand, show: Show, state: str, causes: list[str]
) -> None:
    assert stand.watch(5, lambda _s: show) == {state}
    assert stand.causes == causes
    assert stand.watch(5) == {state}  # for a moment still
    assert not getattr(stand.last, state)


def test_a_fault_of_a_second_is_none(stand: Stand) -> None:
    for show in (Show(covered=True), Show(moved=True), Show(dark=True)):
        assert stand.watch(1, lambda _s, show=show: show) == set()  # type: ignore[misc]
        assert stand.watch(3) == set()


def test_a_camera_that_stays_moved_has_a_new_scene_after_a_while(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "RELEARN_S", 15.0)
    assert "moved" in stand.watch(25, lambda _s: Show(moved=True))
    assert not stand.last.moved
    assert stand.watch(16, lambda s: Show(moved=True, figures=walk(s).figures)) >= {"motion"}


def test_a_picture_that_is_shown_again_and_again_is_frozen_until_it_changes(stand: Stand) -> None:
    shown = picture.shrink(stand.hall.picture(STARTED))
    verdicts = [stand.judge.step(shown, stand.now_s + n, STARTED) for n in range(10)]
    assert [verdict.frozen for verdict in verdicts] == [False] * 5 + [True] * 5
    stand.now_s += 10
    assert stand.watch(1) == set()


def test_light_that_comes_slowly_or_by_a_third_at_once_moves_nothing() -> None:
    stand = Stand()
    stand.hall = Hall("CAM-1", 1)
    stand.watch(10)
    for gain in (1.0, 0.66, 1.0):
        for _ in range(50):
            at = STARTED + timedelta(seconds=stand.now_s)
            seen = np.clip(stand.hall.picture(at) * gain, 0, 255).astype(np.uint8)
            verdict = stand.judge.step(picture.shrink(seen), stand.now_s, at)
            stand.now_s += 1 / PER_S
            assert not any((verdict.motion, verdict.moved, verdict.covered))


def test_single_pictures_full_of_rubbish_are_passed_over(stand: Stand) -> None:
    chance = np.random.default_rng(1)
    for n in range(100):
        at = STARTED + timedelta(seconds=stand.now_s)
        grey = picture.shrink(stand.hall.picture(at))
        if n % 10 == 0:
            grey = chance.integers(0, 256, grey.shape, np.uint8)
        verdict = stand.judge.step(grey, stand.now_s, at)
        stand.now_s += 1 / PER_S
        assert verdict.begun == ()


def test_a_stream_that_changes_its_size_is_learnt_anew(stand: Stand) -> None:
    stand.hall = Hall("CAM-1", 1, (640, 480))
    assert stand.watch(20) == set()
    assert stand.watch(16, walk) >= {"motion"}


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (3000, 2, 3), (13, 17, 3), (2160, 3840, 3)])
def test_a_picture_of_any_shape_can_be_judged(shape: tuple[int, int, int]) -> None:
    judged = Judge(WATCH)
    for n in range(40):
        seen = np.full(shape, 40 + n, np.uint8)
        assert judged.step(picture.shrink(seen), n / PER_S, STARTED).begun in ((), ("motion",), ("fault",))


def test_a_still_fits_whatever_is_on_it() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    assert len(picture.still(noise, STILL_BYTES_MAX)) <= STILL_BYTES_MAX
    assert picture.still(Hall("CAM-1", 1).picture(STARTED), STILL_BYTES_MAX)[:2] == b"\xff\xd8"
