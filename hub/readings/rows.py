"""Rows of the readings slice."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from rules.model.quality import Quality


@dataclass(frozen=True, slots=True)
class Point:
    """One point with the names that a screen shows."""

    id: int
    site_id: UUID
    device_id: UUID
    code: str
    measure: str
    kind: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None
    device: str
    device_name_zh: str
    device_name_en: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One stored reading; ``value`` None: there is none."""

    at: datetime
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One step of a chart: readings from ``at`` on, good ones only; every value None where there is none."""

    at: datetime
    n: int
    min: float | None
    max: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest reading of a point; ``at`` is None for one that has never been read."""

    point_id: int
    point: str
    measure: str
    kind: str
    unit: str
    resolution: Decimal
    device_id: UUID
    device: str
    device_name_zh: str
    device_name_en: str
    space: str
    at: datetime | None
    value: float | None
    quality: int | None

    def age_s(self, now: datetime) -> float | None:
        """Seconds since it was measured."""
        return None if self.at is None else (now - self.at).total_seconds()


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of a period a point has: hours with at least one good reading, of all hours."""

    point_id: int
    point: str
    hours_good: int
    hours: int
    readings: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Exported:
    """One line of ``plantroom readings``."""

    point: str
    at: datetime
    value: float | None
    unit: str
    quality: str

    @classmethod
    def of(cls, point: Point, measured: Measured) -> "Exported":
        """Give the line of a reading."""
        return cls(point.code, measured.at, measured.value, point.unit, Quality(measured.quality).name.lower())


@dataclass(frozen=True, slots=True)
class SiteName:
    """A site and the zone of its days."""

    id: UUID
    code: str
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        """The time in which its days run."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Rolled:
    """An hour (UTC) or a day (of the site): ``n`` readings, ``good_n`` of them good, of which all else is.

    For ``covered_s`` of its ``step_s`` seconds a good reading speaks (rules/meter/rollup.py); ``time_mean`` is the mean
    over these, ``mean`` that of the readings.
    """

    at: datetime
    n: int
    good_n: int
    min: float | None
    max: float | None
    mean: float | None
    first: float | None
    last: float | None
    covered_s: float
    step_s: float
    time_mean: float | None


@dataclass(frozen=True, slots=True)
class RawColumns:
    """Readings by column, oldest first: seconds since 1970, values (None: none, or not good); None: there are none."""

    at: list[float] | None
    value: list[float | None] | None


@dataclass(frozen=True, slots=True)
class RolledColumns:
    """Hours or days by column, oldest first, those with good readings only; None: there are none."""

    at: list[float] | None
    n: list[int] | None
    sum: list[float] | None
    covered_s: list[float] | None
    integral: list[float] | None
    min: list[float] | None
    max: list[float] | None
    last: list[float] | None


@dataclass(frozen=True, slots=True)
class LatestOf:
    """The latest reading of a point, with where it stands; ``at`` None: it has never been read."""

    point: str
    measure: str
    kind: str
    unit: str
    site: str
    device: str
    space: str
    at: datetime | None
    value: float | None
    quality: int | None


@dataclass(frozen=True, slots=True)
class CounterPoint:
    """How the face of a counter is read."""

    point_id: int
    point: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None


@dataclass(frozen=True, slots=True)
class DayFaces:
    """The first and the last good reading of a counter on a local day, and how often its face fell."""

    point_id: int
    day: date
    starts_at: datetime
    ends_at: datetime
    first: float
    first_at: datetime
    last: float
    last_at: datetime
    falls: int


@dataclass(frozen=True, slots=True)
class GoodReading:
    """A good reading of one of many points."""

    point_id: int
    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """How much of a day the points of a device know; ``place`` counts the days asked for from 1."""

    device_id: UUID
    device: str
    name_zh: str
    name_en: str
    gateway: str
    place: int
    points: int
    expected_s: float
    covered_s: float
    late_s: float
    readings: int
    bad: int


@dataclass(frozen=True, slots=True)
class PointShare:
    """How much of some days a point knows, ``since`` its first reading; ``late_s`` of it was filled in afterwards."""

    point_id: int
    point: str
    measure: str
    device: str
    gateway: str
    since: datetime
    expected_s: float
    covered_s: float
    late_s: float
    readings: int
    bad: int


@dataclass(frozen=True, slots=True)
class PointHour:
    """How much of a UTC hour a point knows."""

    point_id: int
    bucket: datetime
    covered_s: float
    late_s: float
    n: int
    bad: int


@dataclass(frozen=True, slots=True)
class GapRow:
    """A stretch without a good reading."""

    point_id: int
    start_at: datetime
    end_at: datetime
    open: bool
    expected_s: float
    missing_s: float
    recovered_at: datetime | None
    bad: int
