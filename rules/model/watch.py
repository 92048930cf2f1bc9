"""What a camera is to watch for: zones, lines and when they matter, as a site file has them (``[device.watch]``)."""

from collections.abc import Iterable
from datetime import datetime, time
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rules.model import outline
from rules.model.outline import Place
from rules.model.part import Part

ZONES_MAX = 8
CORNERS_MAX = 32
WINDOWS_MAX = 16
SMALLEST_ZONE = 0.001  # share of the picture: below it no foot ever stands in a zone
SHORTEST_LINE = 0.02  # share of the picture's side

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Window(Part):
    """A span of the day in site time, half-open; one that ends before it starts runs past midnight.

    ``days`` are those on which it begins.
    """

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = WEEK
    start: time
    end: time

    @model_validator(mode="after")
    def _a_span(self) -> Self:
        if self.start == self.end:
            raise ValueError("a window starts and ends at different times; leave the schedule out for the whole day")
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("the times of a window are those of the site; write them without a zone")
        return self

    def has(self, local: datetime) -> bool:
        """Whether a moment in site time lies in it."""
        today, yesterday = WEEK[local.weekday()], WEEK[local.weekday() - 1]
        clock = local.time()
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        return (today in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)


class _Scheduled(Part):
    schedule: Annotated[tuple[Window, ...], Field(max_length=WINDOWS_MAX)] = ()  # none: always

    def matters(self, local: datetime) -> bool:
        """Whether it is to be watched at a moment in site time."""
        return not self.schedule or any(window.has(local) for window in self.schedule)


class Intrusion(_Scheduled):
    """A part of the picture where nobody is to stand: a polygon of at least three corners."""

    polygon: Annotated[tuple[Place, ...], Field(min_length=3, max_length=CORNERS_MAX)]

    @model_validator(mode="after")
    def _a_zone(self) -> Self:
        _refuse_outside(self.polygon)
        if len(set(self.polygon)) < len(self.polygon):
            raise ValueError("a corner of the polygon stands twice; the last one need not repeat the first")
        if edges := outline.crosses_itself(self.polygon):
            raise ValueError(f"edges {edges[0]} and {edges[1]} of the polygon cross; give its corners in turn")
        if outline.area(self.polygon) < SMALLEST_ZONE:
            raise ValueError(f"the polygon takes less than {SMALLEST_ZONE:.1%} of the picture; draw it larger")
        return self


class Crossing(_Scheduled):
    """A line across the picture; ``direction`` is what counts, as somebody sees it who looks from start to end."""

    start: Place
    end: Place
    direction: Literal["both", "left", "right"] = "both"

    @model_validator(mode="after")
    def _a_line(self) -> Self:
        _refuse_outside((self.start, self.end))
        if max(abs(self.start[n] - self.end[n]) for n in (0, 1)) < SHORTEST_LINE:
            raise ValueError(f"the line is shorter than {SHORTEST_LINE:.0%} of the picture; move its ends apart")
        return self


class Watch(Part):
    """How one camera is watched.

    ``least_size`` is the smallest thing that counts, as a share of the picture's area; ``still_every_s`` passes at
    least between two stills of one cause; clips go when they are older or together larger than they may be.
    """

    least_size: Annotated[float, Field(ge=0.001, le=0.5)] = 0.005
    intrusion: Annotated[tuple[Intrusion, ...], Field(max_length=ZONES_MAX)] = ()
    crossing: Annotated[tuple[Crossing, ...], Field(max_length=ZONES_MAX)] = ()
    frozen_s: Annotated[float, Field(ge=2, le=3600)] = 30.0
    analyse_per_s: Annotated[float, Field(ge=1, le=10)] = 5.0
    still_every_s: Annotated[float, Field(ge=1, le=86400)] = 30.0
    clip_days: Annotated[int, Field(ge=1, le=90)] = 7
    clip_max_mb: Annotated[int, Field(ge=1, le=100_000)] = 200


def _refuse_outside(places: Iterable[Place]) -> None:
    for x, y in places:
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(
                f"({x:g}, {y:g}) lies outside the picture; write places as shares of its width and height, 0 to 1"
            )
