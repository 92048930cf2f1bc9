"""What every driver offers, whatever its protocol: points in, readings out."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from drivers.profile import Profile
from rules.model.event import Event
from rules.model.point import Point
from rules.model.poll import Poll
from rules.model.reading import Reading
from rules.model.watch import Watch


@dataclass(frozen=True, slots=True)
class Asked:
    """One point, the measure of the profile that it comes from, and what turns the measure's unit into the point's."""

    point: Point
    measure: str
    factor: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Device:
    """One device on a line and the points that are wanted of it; ``address`` is as its protocol writes it.

    ``watch`` is what a camera looks out for, its schedules in the time of ``timezone``.
    """

    code: str
    address: str
    profile: Profile
    points: tuple[Asked, ...]
    watch: Watch | None = None
    timezone: str = "UTC"
    serial: str = ""  # as the site file has it; '' where it does not say


class Station(Protocol):
    """A device as its line reaches it; it remembers what the device has taught us (holes, limits, subscriptions)."""

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading of the device, in words ('holding 0..9')."""

    async def read(self) -> list[Reading]:
        """Give at least one reading for every point, in the order of the points and for each in order of time.

        Several readings of a point are what the device has told by itself meanwhile.  What the device refuses or
        garbles for some points becomes readings of bad quality with the reason; raises UnreachableError when the
        device does not answer at all.
        """

    async def write(self, measure: str, value: float) -> Reading:
        """Set a measure, in its point's unit, and read it back.

        Raises UnreachableError, RefusedError, MalformedError (the answer cannot be used: it may have been done) or
        MisconfiguredError (there is no such measure or it cannot be written).
        """


@runtime_checkable
class Columnar(Protocol):
    """A station that can give a whole poll in columns, which is faster where most points say what they said before."""

    async def poll(self) -> Poll:
        """Give what ``read`` gives."""


@runtime_checkable
class Releasing(Protocol):
    """A station whose devices hold what they are told at a priority, and can be let go of it (BACnet)."""

    async def release(self, measure: str) -> Reading:
        """Let go of what ``write`` has set, so that the device's own control holds again; raises as ``write`` does."""


@runtime_checkable
class Named(Protocol):
    """A station whose device says what it is."""

    async def nameplate(self) -> Mapping[str, str]:
        """Give maker, model, serial and firmware, those that the device tells; raises UnreachableError."""


@runtime_checkable
class Telling(Protocol):
    """A station whose device tells more than readings: badges at a door, stills of a camera."""

    def take_events(self) -> list[Event]:
        """Give what has happened since this was last asked, oldest first; the oldest go when they are too many."""


@runtime_checkable
class Cautioning(Protocol):
    """A driver that knows of what will need somebody's hands soon: a certificate that ends (OPC UA)."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Give one sentence for each, as far as it is known from the last connection."""


@runtime_checkable
class Parallel(Protocol):
    """A line whose devices share no wire, so that several may be asked at the same time (BACnet/IP)."""

    together: int  # at most so many


class Driver(Protocol):
    """One line to some devices.  It queues: one question at a time where the line is shared, however many ask.

    Nothing connects before it has to; a lost connection is made anew by the next question.  All raise
    ``drivers.errors`` only, and no task, thread or socket is left after ``close``.
    """

    def station(self, device: Device) -> Station:
        """Give a device on this line; raises MisconfiguredError for a profile of another protocol."""

    async def close(self) -> None:
        """Let go of the line; may be called at any time and twice."""
