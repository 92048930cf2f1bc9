"""Rows of the corrections."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum, auto
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hub.documents.picture import Picture
from rules.meter.series import Counter


class Kind(StrEnum):
    """What a correction does."""

    DISPUTE = auto()  # readings that are not to be believed: marked as bad
    REPLACE = auto()  # a reading that shall show something else
    ADD = auto()  # a reading where there was none
    EXCHANGE = auto()  # another meter, or its counter begins anew
    WITHDRAW = auto()  # a correction that shall no longer hold


@dataclass(frozen=True, slots=True)
class Target:
    """The point that is corrected; ``billed``: bills stand on it."""

    id: int
    code: str
    measure: str
    kind: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None
    device_id: UUID
    device: str
    device_name_zh: str
    device_name_en: str
    multiplier: Decimal
    site_id: UUID
    building_id: UUID | None
    timezone: str
    billed: bool

    @property
    def zone(self) -> ZoneInfo:
        """The time in which its site lives."""
        return ZoneInfo(self.timezone)

    @property
    def counter(self) -> Counter:
        """The meter as the register has it."""
        return Counter(self.resolution, self.modulus, self.multiplier)


@dataclass(frozen=True, slots=True)
class Swap:
    """A meter was exchanged or reset: what both faces showed, and the new meter."""

    final: Decimal
    initial: Decimal
    multiplier: Decimal  # CT/PT ratio of the new meter
    serial_before: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants corrected, under an id of his own.

    ``first_at`` to ``last_at`` (both included) are the moments; only disputes have more than one.
    """

    id: UUID
    kind: Kind
    point: str
    reason: str
    first_at: datetime
    last_at: datetime
    value: Decimal | None = None
    swap: Swap | None = None
    withdraws: int | None = None
    photo: Picture | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One moment: as it was measured, as it stands, as it shall stand; a quality of None: no reading."""

    at: datetime
    original_value: float | None
    original_quality: int | None
    before_value: float | None
    before_quality: int | None
    value: float | None
    quality: int | None


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice with a line that rests on the moments concerned; ``period_end`` is the first day after."""

    number: str
    period_start: date
    period_end: date
    quantity: Decimal
    unit: str
    estimated: bool


@dataclass(frozen=True, slots=True)
class StoredExchange:
    """The exchange that a correction records."""

    at: datetime
    final: Decimal
    resolution_before: Decimal
    modulus_before: Decimal | None
    multiplier_before: Decimal
    serial_before: str
    initial: Decimal
    resolution: Decimal
    modulus: Decimal | None
    multiplier: Decimal
    serial: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a wish comes to, before it is asked for: the one path of preview and deed."""

    target: Target
    lines: tuple[Line, ...]
    exchange: StoredExchange | None
    withdraws_id: UUID | None
    effect: tuple[dict[str, Any], ...]  # day, before, after, before_zh, after_zh: text
    bills: tuple[Bill, ...]

    @property
    def first_at(self) -> datetime:
        """The first moment concerned."""
        return self.exchange.at if self.exchange and not self.lines else self.lines[0].at

    @property
    def last_at(self) -> datetime:
        """The last moment concerned."""
        return self.exchange.at if self.exchange and not self.lines else self.lines[-1].at


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction as it stands; ``approval_state`` None: nobody else has to agree."""

    id: UUID
    number: int
    point_id: int
    point: str
    code_now: str
    unit: str
    resolution: Decimal
    device: str
    device_name_zh: str
    device_name_en: str
    site_id: UUID
    building_id: UUID | None
    kind: str
    withdraws: int | None
    withdrawn_by: int | None
    first_at: datetime
    last_at: datetime
    lines: int
    digest: str
    reason: str
    billing: bool
    bills: list[str]
    effect: list[dict[str, Any]]
    asked_by: str
    asked_at: datetime
    approval: int | None
    approval_state: str | None
    seconded_by: str | None
    state: str
    in_force_by: str | None
    in_force_at: datetime | None
    ended_at: datetime | None
    photo_sha256: str | None

    @property
    def stage(self) -> str:
        """Where it stands: proposed, approved, rejected, expired, dropped, in_force or withdrawn."""
        if self.state != "proposed" or self.approval_state is None:
            return self.state
        return {"open": "proposed", "withdrawn": "dropped", "superseded": "dropped", "used": "approved"}.get(
            self.approval_state, self.approval_state
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """One reading as the point's page shows it; ``correction`` is the number of the one that holds over it."""

    at: datetime
    value: float | None
    quality: int
    correction: int | None
    kind: str | None
    original_value: float | None
    original_quality: int | None


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture kept with a correction."""

    media_type: str
    picture: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Due:
    """A counter that wants reading by hand, with its last usable reading and an earlier one.

    ``waiting`` is the number of a correction that adds a reading and waits for approval.
    """

    point_id: int
    point: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None
    device: str
    device_name_zh: str
    device_name_en: str
    space: str
    last_at: datetime | None
    last_value: float | None
    earlier_at: datetime | None
    earlier_value: float | None
    waiting: int | None
