"""What the hub knows of each edge between its birth and its death: aliases and the expected sequence number.

Pure but for its own state: no clock, no I/O.  After a gap in ``seq`` an edge's aliases may be out of date (a birth may
have been lost), so nothing of it is used until it has sent its births again; nothing was acknowledged, so nothing is
lost.  Two edges that use one name are told apart by the spool that a message names, else by their sequence numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from hub.ingest import birth, reading
from hub.ingest.acts import (
    Act,
    Address,
    Ask,
    Birth,
    DeviceBorn,
    DeviceDied,
    Fault,
    GatewayBorn,
    GatewayDied,
    Rejected,
    Report,
    Speaker,
)
from hub.ingest.inbox import Message, reconnected
from rules.wire import topics
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX, MalformedPayloadError, Payload, decode
from rules.wire.topics import Topic, Verb

ASK_EVERY = timedelta(seconds=5)
ADDRESSES_MAX = 10_000
EDGES_PER_NAME_MAX = 4
SPOOL_CHARACTERS_MAX = 64
SEQ_COUNT = 256


@dataclass(slots=True)
class Edge:
    """One edge since its NBIRTH; ``expected`` is None after a gap, until the next NBIRTH."""

    speaker: Speaker
    bd_seq: int | None
    expected: int | None
    devices: dict[str, Birth] = field(default_factory=dict)


class Sessions:
    """All edges that have been heard."""

    def __init__(self) -> None:
        self._edges: dict[Address, dict[str, Edge]] = {}
        self._asked: dict[Address, datetime] = {}

    def take(self, message: Message, now: datetime) -> list[Act]:
        """Give what a message asks the hub to do; never raises."""
        if message == reconnected():
            self._edges.clear()
            return []
        topic = topics.parse(message.topic)
        if topic is None:
            said = "the topic is not spBv1.0/<site>/<verb>/<gateway>[/<device>]."
            return [Rejected(None, message.topic, Fault.TOPIC, said, message.head)]
        address = Address(topic.site, topic.gateway)
        try:
            payload = _decoded(message)
            return _TAKE[topic.verb](self, address, topic, payload, message, now)
        except MalformedPayloadError as error:
            sentence = f"{topic.gateway}: {error}."
            return [Rejected(address, message.topic, Fault.PAYLOAD, sentence, message.head)]

    def ask(self, address: Address, now: datetime) -> list[Act]:
        """Ask for all births, at most once per ASK_EVERY."""
        last = self._asked.get(address)
        if last is not None and timedelta(0) <= now - last < ASK_EVERY:
            return []
        _make_room(self._asked)
        self._asked[address] = now
        return [Ask(address)]

    def _gateway_born(
        self, address: Address, topic: Topic, payload: Payload, message: Message, now: datetime
    ) -> list[Act]:
        del topic, message, now
        spool = _spool(payload)
        speaker = Speaker(address, spool or "", max(_whole(payload, topics.COMMITTED) or 0, 0))
        if address not in self._edges:
            _make_room(self._edges)
        edges = self._edges.setdefault(address, {})
        edges.pop(speaker.spool, None)
        while len(edges) >= EDGES_PER_NAME_MAX:
            del edges[next(iter(edges))]
        edges[speaker.spool] = Edge(speaker, _whole(payload, topics.BD_SEQ), ((payload.seq or 0) + 1) % SEQ_COUNT)
        return [GatewayBorn(speaker)]

    def _gateway_died(
        self, address: Address, topic: Topic, payload: Payload, message: Message, now: datetime
    ) -> list[Act]:
        del topic, message, now
        bd_seq = _whole(payload, topics.BD_SEQ)
        edges = self._edges.get(address, {})
        for spool, edge in edges.items():
            if edge.bd_seq == bd_seq:
                del edges[spool]
                return [GatewayDied(edge.speaker)]
        return []  # the will of a connection before the last birth

    def _device_born(
        self, address: Address, topic: Topic, payload: Payload, message: Message, now: datetime
    ) -> list[Act]:
        edge = self._speaking(address, payload)
        if edge is None:
            return self.ask(address, now)
        declared, faults = birth.read(topic.device, payload.metrics)
        edge.devices[topic.device] = declared
        acts: list[Act] = [DeviceBorn(edge.speaker, declared)]
        if faults:
            acts.append(Rejected(address, message.topic, Fault.BIRTH, " ".join(faults[:5]), message.head))
        return acts

    def _device_died(
        self, address: Address, topic: Topic, payload: Payload, message: Message, now: datetime
    ) -> list[Act]:
        del message
        edge = self._speaking(address, payload)
        if edge is None:
            return self.ask(address, now)
        return [DeviceDied(edge.speaker, topic.device)]  # its aliases stay: what waits in the spool still uses them

    def _reported(self, address: Address, topic: Topic, payload: Payload, message: Message, now: datetime) -> list[Act]:
        del topic, message
        edge = self._speaking(address, payload)
        if edge is None:
            return self.ask(address, now)
        return [Report(edge.speaker, _whole(payload, topics.DEPTH), _whole(payload, topics.CLOCK))]

    def _measured(self, address: Address, topic: Topic, payload: Payload, message: Message, now: datetime) -> list[Act]:
        edge = self._speaking(address, payload)
        declared = edge.devices.get(topic.device) if edge else None
        if edge is None or declared is None:
            return self.ask(address, now)
        return [reading.frame(edge.speaker, declared, payload, message, now)]

    def _speaking(self, address: Address, payload: Payload) -> Edge | None:
        """Give the edge whose next message this is; None after a gap, which makes every candidate start anew."""
        if payload.seq is None:
            raise MalformedPayloadError("the message has no sequence number")
        edges = self._edges.get(address, {})
        spool = _spool(payload)
        candidates = list(edges.values()) if spool is None else [edges[spool]] if spool in edges else []
        fitting = [edge for edge in candidates if edge.expected == payload.seq]
        if len(fitting) == 1:
            fitting[0].expected = (payload.seq + 1) % SEQ_COUNT
            return fitting[0]
        for edge in candidates:
            edge.expected = None
        return None


_Take = Callable[[Sessions, Address, Topic, Payload, Message, datetime], list[Act]]
_TAKE: Mapping[Verb, _Take] = MappingProxyType(
    {
        Verb.NBIRTH: Sessions._gateway_born,  # noqa: SLF001  # the table of its own verbs
        Verb.NDEATH: Sessions._gateway_died,  # noqa: SLF001
        Verb.DBIRTH: Sessions._device_born,  # noqa: SLF001
        Verb.DDEATH: Sessions._device_died,  # noqa: SLF001
        Verb.NDATA: Sessions._reported,  # noqa: SLF001
        Verb.DDATA: Sessions._measured,  # noqa: SLF001
        Verb.NCMD: lambda *_: [],
        Verb.DCMD: lambda *_: [],
    }
)


def _decoded(message: Message) -> Payload:
    if message.size > PAYLOAD_BYTES_MAX:
        raise MalformedPayloadError(f"payload of {message.size} bytes is above the limit of {PAYLOAD_BYTES_MAX}")
    return decode(message.payload)


def _make_room(book: dict[Address, object] | dict[Address, dict[str, Edge]] | dict[Address, datetime]) -> None:
    while len(book) >= ADDRESSES_MAX:
        del book[next(iter(book))]


def _whole(payload: Payload, name: str) -> int | None:
    """Give a metric's whole number; None where there is none, or none that the database could hold."""
    for metric in payload.metrics:
        if metric.name == name and isinstance(metric.value, int) and abs(metric.value) <= reading.NUMBER_MAX:
            return int(metric.value)
    return None


def _spool(payload: Payload) -> str | None:
    for metric in payload.metrics:
        if metric.name == topics.SPOOL:
            text = metric.value
            if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= SPOOL_CHARACTERS_MAX:
                raise MalformedPayloadError("the identity of the spool is not a short text")
            return text
    return None
