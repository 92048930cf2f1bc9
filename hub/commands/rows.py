"""Rows of the commands."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be set from the centre, in the point's unit; ``gives_back``: also let go of (value None)."""

    point: str
    site_id: UUID
    building_id: UUID
    device_id: UUID
    measure: str
    unit: str
    low: float
    high: float
    every_s: float
    critical: bool
    gives_back: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to set: under an id of his own, to a value in the point's unit (None: give it back)."""

    id: UUID
    point: str
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it stands.

    ``state``: asked (a second person has to agree), given, sent, and at last done, refused, failed, uncertain or
    expired.  ``answer`` is why not; ``shown`` what the point read afterwards, in its unit.
    """

    id: UUID
    point: str
    unit: str
    resolution: Decimal | None
    value: float | None
    reason: str
    critical: bool
    given_by: str
    asked_at: datetime
    approval: int | None
    approval_state: str | None
    seconded_by: str | None
    issued_at: datetime | None
    expires_at: datetime | None
    state: str
    answered_at: datetime | None
    shown: float | None
    answer: str


@dataclass(frozen=True, slots=True)
class Due:
    """A command that is to be sent now, with where it goes."""

    id: UUID
    site: str
    gateway: str
    device: str
    measure: str
    value: float | None
    given_by: str
    seconded: bool
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A command that nobody answered in time."""

    id: UUID
    state: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A command that its gateway has just answered, and whose it is."""

    id: UUID
    organisation_id: UUID
