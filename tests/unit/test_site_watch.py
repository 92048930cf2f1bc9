"""What a camera looks out for, as a site file says it."""

import tomllib
from datetime import datetime

import pytest
from pydantic import ValidationError

from rules.model.site import InvalidSiteError, parse
from rules.model.watch import Watch, Window
from tests.field import device_text, site_text

CAMERA = """
[[line]]
code = "C1"
gateway = "GW-1"
driver = "camera"
url = "rtsp://10.0.0.9/stream1"
poll_s = 1
[[device]]
code = "CAM-1"
name_zh = "大厅"
name_en = "Hall"
line = "C1"
profile = "rtsp-camera"
role = "plant"
space = "A"
"""


def problems(watch: str) -> list[str]:
    with pytest.raises(InvalidSiteError) as caught:
        parse(tomllib.loads(site_text(502, CAMERA + "[device.watch]\n" + watch)))
    return caught.value.problems


def test_a_watch_is_read_with_its_zones_lines_and_schedules() -> None:
    text = """
    least_size = 0.01
    intrusion = [{polygon = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], schedule = [{start = "22:00", end = 06:00:00}]}]
    crossing = [{start = [0.5, 0], end = [0.5, 1], direction = "left"}]
    """
    watch = parse(tomllib.loads(site_text(502, CAMERA + "[device.watch]" + text))).device[0].watch
    assert watch is not None
    assert (watch.least_size, watch.crossing[0].direction) == (0.01, "left")
    assert watch.intrusion[0].matters(datetime(2026, 3, 2, 23))  # noqa: DTZ001  # site time


SENTENCES = {
    "intrusion = [{polygon = [[0, 0], [1, 1], [1, 0], [0, 1]]}]": "edges 1 and 3 of the polygon cross; give its",
    "intrusion = [{polygon = [[0, 0], [1, 0], [1, 1.2]]}]": "(1, 1.2) lies outside the picture",
    "intrusion = [{polygon = [[0, 0], [1, 0]]}]": "at least 3 items",
    "intrusion = [{polygon = [[0, 0], [1, 0], [1, 1], [0, 0]]}]": "stands twice; the last one need not",
    "intrusion = [{polygon = [[0, 0], [0.01, 0], [0, 0.01]]}]": "less than 0.1% of the picture; draw it larger",
    "intrusion = [{polygon = [[0, 0], [nan, 0], [0, 1]]}]": "outside the picture",
    "crossing = [{start = [0.5, 0.5], end = [0.51, 0.5]}]": "shorter than 2% of the picture; move its ends apart",
    'crossing = [{start = [0, 0], end = [1, 1], direction = "up"}]': "'both', 'left' or 'right'",
    'crossing = [{start = [0, 0], end = [1, 1], schedule = [{start = "08:00", end = "08:00"}]}]': "leave the schedule",
    'crossing = [{start = [0, 0], end = [1, 1], schedule = [{start = "25:00", end = "08:00"}]}]': "hour",
    "least_size = 0.9": "less than or equal to 0.5",
    "clip_days = 400": "less than or equal to 90",
    "polygons = []": "is not a known key",
}


@pytest.mark.parametrize("text", SENTENCES)
def test_a_watch_that_cannot_be_used_is_refused_with_its_place(text: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("device 'CAM-1' watch ")
    assert SENTENCES[text] in problem


def test_only_a_camera_is_watched() -> None:
    text = site_text(502, device_text("EM-1", 1, more="[device.watch]\nfrozen_s = 10"))
    with pytest.raises(InvalidSiteError, match="device 'EM-1' has a watch, but line 'L1' is no camera"):
        parse(tomllib.loads(text))


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-03-06T21:59:59", False),  # a Friday
        ("2026-03-06T22:00:00", True),
        ("2026-03-07T05:59:59", True),  # still Friday's window
        ("2026-03-07T06:00:00", False),
        ("2026-03-07T23:00:00", False),
        ("2026-03-06T03:00:00", False),  # would be Thursday's
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_on_which_it_begins(moment: str, inside: bool) -> None:
    window = Window.model_validate({"days": ["fri"], "start": "22:00", "end": "06:00"})
    assert window.has(datetime.fromisoformat(moment)) is inside


def test_a_window_of_no_length_or_with_a_zone_is_refused() -> None:
    for times in ({"start": "08:00", "end": "08:00"}, {"start": "08:00Z", "end": "09:00"}):
        with pytest.raises(ValidationError):
            Window.model_validate(times)


def test_without_a_schedule_it_always_matters() -> None:
    crossing = Watch.model_validate({"crossing": [{"start": [0, 0], "end": [1, 1]}]}).crossing[0]
    assert crossing.matters(datetime(2026, 3, 2, 3))  # noqa: DTZ001  # site time
