"""The publisher: carries spooled frames to the broker, in order, until the hub has committed them."""

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import version

from edge_agent import births
from edge_agent.clock import Clock
from edge_agent.commander import Commander
from edge_agent.config import EdgeConfig
from edge_agent.desk import Desk
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.identity import Identity, IdentityError
from edge_agent.link import Arrived, Broker, Confirmed, Event, Link, LinkError
from edge_agent.outflow import Outflow
from edge_agent.renewal import Renewal
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from rules.wire import topics
from rules.wire.configuration import CONFIGURATION, Told
from rules.wire.sparkplug import MalformedPayloadError, Metric, Payload, decode, encode
from rules.wire.topics import Topic, Verb

__all__ = ["Broker", "Publisher"]

RECONNECT_FIRST_S = 0.5
RECONNECT_MAX_S = 10.0
STABLE_S = 10.0  # a connection that lasted shorter counts as short
SHORT_MAX = 3  # so many short ones in a row get a sentence, then silence
TAKEN_OVER_WAIT_S = 30.0  # two gateways with one name must not throw each other out all day
REPORT_EVERY_S = 10.0
REBIRTH_PAUSE_S = 1.0  # births are heavy: however often they are asked for
TURNS_MAX = 1000
VERSION = version("plantroom")
TICK_S = 0.01  # shortest wait
_SEQ_COUNT = 256

log = logging.getLogger(__name__)


class Publisher:
    """Owns the connection of one gateway.  ``announce`` and ``nudge`` are called from the same loop."""

    def __init__(
        self,
        config: EdgeConfig,
        broker: Broker,
        *,
        spool: Spool,
        roster: Roster,
        clock: Clock,
        health: Health,
        commander: Commander | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._broker = broker
        self._spool = spool
        self._roster = roster
        self._clock = clock
        self._health = health
        self._commander = commander
        if commander is not None:
            commander.tell(self.nudge)
        self._answered: list[str] = []  # commands whose answers the hub says that it has
        self._monotonic_s = monotonic_s
        self._link: Link | None = None
        self._renewal = _renewal(config, broker)
        self._offered = ""  # a certificate that came
        self._renewed = False  # the connection has an old certificate
        self._outflow = Outflow(config, spool=spool, roster=roster, clock=clock, health=health, monotonic_s=monotonic_s)
        self._turns: deque[tuple[int, str]] = deque()  # (frame after which it is said, device that came or went)
        self._seq = 0
        self._bd_seq = 0
        self._born = False  # whether the last connection got as far as its births
        self._born_s = 0.0
        self._birth_s = 0.0  # the last births on it
        self._short = 0  # connections in a row that ended soon after their birth
        self._claimed = 0
        self.acknowledged_s = -math.inf  # when the hub last said what it has committed
        self.desk = Desk(health)
        self._report_s = 0.0
        self._rebirth_due = False
        self._complaint = ""

    @property
    def connected(self) -> bool:
        """Whether the broker answers."""
        return self._link is not None

    @property
    def in_flight(self) -> int:
        """How many frames were sent on this connection and are not yet committed."""
        window = self._outflow.window
        return max(0, window.sent - window.committed) if self.connected else 0

    def nudge(self) -> None:
        """Say that the spool has something new."""
        if self._link is not None:
            self._link.nudge()

    def fresh(self, frames: Sequence[Frame]) -> None:
        """Say what has just been read, under its numbers; 0: the spool could not keep it."""
        self._outflow.note(frames, connected=self._link is not None)
        self.nudge()

    def announce(self, device: str, *, alive: bool) -> None:
        """Say that a device came or went, once the frames spooled so far have gone out."""
        self._roster.members[device].alive = alive
        if self._link is not None:
            self._turns.append((self._spool.last_number, device))
            self._rebirth_due |= len(self._turns) > TURNS_MAX  # births say it all in one go
            self.nudge()

    def redeclare(self, device: str) -> None:
        """Say that the points of a device are others now, before anything else is said of it."""
        self._roster.unborn.add(device)
        self.nudge()

    def tell(self, told: Told) -> None:
        """Say by which site file the gateway goes, now and with every report."""
        if self.desk.tell(told):
            self._report_s = self._monotonic_s()
            self.nudge()

    async def run(self) -> None:
        """Connect, serve and reconnect until cancelled."""
        wait_s = RECONNECT_FIRST_S
        while True:
            pause_s = RECONNECT_FIRST_S
            try:
                await self._serve()
            except LinkError as error:
                lasted = self._born and self._monotonic_s() - self._born_s >= STABLE_S
                self._short = self._short + 1 if self._born and not lasted else 0
                if lasted:
                    self._complaint = ""
                self._complain(error)
                wait_s = RECONNECT_FIRST_S if lasted else min(2 * wait_s, RECONNECT_MAX_S)
                pause_s = TAKEN_OVER_WAIT_S if error.taken_over else wait_s
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads gateways, guards nothing

    def _complain(self, error: LinkError) -> None:
        """Say once why there is no connection, and guess why connections do not last (few brokers tell)."""
        if str(error) != self._complaint and self._short <= SHORT_MAX:
            self._complaint = str(error)
            lost = {"event": "broker.lost", "reason": str(error), "gateway": self._config.gateway}
            log.warning("%s; readings are spooled, trying again until it answers", error, extra=lost)
        if error.taken_over or self._short == SHORT_MAX:
            log.error(
                "connections as '%s' do not last; if another edge agent has this name, stop one of the two",
                self._client_id,
            )

    @property
    def _client_id(self) -> str:
        return f"edge-{self._config.site}-{self._config.gateway}"

    def _topic(self, verb: Verb, device: str = "") -> str:
        return str(Topic(self._config.site, verb, self._config.gateway, device))

    @property
    def _commands(self) -> tuple[str, ...]:
        own = self._topic(Verb.NCMD)
        return (own,) if self._commander is None else (own, self._topic(Verb.DCMD, "+"))

    async def _serve(self) -> None:
        """One connection, from its birth to its end; returns when it is to be made anew with a new certificate."""
        self._born = self._renewed = False
        if self._renewal is not None:
            try:
                await asyncio.to_thread(self._renewal.begin, self._clock.now())
            except IdentityError as error:
                raise LinkError(str(error)) from None
        self._bd_seq = await asyncio.to_thread(self._spool.next_bd_seq)
        death = encode(Payload(None, None, births.node_death(self._bd_seq)))
        will = (self._topic(Verb.NDEATH), death)
        link = Link(self._broker, self._client_id, commands=self._commands, will=will)
        await link.open()
        if self._short < SHORT_MAX:
            level, made = logging.WARNING if self._complaint else logging.INFO, {"event": "broker.connected"}
            log.log(level, "connected as %s", self._client_id, extra={**made, "gateway": self._config.gateway})
            self._complaint = ""
        self._link = link
        try:
            self._outflow.begin()
            self._born, self._born_s = True, self._monotonic_s()
            identity = self._spool.identity
            self._bear(link)
            while not self._renewed:
                if self._spool.identity != identity:
                    raise LinkError("the spool can be written again and is another one")
                await self._send_due(link)
                await self._take(await link.events(self._wait_s(link)))
        finally:
            self._link = None
            link.publish(*will)  # a goodbye sends no will
            await link.close()

    def _wait_s(self, link: Link) -> float:
        """Seconds until something is due."""
        now_s = self._monotonic_s()
        due_s = [self._report_s - now_s, self._outflow.due_in_s(now_s, unconfirmed=bool(link.unconfirmed))]
        if self._rebirth_due:
            due_s.append(self._birth_s + REBIRTH_PAUSE_S - now_s)
        return max(TICK_S, min(due_s))

    def _bear(self, link: Link) -> None:
        """Send all births; what was in flight goes out again after them."""
        at, now_s = self._clock.now(), self._monotonic_s()
        self._birth_s = now_s
        self._seq = 0
        self._rebirth_due = False
        self._report_s = now_s + REPORT_EVERY_S
        certified = self._renewal is not None
        if self._renewal is not None:
            self._renewal.born()
        spool = self._spool
        born = births.node_birth(
            at, self._bd_seq, spool.identity, spool.committed, certified=certified, before=spool.before, version=VERSION
        )
        self._say(link, Verb.NBIRTH, born + self.desk.metrics())
        for device in self._roster.members:
            self._bear_device(link, device)
        last = self._spool.last_number
        self._roster.unborn.clear()
        self._turns = deque((last, device) for device, m in self._roster.members.items() if not m.alive)
        self._outflow.bear()
        if self._commander is not None:
            self._commander.repeat()

    def _bear_device(self, link: Link, device: str) -> None:
        member = self._roster.members[device]
        born = births.device_birth(member, self._clock.now(), self._spool.last_number, self._spool.identity)
        self._say(link, Verb.DBIRTH, born, device)

    def _say(self, link: Link, verb: Verb, metrics: tuple[Metric, ...], device: str = "") -> int:
        payload = encode(Payload(self._clock.now(), self._seq, metrics))
        self._seq = (self._seq + 1) % _SEQ_COUNT
        return link.publish(self._topic(verb, device), payload)

    async def _send_due(self, link: Link) -> None:
        now_s = self._monotonic_s()
        if self._rebirth_due and now_s >= self._birth_s + REBIRTH_PAUSE_S:
            self._health.rebirths += 1
            self._bear(link)
        self._answer(link)
        self._bear_unborn(link)
        await self._outflow.send(
            lambda device, metrics: self._say_data(link, device, metrics),
            lambda number: self._say_turns(link, number),
            unconfirmed=bool(link.unconfirmed),
        )
        if now_s >= self._report_s:
            await self._report(link, now_s)

    def _bear_unborn(self, link: Link) -> None:
        for device in sorted(self._roster.unborn & self._roster.members.keys()):
            self._bear_device(link, device)
            if not self._roster.members[device].alive:
                self._say(link, Verb.DDEATH, (), device)
        self._roster.unborn.clear()

    def _say_data(self, link: Link, device: str, metrics: tuple[Metric, ...]) -> int:
        self._bear_unborn(link)
        return self._say(link, Verb.DDATA, metrics, device)

    def _answer(self, link: Link) -> None:
        while self._commander is not None and (answers := self._commander.answers()):
            self._say(link, Verb.NDATA, answers)

    def _say_turns(self, link: Link, up_to: int) -> None:
        while self._turns and self._turns[0][0] <= up_to:
            _, device = self._turns.popleft()
            member = self._roster.members.get(device)
            if member is None:  # it has left, and nothing waits of it
                continue
            if member.alive:
                self._bear_device(link, device)
            else:
                self._say(link, Verb.DDEATH, (), device)

    async def _report(self, link: Link, now_s: float) -> None:
        step_ms = round(self._clock.take_step().total_seconds() * 1000)
        spool = self._spool
        metrics = births.node_data(
            self._clock.now(), depth=spool.depth(), clock_step_ms=step_ms, percent=spool.percent, dropped=spool.dropped
        )
        metrics += self.desk.metrics()
        if self._renewal is not None:
            metrics += await asyncio.to_thread(self._renewal.wish, self._clock.now())
        self._say(link, Verb.NDATA, metrics)
        if self._commander is not None:
            self._commander.repeat()
        self._report_s = now_s + REPORT_EVERY_S
        log.debug("%s", self._health.sentence(self._spool.depth()))

    async def _take(self, events: list[Event]) -> None:
        """Act on what came; many acknowledgements become one deletion."""
        committed = self._outflow.window.committed
        for event in events:
            if isinstance(event, Arrived):
                committed = max(committed, self._arrived(event))
            elif isinstance(event, Confirmed):
                committed = max(committed, self._outflow.confirm(event))
        await self._outflow.commit(committed)
        if self._commander is not None and self._answered:
            await self._commander.heard(self._answered)
        self._answered.clear()
        if self._renewal is not None and self._offered:
            self._renewed = await asyncio.to_thread(self._renewal.take, self._offered, self._clock.now())
            self._health.refused_commands += not self._renewed
        self._offered = ""

    def _arrived(self, event: Arrived) -> int:
        """Pass on a command for a device, carry out one for the gateway itself; gives what ``_obey`` gives."""
        topic = topics.parse(event.topic)
        if topic is None or topic.verb is not Verb.DCMD:
            return self._obey(event.payload)
        if self._commander is not None:
            self._commander.offer(topic.device, event.payload)
        return 0

    def _obey(self, data: bytes) -> int:
        """Carry out a command; gives the number that the hub says it has committed, or 0."""
        try:
            metrics = {metric.name: metric.value for metric in decode(data).metrics}
        except MalformedPayloadError as error:
            self._health.refused_commands += 1
            log.warning("a command was refused: %s", error)
            return 0
        if metrics.get(topics.REBIRTH) is True:
            self._rebirth_due = True
        answered = metrics.get(topics.ANSWERED)
        self._answered += answered.split() if isinstance(answered, str) else []
        self.desk.take(metrics.get(CONFIGURATION))
        offered = metrics.get(topics.CERTIFICATE)
        self._offered = offered if isinstance(offered, str) else self._offered
        number = metrics.get(topics.COMMITTED)
        if metrics.get(topics.COMMITTED_OF) != self._spool.identity or not isinstance(number, int):
            return 0
        if number > self._spool.last_number:
            self._health.refused_commands += 1
            if number != self._claimed:
                self._claimed = number
                log.error("the hub claims frame %d, but the spool ends at %d", number, self._spool.last_number)
            return 0
        self.acknowledged_s = self._monotonic_s()
        return number


def _renewal(config: EdgeConfig, broker: Broker) -> Renewal | None:
    """Give who looks after the gateway's certificate, where it has one."""
    if broker.ca is None or broker.certificate is None or broker.key is None:
        return None
    return Renewal(Identity(f"{config.site}/{config.gateway}", broker.ca, broker.certificate, broker.key))
