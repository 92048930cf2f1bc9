"""Lines and polygons in a picture.  A place is (x, y) in shares of its width and height, from the top left corner."""

from collections.abc import Sequence

Place = tuple[float, float]


def turn(start: Place, end: Place, place: Place) -> float:
    """Say on which side of a line a place lies: above 0 to the right of somebody who looks from start to end."""
    return (end[0] - start[0]) * (place[1] - start[1]) - (end[1] - start[1]) * (place[0] - start[0])


def meet(start: Place, end: Place, other_start: Place, other_end: Place) -> bool:
    """Whether two segments have a place in common."""
    sides = (
        turn(start, end, other_start), turn(start, end, other_end),
        turn(other_start, other_end, start), turn(other_start, other_end, end),
    )  # fmt: skip
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    touching = ((start, end, other_start), (start, end, other_end), (other_start, other_end, start))
    ends = (*touching, (other_start, other_end, end))
    return any(side == 0 and _between(*three) for side, three in zip(sides, ends, strict=True))


def _between(start: Place, end: Place, place: Place) -> bool:
    return all(min(start[n], end[n]) <= place[n] <= max(start[n], end[n]) for n in (0, 1))


def crossed(start: Place, end: Place, before: Place, after: Place) -> str:
    """Say how a step from before to after crosses a segment: 'right', 'left', or '' where it does not.

    The line itself belongs to its left, so that who steps on it and back has crossed it once each way.
    """
    there, here = turn(start, end, before) > 0, turn(start, end, after) > 0
    if there == here or not meet(start, end, before, after):
        return ""
    return "right" if here else "left"


def within(polygon: Sequence[Place], place: Place) -> bool:
    """Whether a place lies in a polygon (even-odd rule); the border belongs to it."""
    inside = False
    for start, end in _edges(polygon):
        if turn(start, end, place) == 0 and _between(start, end, place):
            return True
        if (start[1] > place[1]) != (end[1] > place[1]):
            share = (place[1] - start[1]) / (end[1] - start[1])
            inside ^= place[0] < start[0] + share * (end[0] - start[0])
    return inside


def area(polygon: Sequence[Place]) -> float:
    """Give the share of the picture that a polygon takes (shoelace formula)."""
    return abs(sum(start[0] * end[1] - end[0] * start[1] for start, end in _edges(polygon))) / 2


def crosses_itself(polygon: Sequence[Place]) -> tuple[int, int] | None:
    """Give the first two edges (from 1) that meet without being neighbours; None for a simple polygon."""
    edges = _edges(polygon)
    for n, first in enumerate(edges):
        for m, second in enumerate(edges[n + 1 :], n + 1):
            neighbours = m == n + 1 or (n == 0 and m == len(edges) - 1)
            if not neighbours and meet(*first, *second):
                return n + 1, m + 1
    return None


def _edges(polygon: Sequence[Place]) -> list[tuple[Place, Place]]:
    return list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
