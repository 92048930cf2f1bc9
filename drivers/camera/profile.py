"""Profiles of cameras: which of the things that are judged become points."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.profile import Measure, Profile, twice
from rules.model.point import Kind
from rules.model.watch import Watch


class Sight(StrEnum):
    """What can be told of a stream."""

    ONLINE = "online"  # pictures come
    RATE = "fps"
    FROZEN = "frozen"
    DARK = "dark"
    COVERED = "covered"
    MOVED = "moved"
    MOTION = "motion"
    LINE = "line"
    INTRUSION = "intrusion"


class CameraMeasure(Measure):
    """A measure and what it shows."""

    shows: Sight

    @model_validator(mode="after")
    def _state_or_rate(self) -> Self:
        wanted = Kind.GAUGE if self.shows is Sight.RATE else Kind.STATE
        if self.kind is not wanted:
            raise ValueError(f"measure '{self.name}' shows {self.shows} and is a {wanted}")
        return self


class CameraProfile(Profile):
    """One model of camera, or all that speak RTSP."""

    protocol: Literal["camera"]
    measure: Annotated[tuple[CameraMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[CameraMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    def wanted(self, watch: Watch | None) -> Sequence[CameraMeasure]:
        """Leave out the line and the zone of a camera for which none is drawn: nothing is not 'nobody there'."""
        drawn = {
            Sight.LINE: watch is not None and bool(watch.crossing),
            Sight.INTRUSION: watch is not None and bool(watch.intrusion),
        }
        return [measure for measure in self.measure if drawn.get(measure.shows, True)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        return self
