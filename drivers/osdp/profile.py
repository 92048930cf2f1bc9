"""Profiles of OSDP readers and door units: which input, output or state a measure is, and how their door behaves."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.profile import Measure, Part, Profile, twice
from rules.model.point import Kind

NUMBER_MAX = 31  # inputs and outputs of one device are counted from 0
COLOURS = 7  # black, red, green, amber, blue, magenta, cyan, white: 0 to 7
MOMENTARY_S_MAX = 600.0
SETTABLE = ("output", "led", "buzzer")


class OsdpMeasure(Measure):
    """A measure and where it comes from.

    ``tamper`` and ``power`` are the device's own two states; ``forced`` and ``held`` are judged at the door of the
    profile.  An input that is 1 when the door is closed is ``inverted``.  An output that is set to 1 falls back after
    ``momentary_s``; 0 leaves it on.  An ``led`` is the colour that the gateway has set, from 0 (none) to 7; a
    ``buzzer`` is set to 1 for a beep.
    """

    origin: Annotated[
        Literal["input", "output", "tamper", "power", "forced", "held", "led", "buzzer"], Field(alias="from")
    ]
    number: Annotated[int, Field(ge=0, le=NUMBER_MAX)] = 0
    inverted: bool = False
    momentary_s: Annotated[float, Field(ge=0, le=MOMENTARY_S_MAX)] = 0.0

    @property
    def most(self) -> int:
        """The highest number that it can be set to."""
        return COLOURS if self.origin == "led" else 1

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind is not Kind.STATE:
            raise ValueError(f"measure '{self.name}' is a state, as all of a reader is")
        if self.momentary_s and self.origin != "output":
            raise ValueError(f"measure '{self.name}' falls back by itself, which only an output does")
        return self


class Door(Part):
    """The door of a reader: which measures are its contact, its lock (an output) and its request to exit."""

    contact: str
    lock: str
    exit: str | None = None
    held_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    grace_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    granted_s: Annotated[float, Field(gt=0, le=60)] = 3.0  # a card let somebody in if the lock was released so soon


class OsdpProfile(Profile):
    """One model of device.  ``install`` lets it take a new key over a channel that everybody can read: only once."""

    protocol: Literal["osdp"]
    install: bool = False
    door: Door | None = None
    measure: Annotated[tuple[OsdpMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[OsdpMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        origins = {measure.name: measure.origin for measure in self.measure}
        if self.door is None:
            if {"forced", "held"} & set(origins.values()):
                raise ValueError("forced and held are judged at a [door], which the profile does not have")
            return self
        for name, wanted in ((self.door.contact, "input"), (self.door.lock, "output"), (self.door.exit, "input")):
            if name is not None and origins.get(name) != wanted:
                raise ValueError(f"door: '{name}' is no measure from an {wanted}")
        return self
