"""Profiles of ONVIF devices: which state of a door, which event or which ability a measure is."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StringConstraints, model_validator

from drivers.profile import Measure, Profile, twice
from rules.model.point import Kind

TRUTH = {"true": Decimal(1), "false": Decimal(0), "1": Decimal(1), "0": Decimal(0)}
ACCESS_S_MAX = 600
DoorItem = Literal[
    "DoorPhysicalState", "LockPhysicalState", "DoubleLockPhysicalState", "Alarm", "Tamper", "Fault", "DoorMode"
]
DoorAct = Literal[
    "AccessDoor", "LockDoor", "UnlockDoor", "BlockDoor", "DoubleLockDoor", "LockDownDoor", "LockDownReleaseDoor",
    "LockOpenDoor", "LockOpenReleaseDoor",
]  # fmt: skip
Word = Annotated[str, StringConstraints(min_length=1, max_length=120)]


class OnvifMeasure(Measure):
    """A measure and where it comes from.

    ``clock`` is how far the device's clock is ahead of the gateway's.  ``event`` is the last ``item`` of a ``topic``
    (without prefixes), of the source items in ``where`` if that is given; when it becomes 1 a still is taken if
    ``still`` names its cause.  ``door`` is an ``item`` of the door's state.  ``snapshot`` takes a still when it is set
    to 1.  ``values`` gives the number of each word; ``writes`` the operation of each number, for a door.
    """

    origin: Annotated[Literal["clock", "event", "door", "snapshot"], Field(alias="from")]
    topic: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_]+(/[A-Za-z0-9_]+)*)?$", max_length=200)] = ""
    item: Annotated[str, StringConstraints(max_length=80)] = ""
    where: Mapping[Word, Word] = Field(default_factory=dict)
    values: Mapping[Word, Decimal] = Field(default_factory=lambda: dict(TRUTH))
    writes: Mapping[Word, DoorAct] = Field(default_factory=dict)
    access_s: Annotated[int, Field(ge=1, le=ACCESS_S_MAX)] | None = None  # of AccessDoor; None: the door's own
    still: Literal["motion", "line", "zone", "fault"] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        items = get_args(DoorItem)
        problems = {
            "comes from an event and needs topic and item": self.origin == "event" and not (self.topic and self.item),
            f"comes from a door and needs an item of {', '.join(items)}":
                self.origin == "door" and self.item not in items,
            "can only be written at a door": bool(self.writes) and self.origin != "door",
            "writes numbers only": not all(word.isdecimal() for word in self.writes),
            "takes a still only at an event": self.still is not None and self.origin != "event",
            "is a state": self.origin != "clock" and self.kind is not Kind.STATE,
            "counts, which nothing of ONVIF does": self.kind is Kind.COUNTER,
        }  # fmt: skip
        for problem, found in problems.items():
            if found:
                raise ValueError(f"measure '{self.name}' {problem}")
        return self


class OnvifProfile(Profile):
    """One model of device."""

    protocol: Literal["onvif"]
    measure: Annotated[tuple[OnvifMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[OnvifMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        return self
