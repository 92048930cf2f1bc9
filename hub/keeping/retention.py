"""Remove readings and rollups that have outlived their period; every step is recorded with its count.

First whole parts, where nothing in them must stay: that costs next to nothing.  Then, in steps of about STEP_ROWS, the
readings of single points out of parts that stay, and rollups.  A part is looked at once all of it is old enough, so a
reading goes within about a week after its period.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.errors import LockNotAvailable

from hub.audit import service as audit
from hub.errors import UnavailableError
from hub.keeping import definitions, partitions
from hub.keeping.rows import Alike, Basis, Dropped, Organisation, Part, PointId
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from rules.model.point import Kind
from rules.model.retention import Ends, Kept, Retention, ends

SQL = queries(__package__)

ACTOR = Actor("plantroom/keeper")
STEP_ROWS = 100_000
STEP_POINTS = 50
STEPS_MAX = 500  # in one run; the rest waits for the next
CLOCKS_APART = timedelta(days=1)
EARLIEST_ZONE = ZoneInfo("Etc/GMT-14")  # days begin there first: nothing is cut off the first day of a bill

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """Points of an organisation that are kept alike; ``bound`` says that bills rest on them."""

    organisation_id: UUID
    kept: Kept
    ends: Ends
    bound: bool
    points: list[int]


@dataclass(slots=True)
class Removed:
    """What a run removed, in rows, and how many whole parts; ``left`` says that another run has more to do."""

    parts: int = 0
    readings: int = 0
    hours: int = 0
    days: int = 0
    steps: int = 0

    @property
    def left(self) -> bool:
        """Whether the run ended before it was done."""
        return self.steps >= STEPS_MAX


async def groups(database: Database, now: datetime) -> list[Group]:
    """Give all points of all organisations by how long they are kept."""
    rule = definitions.retention(now.date())
    async with database.transaction(None, ACTOR, Role.INGEST) as tx:
        organisations = await tx.all(Organisation, SQL["organisations"])
    found: list[Group] = []
    for organisation in organisations:
        async with database.transaction(organisation.id, ACTOR) as tx:
            alike = await tx.all(Alike, SQL["alike"])
            papers_since = (now - rule.papers_kept).date()
            basis = await tx.all(Basis, SQL["basis"], {"papers_since": papers_since})
        found.extend(_grouped(organisation.id, alike, basis, rule, now))
    return found


def _grouped(
    organisation: UUID, alike: Iterable[Alike], basis: Iterable[Basis], rule: Retention, now: datetime
) -> list[Group]:
    since = {row.site_id: row.since for row in basis}
    found: dict[tuple[str, Ends], Group] = {}
    for row in alike:
        kind, bound = Kind(row.kind), since.get(row.site_id)
        kept = rule.of(kind, row.unit)
        until = ends(kept, kind, bound, EARLIEST_ZONE, now)
        is_bound = kind is Kind.COUNTER and bound is not None
        group = found.setdefault((kept.code, until), Group(organisation, kept, until, is_bound, []))
        group.points.extend(row.ids)
    return list(found.values())


async def run(database: Database, now: datetime) -> Removed:
    """Remove what is due, as far as STEPS_MAX steps go; raises UnavailableError where two clocks do not agree."""
    removed = Removed()
    await _check_clock(database, now)
    kept = await groups(database, now)
    for part in await partitions.parts(database):
        gone = [group for group in kept if group.ends.raw >= part.ends_at]
        if not gone or removed.left:
            continue
        if not await _dropped(database, part, gone, removed):
            for group in gone:
                await _emptied(database, part, group, removed)
    for group in kept:
        removed.hours += await _rollups(database, group, "hourly", group.ends.hourly, removed)
        removed.days += await _rollups(database, group, "daily", group.ends.daily, removed)
    return removed


async def _check_clock(database: Database, now: datetime) -> None:
    """Refuse to remove anything by a clock that has run ahead: nothing brings it back."""
    async with database.transaction(None, ACTOR, Role.INGEST) as tx:
        theirs: datetime = await tx.value(SQL["clock"])
    if now > theirs + CLOCKS_APART:
        raise UnavailableError(
            f"The clock of this hub ({now:%Y-%m-%d %H:%M}) is ahead of the database's ({theirs:%Y-%m-%d %H:%M}); "
            "no reading is removed until they agree, set them right."
        )


async def _dropped(database: Database, part: Part, gone: list[Group], removed: Removed) -> bool:
    """Drop a part where nothing in it must stay, with a record for each organisation; whether it went."""
    async with database.transaction(None, ACTOR, Role.INGEST) as tx:
        await partitions.be_patient(tx)
        asked = {"part": part.part, "gone": [point for group in gone for point in group.points]}
        try:
            async with tx.connection.transaction():
                rows = await tx.all(Dropped, SQL["drop_part"], asked)
        except LockNotAvailable:
            log.info("%s is in use and is dropped later", part.part)
            return True  # nothing to empty either
        if any(row.organisation_id is None for row in rows):
            return False
        for row in rows:
            details = {"from": part.starts_at.isoformat(), "up_to": part.ends_at.isoformat(), "rows": row.n}
            await _record(tx, row.organisation_id, "samples", {**details, "whole": True})
    removed.parts += 1
    removed.readings += sum(row.n for row in rows)
    log.info("%s is dropped with %d readings that had outlived their period", part.part, sum(row.n for row in rows))
    return True


async def _emptied(database: Database, part: Part, group: Group, removed: Removed) -> None:
    """Remove the readings of a group out of a part that stays, a few points at a time."""
    span = {"since": part.starts_at, "until": part.ends_at}
    while not removed.left:
        async with database.transaction(None, ACTOR, Role.INGEST) as tx:
            present = await tx.all(PointId, SQL["present"], {**span, "points": group.points, "most": STEP_POINTS})
            if not present:
                return
            asked = {**span, "points": [row.id for row in present], "most": STEP_ROWS}
            count: int = await tx.value(SQL["remove_samples"], asked)
            details = {"from": part.starts_at.isoformat(), "up_to": part.ends_at.isoformat(), "rows": count}
            await _record(tx, group.organisation_id, "samples", {**details, "class": group.kept.code})
        removed.readings += count
        removed.steps += 1
        log.info("%d readings (%s) that had outlived their period are removed", count, group.kept.code)


async def _rollups(database: Database, group: Group, series: str, before: datetime, removed: Removed) -> int:
    total, count = 0, STEP_ROWS
    while count == STEP_ROWS and not removed.left:
        async with database.transaction(None, ACTOR, Role.INGEST) as tx:
            asked = {"series": series, "points": group.points, "before": before, "most": STEP_ROWS}
            count = await tx.value(SQL["remove_rollups"], asked)
            if count:
                details = {"up_to": before.isoformat(), "rows": count, "class": group.kept.code}
                await _record(tx, group.organisation_id, series, details)
                removed.steps += 1
        total += count
    return total


async def _record(tx: Transaction, organisation: UUID | None, what: str, details: dict[str, object]) -> None:
    await tx.become(Role.APP, organisation)
    await audit.record(tx, "removed what had outlived its period", "readings", what, details)
