"""What the hub knows of each edge between its birth and its death: aliases and the expected sequence number.

Pure but for its own state: no clock, no I/O.  After a gap in ``seq`` an edge's aliases may be out of date (a birth may
have been lost), so nothing of it is used until it has sent its births again; nothing was acknowledged, so nothing is
lost.  Two edges that use one name are told apart by the spool that a message names, else by their sequence numbers.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.ingest import birth, reading
from hub.ingest.acts import (
    Act,
    Address,
    Answered,
    Ask,
    Birth,
    ConfigurationTold,
    DeviceBorn,
    DeviceDied,
    Fault,
    GatewayBorn,
    GatewayDied,
    Rejected,
    RenewalAsked,
    Report,
    Speaker,
)
from hub.ingest.inbox import Message, reconnected
from rules.wire import topics
from rules.wire.command import ANSWER, answer_of
from rules.wire.configuration import CONFIGURATION_STATE, told_of
from rules.wire.readings import Plain, decode_data
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX, MalformedPayloadError, Payload, decode
from rules.wire.topics import Verb

ASK_EVERY = timedelta(seconds=5)
ADDRESSES_MAX = 10_000
EDGES_PER_NAME_MAX = 4
DEVICES_PER_EDGE_MAX = 10_000
SPOOL_CHARACTERS_MAX = 64
FAULTS_SAID_MAX = 5
ANSWERS_MAX = 100
VERSION_CHARACTERS_MAX = 40
SEQ_COUNT = 256
SKEWS_KEPT = 6  # reports; the one that was least on its way is believed
SKEW_MAX = timedelta(days=3650)


@dataclass(slots=True)
class Edge:
    """One edge since its NBIRTH; ``expected`` is None after a gap, until the next NBIRTH."""

    speaker: Speaker
    bd_seq: int | None
    expected: int | None
    devices: dict[str, Birth] = field(default_factory=dict)
    skews: deque[timedelta] = field(default_factory=lambda: deque(maxlen=SKEWS_KEPT))

    def skew_ms(self, heard: "Heard") -> int | None:
        """Give how far the edge's clock is ahead of ours.

        A message that waited on its way makes the edge look late, none makes it look early: of the last few the
        largest is nearest the truth.
        """
        if heard.payload.at is None or heard.message.arrived_at is None:
            return None
        self.skews.append(heard.payload.at - heard.message.arrived_at)
        skew = min(max(*self.skews, -SKEW_MAX), SKEW_MAX)
        return skew // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that could be read."""

    address: Address
    device: str
    payload: Payload
    message: Message
    now: datetime
    plain: Plain


Answer = Callable[[Heard], list[Act]]


class Sessions:
    """All edges that have been heard."""

    def __init__(self) -> None:
        self._edges: dict[Address, dict[str, Edge]] = {}
        self._asked: dict[Address, datetime] = {}
        self._verbs: dict[Verb, Answer] = {
            Verb.NBIRTH: self._gateway_born,
            Verb.NDEATH: self._gateway_died,
            Verb.NDATA: self._reported,
            Verb.DBIRTH: self._device_born,
            Verb.DDEATH: self._device_died,
            Verb.DDATA: self._measured,
        }

    def take(self, message: Message, now: datetime) -> list[Act]:
        """Give what a message asks the hub to do; never raises."""
        if message == reconnected():
            self._edges.clear()
            return []
        topic = topics.parse(message.topic)
        if topic is None:
            said = "the topic is not spBv1.0/<site>/<verb>/<gateway>[/<device>]."
            return [Rejected(None, message.topic, Fault.TOPIC, said, message.head)]
        verb = self._verbs.get(topic.verb)
        if verb is None:
            return []  # a command, of this hub or another
        address = Address(topic.site, topic.gateway)
        try:
            payload, plain = _decoded(message, topic.verb)
            return verb(Heard(address, topic.device, payload, message, now, plain))
        except MalformedPayloadError as error:
            sentence = f"{topic.gateway}: {error}."
            return [Rejected(address, message.topic, Fault.PAYLOAD, sentence, message.head)]

    def keep(self, takes: Callable[[str], bool]) -> None:
        """Forget the edges of sites that others take in now."""
        for address in [address for address in self._edges if not takes(address.site)]:
            del self._edges[address]

    def ask(self, address: Address, now: datetime) -> list[Act]:
        """Ask for all births, at most once per ASK_EVERY."""
        last = self._asked.get(address)
        if last is not None and timedelta(0) <= now - last < ASK_EVERY:
            return []
        _make_room(self._asked)
        self._asked[address] = now
        return [Ask(address)]

    def _gateway_born(self, heard: Heard) -> list[Act]:
        spool = _spool(heard.payload)
        forgotten = max(_whole(heard.payload, topics.COMMITTED) or 0, 0)
        speaker = Speaker(heard.address, spool or "", forgotten, _spool(heard.payload, topics.SPOOL_BEFORE) or "")
        if heard.address not in self._edges:
            _make_room(self._edges)
        edges = self._edges.setdefault(heard.address, {})
        edges.pop(speaker.spool, None)
        while len(edges) >= EDGES_PER_NAME_MAX:
            del edges[next(iter(edges))]
        edges[speaker.spool] = Edge(
            speaker, _whole(heard.payload, topics.BD_SEQ), ((heard.payload.seq or 0) + 1) % SEQ_COUNT
        )
        return [GatewayBorn(speaker, _version(heard.payload)), *_configuration(speaker, heard.payload)]

    def _gateway_died(self, heard: Heard) -> list[Act]:
        bd_seq = _whole(heard.payload, topics.BD_SEQ)
        edges = self._edges.get(heard.address, {})
        for spool, edge in edges.items():
            if edge.bd_seq == bd_seq:
                del edges[spool]
                return [GatewayDied(edge.speaker)]
        return []  # the will of a connection before the last birth

    def _device_born(self, heard: Heard) -> list[Act]:
        edge = self._speaking(heard)
        if edge is None:
            return self.ask(heard.address, heard.now)
        if len(edge.devices) >= DEVICES_PER_EDGE_MAX and heard.device not in edge.devices:
            raise MalformedPayloadError(f"a gateway has at most {DEVICES_PER_EDGE_MAX} devices")
        declared, faults = birth.read(heard.device, heard.payload.metrics)
        edge.devices[heard.device] = declared
        acts: list[Act] = [DeviceBorn(edge.speaker, declared)]
        if faults:
            acts.append(
                Rejected(
                    heard.address,
                    heard.message.topic,
                    Fault.BIRTH,
                    " ".join(faults[:FAULTS_SAID_MAX]),
                    heard.message.head,
                )
            )
        return acts

    def _device_died(self, heard: Heard) -> list[Act]:
        edge = self._speaking(heard)
        if edge is None:
            return self.ask(heard.address, heard.now)
        return [DeviceDied(edge.speaker, heard.device)]  # its aliases stay: what waits in the spool still uses them

    def _reported(self, heard: Heard) -> list[Act]:
        edge = self._speaking(heard)
        if edge is None:
            return self.ask(heard.address, heard.now)
        said = heard.payload
        report = Report(
            edge.speaker,
            _whole(said, topics.DEPTH),
            _whole(said, topics.CLOCK),
            percent=_whole(said, topics.FILL),
            dropped=_whole(said, topics.DROPPED),
            skew_ms=edge.skew_ms(heard),
        )
        more: list[Act] = [*_answers(edge.speaker, said), *_configuration(edge.speaker, said)]
        return [report, *_renewal(edge.speaker, said), *more]

    def _measured(self, heard: Heard) -> list[Act]:
        edge = self._speaking(heard)
        declared = edge.devices.get(heard.device) if edge else None
        if edge is None or declared is None:
            return self.ask(heard.address, heard.now)
        return [reading.frame(edge.speaker, declared, heard.payload, heard.plain, heard.message, heard.now)]

    def _speaking(self, heard: Heard) -> Edge | None:
        """Give the edge whose next message this is; None after a gap, which makes every candidate start anew."""
        payload = heard.payload
        if payload.seq is None:
            raise MalformedPayloadError("the message has no sequence number")
        edges = self._edges.get(heard.address, {})
        spool = _spool(payload)
        candidates = list(edges.values()) if spool is None else [edges[spool]] if spool in edges else []
        fitting = [edge for edge in candidates if edge.expected == payload.seq]
        if len(fitting) == 1:
            fitting[0].expected = (payload.seq + 1) % SEQ_COUNT
            return fitting[0]
        for edge in candidates:
            edge.expected = None
        return None


def _decoded(message: Message, verb: Verb) -> tuple[Payload, Plain]:
    if message.size > PAYLOAD_BYTES_MAX:
        raise MalformedPayloadError(f"payload of {message.size} bytes is above the limit of {PAYLOAD_BYTES_MAX}")
    return decode_data(message.payload) if verb is Verb.DDATA else (decode(message.payload), Plain())


def _make_room(book: dict[Address, object] | dict[Address, dict[str, Edge]] | dict[Address, datetime]) -> None:
    while len(book) >= ADDRESSES_MAX:
        del book[next(iter(book))]


def _whole(payload: Payload, name: str) -> int | None:
    """Give a metric's whole number; None where there is none, or none that the database could hold."""
    for metric in payload.metrics:
        if metric.name == name and isinstance(metric.value, int) and abs(metric.value) <= reading.NUMBER_MAX:
            return int(metric.value)
    return None


def _version(payload: Payload) -> str:
    said = [metric.value for metric in payload.metrics if metric.name == topics.VERSION]
    return said[0][:VERSION_CHARACTERS_MAX] if said and isinstance(said[0], str) and said[0].isprintable() else ""


def _renewal(speaker: Speaker, payload: Payload) -> list[RenewalAsked]:
    for metric in payload.metrics:
        if metric.name == topics.CERTIFICATE_REQUEST and isinstance(metric.value, str):
            said = metric.properties
            held, proof = said.get(topics.CERTIFICATE_HELD, ""), said.get(topics.CERTIFICATE_PROOF, "")
            return [RenewalAsked(speaker, metric.value, held, proof)]
    return []


def _answers(speaker: Speaker, payload: Payload) -> list[Answered]:
    said = [metric for metric in payload.metrics if metric.name == ANSWER and metric.value is not None]
    if len(said) > ANSWERS_MAX:
        raise MalformedPayloadError(f"one message answers {len(said)} commands; {ANSWERS_MAX} at most")
    return [Answered(speaker, tuple(answer_of(metric) for metric in said))] if said else []


def _configuration(speaker: Speaker, payload: Payload) -> list[ConfigurationTold]:
    said = [metric.value for metric in payload.metrics if metric.name == CONFIGURATION_STATE]
    return [ConfigurationTold(speaker, told_of(said[0]))] if said else []


def _spool(payload: Payload, name: str = topics.SPOOL) -> str | None:
    for metric in payload.metrics:
        if metric.name == name:
            text = metric.value
            if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= SPOOL_CHARACTERS_MAX:
                raise MalformedPayloadError("the identity of the spool is not a short text")
            return text
    return None
