"""Take in what gateways send, for as long as the hub runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from hub.alarms.attention import Attention
from hub.assets.authority import Authority
from hub.errors import UnavailableError
from hub.ingest import events
from hub.ingest.acts import (
    Act,
    Address,
    Answered,
    Ask,
    ConfigurationTold,
    Fault,
    Frame,
    Rejected,
    RenewalAsked,
    Samples,
)
from hub.ingest.claims import Claims
from hub.ingest.commands import Commands
from hub.ingest.commit import Committer, Judge, Outcome
from hub.ingest.configuration import Configurations
from hub.ingest.counts import Counts
from hub.ingest.held import Shelf
from hub.ingest.inbox import Inbox, Message, reconnected
from hub.ingest.link import Broker, Link
from hub.ingest.renewal import Renewals
from hub.ingest.session import Sessions
from hub.ingest.share import Share
from hub.store.database import Database
from hub.streak import Streak
from rules.wire import topics
from rules.wire.configuration import push_metric
from rules.wire.sparkplug import DataType, Metric, Payload, encode
from rules.wire.topics import Topic, Verb

FLUSH_MESSAGES = 2_000
FLUSH_S = 0.1
RETRY_FIRST_S = 0.2
RETRY_MAX_S = 5.0
DRAIN_S = 3.0
DRAIN_LOOK_S = 0.05
CAUSES_MAX = 3  # of one outage
RENEWALS_PER_BATCH_MAX = 20  # who is left out asks again
REPORT_EVERY_S = 30.0
HOST_ID = "plantroom"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command for a gateway."""

    topic: str
    payload: bytes


class Ingest:
    """The way from the broker to the database and back."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        judge: Judge,
        clock: Callable[[], datetime],
        host_id: str = HOST_ID,
        authority: Authority | None = None,
        attention: Attention | None = None,
        dsn: str = "",
    ) -> None:
        self.counts = Counts()
        self._clock = clock
        self._inbox = Inbox(asyncio.get_running_loop())
        self._link = Link(broker, host_id, self._inbox, clock)
        self._claims = Claims(dsn, self._follow)
        self._sessions = Sessions()
        self._committer = Committer(database, judge, self.counts, clock(), attention)
        self._renewals = Renewals(database, authority)
        self._commands = Commands(database, self._link.publish, lambda: self._link.connected, clock)
        self._configurations = Configurations(database)
        self._shelf = Shelf(database)
        self._taking = Streak("taking in messages")
        self._attention = attention
        self._stored = 0  # messages that were dealt with
        self._lame = False  # the database does not answer
        self._causes: set[str] = set()  # why nothing is stored, as far as it has been said
        self._heard_since = clock()

    @property
    def connected(self) -> bool:
        """Whether the broker answers now."""
        return self._link.connected

    @property
    def storing(self) -> bool:
        """Whether the database takes what arrives."""
        return not self._lame

    def waiting(self) -> tuple[int, float]:
        """Give how many messages wait for the database, and for how long the oldest has, in seconds."""
        oldest = self._inbox.oldest_at()
        return len(self._inbox), max(0.0, (self._clock() - oldest).total_seconds()) if oldest else 0.0

    def heard_since(self, now: datetime) -> datetime:
        """Give since when the hub has heard and stored without a break: silence before that proves nothing."""
        return now if self._lame or not self.connected else self._heard_since

    async def ready(self) -> None:
        """Wait until the broker has answered for the first time."""
        await self._link.subscribed.wait()

    async def run(self) -> None:
        """Work until cancelled; then take in what has arrived, for at most DRAIN_S, and say goodbye."""
        claiming = asyncio.create_task(self._claims.run())
        report = asyncio.create_task(self._report())
        commands = asyncio.create_task(self._commands.run())
        work = asyncio.create_task(self._work())
        try:
            await asyncio.shield(work)
        finally:
            report.cancel()
            commands.cancel()
            self._inbox.close()
            await asyncio.wait([work], timeout=DRAIN_S)
            work.cancel()
            claiming.cancel()  # what is claimed stays so until everything that has arrived is stored
            await asyncio.gather(work, report, commands, claiming, return_exceptions=True)
            await asyncio.to_thread(self._link.close)

    async def _work(self) -> None:
        while batch := await self._inbox.gather(FLUSH_MESSAGES, FLUSH_S):
            await self._taking.attempt(self._take(batch))
            self._stored += len(batch)

    async def _follow(self, share: Share) -> None:
        """Take in another share; returns when what has arrived of the one before is stored, or after DRAIN_S."""
        await asyncio.to_thread(self._link.follow, share)
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                arrived = self._inbox.given + len(self._inbox)
                while self._stored < arrived:  # noqa: ASYNC110  a moment, and seldom
                    await asyncio.sleep(DRAIN_LOOK_S)
        self._sessions.keep(share.takes_site)
        if self._attention is not None:
            self._attention.forget()  # others may have judged what is new here

    async def _take(self, batch: Sequence[Message]) -> None:
        now = self._clock()
        acts: list[Act] = []
        for message in batch:
            if message == reconnected():
                self._heard_since = now
            acts.extend(self._sessions.take(message, now))
        self.counts.dropped = self._inbox.refused
        self.counts.received += len(batch)
        self.counts.decoded += len(acts)
        self._ask(acts)
        stored = [act for act in acts if not isinstance(act, Ask | RenewalAsked | Answered | ConfigurationTold)]
        if not stored:
            return
        for outcome in await self._commit(await events.developed(stored)):
            self.counts.acknowledged += len(outcome.acknowledge)
            for address, (spool, committed) in outcome.acknowledge.items():
                self._say(acknowledgement(address, spool, committed))
            for address in outcome.ahead:
                self._ask(self._sessions.ask(address, now))
        await self._commands.take([act for act in acts if isinstance(act, Answered)])
        await self._renew([act for act in acts if isinstance(act, RenewalAsked)][:RENEWALS_PER_BATCH_MAX])
        told = [act for act in acts if isinstance(act, ConfigurationTold)]
        for address, wrapped in await self._configurations.take(told, now):
            self._say(_command(address, (push_metric(wrapped),)))
        with suppress(UnavailableError):  # there will be another time
            await self._store_held(now)

    async def _store_held(self, now: datetime) -> None:
        if held := await self._shelf.due(now):
            await self._commit([frame for _, frame in held])
            await self._shelf.stored([number for number, _ in held])
            log.info("stored %d frames that had waited for their device or unit", len(held))

    async def _renew(self, asked: Sequence[RenewalAsked]) -> None:
        for one in asked:
            if certificate := await self._renewals.answer(one, self._clock()):
                self._say(certified(one.speaker.address, certificate))

    def _ask(self, acts: Sequence[Act]) -> None:
        for act in acts:
            if isinstance(act, Ask):
                self._say(rebirth(act.address))

    def _say(self, spoken: Spoken) -> None:
        self._link.publish(spoken.topic, spoken.payload)

    async def _commit(self, acts: Sequence[Act]) -> list[Outcome]:
        """Commit, waiting for the database as long as it takes; what it refuses for good does not hold up the rest."""
        try:
            return [await self._commit_patiently(acts)]
        except psycopg.Error as error:
            self._committer.forget()
            self.counts.failures += 1
            if len(acts) == 1:
                return await self._give_up(acts[0], error)
        middle = len(acts) // 2
        return [*await self._commit(acts[:middle]), *await self._commit(acts[middle:])]

    async def _commit_patiently(self, acts: Sequence[Act]) -> Outcome:
        wait_s = RETRY_FIRST_S
        while True:
            began_s = time.monotonic()
            try:
                outcome = await self._committer.commit(acts, self._clock())
            except (UnavailableError, psycopg.InterfaceError) as error:
                self._committer.forget()
                self.counts.failures += 1
                self._lame = True
                self._say_why(error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_MAX_S)
            else:
                self.counts.commits.note(time.monotonic() - began_s)
                if self._lame:
                    self._lame = False
                    self._causes.clear()
                    self._heard_since = self._clock()
                    log.warning("the database answers again; storing goes on", extra={"event": "database.back"})
                return outcome

    def _say_why(self, error: Exception) -> None:
        """Say each cause of an outage once: a full disk may first look like a server that is gone."""
        tells = isinstance(error, UnavailableError) and str(error) not in self._causes
        if (tells or not self._causes) and len(self._causes) < CAUSES_MAX:
            self._causes.add(str(error))
            lost = {"event": "database.lost", "reason": str(error)}
            log.warning(
                "nothing is stored or acknowledged: %s The edges keep their readings meanwhile", error, extra=lost
            )

    async def _give_up(self, act: Act, error: psycopg.Error) -> list[Outcome]:
        """Put what the database refuses into quarantine; its number counts as done, or the line would stand still."""
        sentence = f"The database refuses it ({type(error).__name__}); look at the payload."
        if isinstance(act, Frame) and (act.samples or act.told):
            return await self._commit([replace(act, samples=Samples(), told=(), faults=((Fault.STORE, sentence),))])
        log.error("left out for good: %s: %s", type(act).__name__, error, extra={"event": "ingest.left_out"})
        if isinstance(act, Rejected):
            return []
        speaker = getattr(act, "speaker", None)
        address: Address | None = speaker.address if speaker else None
        return await self._commit([Rejected(address, type(act).__name__, Fault.STORE, sentence, b"")])

    async def _report(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            line = str(self.counts)
            if line != said:
                report = {"event": "ingest.report", "counts": {**self.counts.numbers(), "queued": len(self._inbox)}}
                log.info("ingest %s queued=%d", line, len(self._inbox), extra=report)
                said = line


def acknowledgement(address: Address, spool: str, committed: int) -> Spoken:
    """Make the command that tells a gateway up to which number the hub has committed."""
    metrics = (
        Metric(name=topics.COMMITTED, value=committed, datatype=DataType.INT64),
        Metric(name=topics.COMMITTED_OF, value=spool, datatype=DataType.STRING),
    )
    return _command(address, metrics)


def rebirth(address: Address) -> Spoken:
    """Make the command that asks a gateway for all its births."""
    return _command(address, (Metric(name=topics.REBIRTH, value=True, datatype=DataType.BOOLEAN),))


def certified(address: Address, certificate: str) -> Spoken:
    """Make the command that brings a gateway its certificate (PEM)."""
    return _command(address, (Metric(name=topics.CERTIFICATE, value=certificate, datatype=DataType.STRING),))


def _command(address: Address, metrics: tuple[Metric, ...]) -> Spoken:
    topic = str(Topic(address.site, Verb.NCMD, address.gateway))
    return Spoken(topic, encode(Payload(None, None, metrics)))
