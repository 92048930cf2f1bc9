"""Bodies that stand out in a picture, and their way from picture to picture.  Nobody is recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import cv2

from drivers.camera.background import Mask
from rules.model.outline import Place

BODIES_MAX = 32  # the largest; more is rain
STRIDE_MAX = 0.2  # of the picture's side, between two pictures
OLD = 3  # pictures after which a body has a way
FORGET_S = 1.0


@dataclass(frozen=True, slots=True)
class Body:
    """Something that stands out: its middle, where it stands, and its share of the picture."""

    middle: Place
    foot: Place
    size: float


@dataclass(slots=True)
class _Way:
    place: Place
    settled: Place  # where it was when its last step was told
    seen_s: float
    pictures: int = 1


def bodies(mask: Mask, least_size: float) -> list[Body]:
    """Give what is at least ``least_size`` (share of the picture) large, largest first."""
    rows, columns = mask.shape
    count, _labels, boxes, middles = cv2.connectedComponentsWithStats(mask)
    found = []
    for n in range(1, count):  # 0 is what lies between
        left, top, wide, high, pixels = (int(number) for number in boxes[n])
        if pixels >= least_size * rows * columns:
            middle = (float(middles[n][0]) + 0.5) / columns, (float(middles[n][1]) + 0.5) / rows
            found.append(Body(middle, ((left + wide / 2) / columns, (top + high) / rows), pixels / (rows * columns)))
    return sorted(found, key=lambda body: -body.size)[:BODIES_MAX]


class Ways:
    """The ways of all bodies in sight."""

    def __init__(self) -> None:
        self._ways: list[_Way] = []

    def step(self, seen: Sequence[Body], at_s: float) -> list[tuple[Place, Place]]:
        """Take the next picture in; gives from where to where each body went that has been in sight for a while."""
        self._ways = [way for way in self._ways if at_s - way.seen_s <= FORGET_S]
        free = list(self._ways)
        steps = []
        for body in seen:
            way = min(free, key=lambda way: _far(way.place, body.middle), default=None)
            if way is None or _far(way.place, body.middle) > STRIDE_MAX:
                self._ways.append(_Way(body.middle, body.middle, at_s))
                continue
            free.remove(way)
            way.place, way.seen_s, way.pictures = body.middle, at_s, way.pictures + 1
            if way.pictures >= OLD:
                steps.append((way.settled, way.place))
                way.settled = way.place
        return steps


def _far(place: Place, other: Place) -> float:
    return hypot(place[0] - other[0], place[1] - other[1])
