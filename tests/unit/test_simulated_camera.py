"""A simulated camera's pictures: the same each time, and marked as what they are."""

import io
from datetime import UTC, datetime

from PIL import Image

from simulators.camera import SIZE, still

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)


def test_the_same_moment_looks_the_same_and_another_does_not() -> None:
    one = still("CAM-A-1", 7, AT, 2)
    assert one == still("CAM-A-1", 7, AT, 2)
    assert one != still("CAM-A-1", 7, AT.replace(hour=5), 2)
    assert one != still("CAM-A-1", 8, AT, 2)


def test_every_picture_says_that_it_is_simulated_in_a_black_head() -> None:
    with Image.open(io.BytesIO(still("CAM-A-1", 7, AT, 1))) as opened:
        assert opened.size == SIZE
        shades = set(opened.crop((0, 0, SIZE[0], 40)).convert("L").tobytes())
    assert (min(shades) < 20, max(shades) > 230) == (True, True)  # white letters on black
