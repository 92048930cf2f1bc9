"""What is stored and how long it stays, at a glance."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hub.keeping import partitions, retention
from hub.keeping.retention import Group
from hub.store.database import Database
from rules.model.retention import Kept


@dataclass(frozen=True, slots=True)
class Stay:
    """A class of points: how many there are and how many of them bills rest on, which stay longer."""

    kept: Kept
    points: int
    bound: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The parts of the stored readings, their bytes with indexes, and how long what stays."""

    parts: int
    compacted: int
    bytes: int
    since: datetime | None
    until: datetime | None
    stays: tuple[Stay, ...]


async def overview(database: Database, now: datetime) -> Overview:
    """Look at all parts and points."""
    parts = await partitions.parts(database)
    return Overview(
        parts=len(parts),
        compacted=sum(part.compacted for part in parts),
        bytes=sum(part.bytes for part in parts),
        since=parts[0].starts_at if parts else None,
        until=parts[-1].ends_at if parts else None,
        stays=_stays(await retention.groups(database, now)),
    )


def _stays(groups: Iterable[Group]) -> tuple[Stay, ...]:
    found: dict[str, Stay] = {}
    for group in groups:
        before = found.get(group.kept.code, Stay(group.kept, 0, 0))
        bound = len(group.points) if group.bound else 0
        found[group.kept.code] = Stay(group.kept, before.points + len(group.points), before.bound + bound)
    return tuple(found[code] for code in sorted(found))
