"""The hub process: ingest and jobs on one database, wired by plain calls."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from hub.alarms.attention import Attention
from hub.alarms.definitions import load
from hub.alarms.judgement import judge
from hub.alarms.rows import Change
from hub.assets.authority import read as read_authority
from hub.audit.anchor import AnchorFile
from hub.ingest.commit import Judge
from hub.ingest.link import Broker
from hub.ingest.service import Ingest
from hub.jobs.holder import Holder
from hub.jobs.service import Work
from hub.metrics import HubCollector
from hub.notify.post import Office
from hub.store.database import Database, Transaction
from hub.work.dispatch import dispatch_for
from rules.detect.book import RuleBook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Where the hub runs; ``rules_files`` replace shipped alarm rules by code.

    ``broker_ca``, ``_certificate`` and ``_key`` are the files for TLS; ``authority`` is the folder of the certificate
    authority, where this hub may renew the certificates of gateways; ``anchors`` is where the record's end goes daily;
    ``office`` takes mails away.
    """

    dsn: str = field(repr=False)  # the login plantroom_hub
    broker_host: str
    broker_port: int
    broker_username: str | None = None
    broker_password: str | None = field(default=None, repr=False)
    rules_files: tuple[Path, ...] = ()
    broker_ca: Path | None = None
    broker_certificate: Path | None = None
    broker_key: Path | None = None
    authority: Path | None = None
    anchors: AnchorFile | None = None
    office: Office | None = None

    @property
    def broker(self) -> Broker:
        """The broker as ingest wants it."""
        who = (self.broker_username, self.broker_password)
        return Broker(
            self.broker_host, self.broker_port, *who, self.broker_ca, self.broker_certificate, self.broker_key
        )


def clock() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


async def run(settings: HubSettings, metrics: CollectorRegistry | None = None) -> None:
    """Run until cancelled; then take in what has arrived, for at most three seconds, and stop.

    ``metrics`` is where its figures go.
    Raises InvalidRulesError, AuthorityError or UnusableFilesError for files that cannot be used.  A database or broker
    that is down is waited for.
    """
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # says of every attempt what the hub says once
    book = load(settings.rules_files)
    authority = read_authority(settings.authority) if settings.authority else None
    database = Database(settings.dsn)
    await database.open()
    try:
        attention = Attention()
        judging = judge_by(book, attention)
        ingest = Ingest(
            database, settings.broker, judging, clock, authority=authority, attention=attention, dsn=settings.dsn
        )
        work = _work(settings, database, book, ingest)
        holder = Holder(settings.dsn, work.jobs(), clock, work.doings)
        if metrics is not None:
            metrics.register(HubCollector(database, ingest, work.doings))
        async with asyncio.TaskGroup() as group:
            group.create_task(ingest.run())
            group.create_task(holder.run())
            await ingest.ready()
            log.info("hub ready", extra={"event": "hub.ready"})
    finally:
        await database.close()


def _work(settings: HubSettings, database: Database, book: RuleBook, ingest: Ingest) -> Work:
    return Work(database, book, ingest.heard_since, settings.anchors, settings.office)


def judge_by(book: RuleBook, attention: Attention | None = None) -> Judge:
    """Give what ingest does with readings that became latest: judge them, and send somebody where a rule says so."""

    async def judge_and_dispatch(tx: Transaction, changes: Sequence[Change], now: datetime) -> None:
        turned = await judge(tx, book, changes, now, attention)
        await dispatch_for(tx, book, turned, now)

    return judge_and_dispatch
