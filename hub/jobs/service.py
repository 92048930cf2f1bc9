"""The jobs of the hub, each in transactions of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from shutil import disk_usage

from hub.access import service as access
from hub.alarms.judgement import tick
from hub.alarms.withdrawal import withdraw
from hub.approvals import service as approvals
from hub.audit import chain
from hub.audit.anchor import AnchorFile
from hub.commands import outbox
from hub.health import service as health
from hub.jobs import rollups
from hub.jobs.doings import Doings
from hub.jobs.rows import Missed, Organisation
from hub.keeping import partitions
from hub.keeping import retention as outlived
from hub.metering import work as metering
from hub.notify import service as notify
from hub.notify.post import Office
from hub.privacy import retention
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from hub.work.dispatch import dispatch_for
from hub.work.verification import verify
from rules.detect.book import RuleBook

SQL = queries(__package__)
ACTOR = Actor("plantroom/jobs")
QUARANTINE_ROWS_MAX = 100_000
GATEWAY_SILENCE = timedelta(minutes=2)
CONSUMPTION_ROUNDS = 50  # of one run and organisation: a backfill is worked off without holding up others

log = logging.getLogger("plantroom.security")


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that is done every ``every_s`` seconds."""

    name: str
    every_s: float
    work: Callable[[datetime], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Work:
    """What the jobs work on.  ``heard_since`` gives since when silence of a device proves anything."""

    database: Database
    book: RuleBook
    heard_since: Callable[[datetime], datetime]
    anchors: AnchorFile | None = None
    office: Office | None = None
    doings: Doings = field(default_factory=Doings)

    def jobs(self) -> tuple[Job, ...]:
        """Give all jobs."""
        return (
            Job("alarms that mature", 1, self.mature),
            Job("repairs to verify", 1, self.verify),
            Job("the audit chain", 2, self.seal),
            Job("the audit anchor", 600, self.anchor),
            Job("rollups of past hours", 5, self.roll_up_past),
            Job("rollups of the running hour", 60, self.roll_up),
            Job("consumption", 60, self.count_consumption),
            Job("silent gateways", 30, self.miss_gateways),
            Job("expired sessions", 600, self.drop_sessions),
            Job("old quarantine", 600, self.drop_quarantine),
            Job("approvals that wait", 30, self.escalate),
            Job("commands without an answer", 5, self.lapse_commands),
            Job("mails", 5, self.send_mails),
            Job("old mails", 3600, self.drop_mails),
            Job("data that has outlived its period", 86_400, self.remove_outlived),
            Job("withdrawn alarm rules", 3600, self.withdraw),
            Job("partitions", 3600, self.make_partitions),
            Job("the platform's health", 30, self.look_after_itself),
            Job("compaction of past weeks", 3600, self.compact),
            Job("readings that have outlived their period", 86_400, self.remove_readings),
        )

    async def mature(self, now: datetime) -> None:
        """Let the delays of alarms run out, notice silent devices, and send somebody."""
        async for tx in self._organisations():
            turned = await tick(tx, self.book, now, self.heard_since(now))
            await dispatch_for(tx, self.book, turned, now)

    async def verify(self, now: datetime) -> None:
        """Let telemetry judge the repairs that were reported as done."""
        async for tx in self._organisations():
            await verify(tx, self.book, now)

    async def seal(self, _now: datetime) -> None:
        """Take new acts into the audit chain."""
        await chain.seal_all(self.database)

    async def anchor(self, now: datetime) -> None:
        """Write the end of the chain into the file of anchors, once a day (UTC), and hold the last one against it."""
        if self.anchors is None:
            return
        last = await asyncio.to_thread(self.anchors.last)
        async with self.database.transaction(None, ACTOR, Role.SEALER) as tx:
            state = await chain.state(tx, last)
        self.doings.anchor_holds = state.holds
        if not state.holds:
            mismatch = {"event": "audit.anchor_mismatch"}
            log.error("the audit record is not what its last anchor saw; run: plantroom audit verify", extra=mismatch)
        if last is None or last.date < now.date():
            await chain.anchor(self.database, self.anchors, now)

    async def roll_up_past(self, now: datetime) -> None:
        """Make the rollups of hours that are over."""
        await rollups.rebuild(self.database, now.replace(minute=0, second=0, microsecond=0))

    async def roll_up(self, now: datetime) -> None:
        """Make all rollups; the running hour changes all the time, so this is the rarer one."""
        await rollups.rebuild_running(self.database, now)

    async def count_consumption(self, now: datetime) -> None:
        """Work out the consumption of days and months in which something came in, or that are over."""
        for organisation in await self._all():
            for _ in range(CONSUMPTION_ROUNDS):
                async with self.database.transaction(organisation.id, ACTOR) as tx:
                    if not await metering.catch_up(tx, now):
                        break

    async def miss_gateways(self, now: datetime) -> None:
        """Show gateways as off that died while nobody listened, so that no death was heard."""
        silent_since = now - GATEWAY_SILENCE
        if self.heard_since(now) > silent_since:
            return
        async with self.database.transaction(None, ACTOR, Role.INGEST) as tx:
            for missed in await tx.all(Missed, SQL["miss_gateways"], {"silent_since": silent_since}):
                await tx.run(SQL["announce_gateway"], {"id": missed.id, "organisation": missed.organisation_id})

    async def drop_sessions(self, now: datetime) -> None:
        """Remove sessions that are over."""
        await access.drop_expired(self.database, now)

    async def drop_quarantine(self, _now: datetime) -> None:
        """Keep only the newest QUARANTINE_ROWS_MAX rows of the quarantine."""
        async with self.database.transaction(None, ACTOR, Role.INGEST) as tx:
            await tx.run(SQL["drop_quarantine"], {"most": QUARANTINE_ROWS_MAX})

    async def escalate(self, now: datetime) -> None:
        """Remind of approvals, ask others as well, and let lapse what is too old."""
        async for tx in self._organisations():
            await approvals.escalate_due(tx, now)

    async def lapse_commands(self, now: datetime) -> None:
        """Close the commands that nobody has answered."""
        async for tx in self._organisations():
            await outbox.lapse(tx, now)

    async def send_mails(self, now: datetime) -> None:
        """Send the mails that are due."""
        if self.office is not None:
            while await notify.send_due(self.database, self.office, now) == notify.BATCH:
                pass

    async def drop_mails(self, now: datetime) -> None:
        """Forget what became of old mails."""
        await notify.drop_old(self.database, now)

    async def remove_outlived(self, now: datetime) -> None:
        """Remove personal data that has outlived its period."""
        for organisation in await self._all():
            await retention.run(self.database, organisation.id, now)

    async def withdraw(self, now: datetime) -> None:
        """Clear the alarms of rules that are no longer in the book."""
        async for tx in self._organisations():
            await withdraw(tx, self.book, now)

    async def make_partitions(self, now: datetime) -> None:
        """Make sure of the partitions of the next weeks."""
        await partitions.make_ahead(self.database, now)

    async def compact(self, now: datetime) -> None:
        """Write the parts of the readings anew that are over."""
        await partitions.compact(self.database, now)

    async def remove_readings(self, now: datetime) -> None:
        """Remove readings and rollups that have outlived their period."""
        await outlived.run(self.database, now)

    async def look_after_itself(self, now: datetime) -> None:
        """Measure what waits and note what was done, for the metrics and for the page of the platform's health."""
        async with self.database.transaction(None, ACTOR, Role.INGEST) as tx:
            measured = await health.measure(tx, now)
            await health.keep(tx, {**asdict(measured), **self._seen_here()}, now)
            for mark in self.doings.marks():
                await health.put(tx, mark)
            self.doings.seen(measured, await health.gateways(tx), await health.marks(tx))

    def _seen_here(self) -> dict[str, float | None]:
        """Give what no query tells: whether the last anchor holds, how much of the disk of the anchors is free."""
        holds, files = self.doings.anchor_holds, self.anchors
        disk = disk_usage(files.key_path.parent) if files is not None and files.key_path.parent.is_dir() else None
        return {
            "audit_anchor_holds": None if holds is None else float(holds),
            "disk_free_ratio": disk.free / disk.total if disk else None,
        }

    async def _organisations(self) -> AsyncIterator[Transaction]:
        """Open a transaction in the name of every organisation, one after the other."""
        for organisation in await self._all():
            async with self.database.transaction(organisation.id, ACTOR) as tx:
                yield tx

    async def _all(self) -> list[Organisation]:
        async with self.database.transaction(None, ACTOR, Role.INGEST) as tx:
            return await tx.all(Organisation, SQL["organisations"])
