"""What a message from a gateway asks the hub to do, with everything needed to do it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import isnan, nan
from typing import NamedTuple

from hub.surveillance.stills import Developed
from rules.control.command import Answer
from rules.model.event import Event
from rules.model.point import Kind
from rules.wire import configuration
from rules.wire.sparkplug import EPOCH, millis

HEAD_BYTES = 512  # how much of a refused payload is kept for the engineer


class Address(NamedTuple):
    """Where a gateway stands on the wire."""

    site: str
    gateway: str


class Fault(StrEnum):
    """Why something was put into quarantine; rows are rationed per kind."""

    PAYLOAD = "payload"
    TOPIC = "topic"
    TIME = "time"
    CLOCK = "clock"
    ALIAS = "alias"
    VALUE = "value"
    BIRTH = "birth"
    UNIT = "unit"
    UNKNOWN_GATEWAY = "unknown gateway"
    UNKNOWN_DEVICE = "unknown device"
    RIVAL = "rival"
    LOST = "lost"
    STORE = "store"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Speaker:
    """One edge: its address and its spool ('' for an edge of another maker, which numbers nothing).

    ``forgotten`` is the highest number that its spool can no longer send (0: none, or it did not say); ``before`` the
    damaged spool that it was saved from.
    """

    address: Address
    spool: str = ""
    forgotten: int = 0
    before: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """How a birth describes one point; not ``declared``: it says nothing but the name.

    ``wire_type`` is the Sparkplug data type, for data that comes without one.
    """

    measure: str
    kind: Kind
    unit: str
    resolution: Decimal
    modulus: Decimal | None
    declared: bool
    wire_type: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Birth:
    """What a device declared: ``names`` by alias, ``specs`` of what can be stored, by name.

    ``measures`` are the names by alias of what can be stored.
    """

    device: str
    names: Mapping[int, str]
    specs: Mapping[str, Spec]
    measures: Mapping[int, str] = field(init=False)

    def __post_init__(self) -> None:
        measures = {alias: name for alias, name in self.names.items() if name in self.specs}
        object.__setattr__(self, "measures", measures)


class Sample(NamedTuple):
    """One reading as it arrived; ``value`` is None exactly when there is none."""

    measure: str
    at: datetime
    value: float | None
    quality: int
    historical: bool


@dataclass(slots=True)
class Samples:
    """Readings as they arrived, by column: times in ms since 1970, values with nan where there is none."""

    measures: list[str] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    qualities: list[int] = field(default_factory=list)
    historical: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.measures)

    def add(self, sample: Sample) -> None:
        """Take in one more."""
        self.measures.append(sample.measure)
        self.at_ms.append(millis(sample.at))
        self.values.append(nan if sample.value is None else sample.value)
        self.qualities.append(sample.quality)
        self.historical.append(sample.historical)

    def only(self, which: Sequence[bool]) -> "Samples":
        """Give some of them."""
        columns = (self.measures, self.at_ms, self.values, self.qualities, self.historical)
        return Samples(*([one for one, kept in zip(c, which, strict=True) if kept] for c in columns))  # type: ignore[arg-type]  # each keeps its type

    def rows(self) -> tuple[Sample, ...]:
        """Give them one by one."""
        columns = zip(self.measures, self.at_ms, self.values, self.qualities, self.historical, strict=True)
        return tuple(
            Sample(measure, EPOCH + timedelta(milliseconds=ms), None if isnan(value) else value, quality, late)
            for measure, ms, value, quality, late in columns
        )


@dataclass(frozen=True, slots=True)
class GatewayBorn:
    """A gateway introduced itself; ``version`` is its program's, '' for one that does not say."""

    speaker: Speaker
    version: str = ""


@dataclass(frozen=True, slots=True)
class GatewayDied:
    """The broker reports the end of a gateway's connection."""

    speaker: Speaker


@dataclass(frozen=True, slots=True)
class DeviceBorn:
    """A device answers and has declared its points."""

    speaker: Speaker
    birth: Birth


@dataclass(frozen=True, slots=True)
class DeviceDied:
    """A device no longer answers its gateway."""

    speaker: Speaker
    device: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway says of itself; None: not this time.  ``skew_ms`` is its clock ahead of the hub's, as measured."""

    speaker: Speaker
    depth: int | None
    clock_step_ms: int | None
    percent: int | None = None
    dropped: int | None = None
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RenewalAsked:
    """A gateway asks for another certificate: ``request`` and the one ``held`` are PEM, ``proof`` is hexadecimal."""

    speaker: Speaker
    request: str
    held: str
    proof: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A gateway says what became of commands."""

    speaker: Speaker
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a door or a camera, with its picture as it is kept."""

    event: Event
    picture: Developed | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationTold:
    """A gateway says by which site file it goes."""

    speaker: Speaker
    told: configuration.Told


@dataclass(frozen=True, slots=True)
class Frame:
    """Readings and events of one device that are stored and acknowledged together.

    ``number`` None: nobody waits for that; the edge is of another maker, or it is a preview of what comes in its order.
    """

    speaker: Speaker
    birth: Birth
    number: int | None
    samples: Samples
    topic: str
    faults: tuple[tuple[Fault, str], ...] = ()
    head: bytes = b""
    told: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that cannot be used, with one sentence why."""

    address: Address | None
    topic: str
    fault: Fault
    sentence: str
    head: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """The hub does not know enough of a gateway: it must send all its births again."""

    address: Address


Act = (
    GatewayBorn
    | GatewayDied
    | DeviceBorn
    | DeviceDied
    | Report
    | RenewalAsked
    | Answered
    | ConfigurationTold
    | Frame
    | Rejected
    | Ask
)
