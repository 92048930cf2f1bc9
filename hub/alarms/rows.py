"""Rows of the alarms slice."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from rules.detect.alarm import Phase, State, Turn


@dataclass(frozen=True, slots=True)
class Change:
    """A reading that has just become the latest of its point."""

    point_id: int
    device_id: UUID
    measure: str
    at: datetime
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class Turned:
    """An alarm was raised or cleared."""

    alarm_id: UUID
    device_id: UUID
    rule: str
    rule_version: int
    turn: Turn
    at: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """A device that is judged."""

    device_id: UUID
    site_id: UUID
    profile: str
    role: str
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        """The time in which the device lives."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Measured:
    """A point that a rule may read."""

    device_id: UUID
    point_id: int
    measure: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The latest reading of a point."""

    point_id: int
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands on a device, as it is kept."""

    device_id: UUID
    rule: str
    phase: str
    since: datetime
    truth: bool | None
    alarm_id: UUID | None

    @property
    def state(self) -> State:
        """The state of the machine."""
        return State(Phase(self.phase), self.since, blind=self.truth is None)


@dataclass(frozen=True, slots=True)
class Silence:
    """A device whose silence has to be judged anew, with its last good reading."""

    device_id: UUID
    good_at: datetime


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm, as screens show it."""

    id: UUID
    site_id: UUID
    device_id: UUID
    device: str
    device_name_zh: str
    device_name_en: str
    space: str
    point_id: int | None
    point: str | None
    unit: str | None
    rule: str
    rule_version: int
    priority: Literal["critical", "high", "medium", "low"]
    name_zh: str
    name_en: str
    value: float | None
    threshold: float | None
    condition_began_at: datetime
    raised_at: datetime
    cleared_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    comment: str

    @property
    def standing(self) -> bool:
        """Whether the condition has not cleared yet."""
        return self.cleared_at is None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an alarm's journal."""

    at: datetime
    event: Literal["raised", "cleared", "acknowledged"]
    actor: str
    note: str
