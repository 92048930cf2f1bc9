"""Rows of the platform's own health."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Mark:
    """What was done or measured last: ``kind`` is job, backup or state.

    ``took_s`` is of the last success, ``failures`` counts since then; ``value`` is what was measured.
    """

    kind: str
    name: str
    tried_at: datetime
    succeeded_at: datetime | None
    took_s: float
    failures: int
    said: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One organisation of this hub."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Measured:
    """What waits and how much there is; None: there is nothing to measure."""

    rollups_dirty: int  # marks of hours whose rollup is out of date, up to DIRTY_COUNTED
    rollups_late_s: float | None  # since the end of the oldest such hour
    quarantined_hour: int  # rows of the last hour
    quarantined: int  # rows there are, about
    database_bytes: int
    replica_behind_s: float | None


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """One gateway as the hub last heard it."""

    site: str
    gateway: str
    online: bool
    seen_at: datetime | None
    skew_ms: int
    depth: int
    spool_percent: int
    dropped: int
    rival: bool
    certificate_ends_at: datetime | None
