"""An edge of another maker for tests: a plain MQTT client that speaks Sparkplug B as its maker read the specification.

It knows nothing of ours but the field numbers: names with slashes, aliases or names alone, data with or without types.
The embedded broker listens for MQTT 5 alone; Mosquitto takes 3.1.1 as well.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.broker import Broker
from rules.wire.schema import PayloadMessage
from rules.wire.sparkplug import millis

INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT, UUID_TYPE, \
    DATASET, BYTES, FILE, TEMPLATE = range(1, 20)  # fmt: skip
SLOTS = {
    **dict.fromkeys((INT8, INT16, INT32, UINT8, UINT16), "int_value"),
    **dict.fromkeys((INT64, UINT32, UINT64, DATETIME), "long_value"),  # a 32-bit one without sign needs the long
    FLOAT: "float_value", DOUBLE: "double_value", BOOLEAN: "boolean_value",
    **dict.fromkeys((STRING, TEXT, UUID_TYPE), "string_value"), **dict.fromkeys((BYTES, FILE), "bytes_value"),
}  # fmt: skip
MASK = {"int_value": 2**32 - 1, "long_value": 2**64 - 1}


@dataclass(frozen=True)
class Tag:
    """A metric as the edge knows it."""

    name: str
    kind: int
    value: Any = None
    at: datetime | None = None
    historical: bool = False
    quality: int | None = None
    unit: str = ""


@dataclass
class Foreign:
    """One edge node; ``aliases``: data says numbers instead of names; ``types``: data repeats its data types."""

    broker: Broker
    site: str
    node: str
    devices: dict[str, list[Tag]]
    aliases: bool = True
    types: bool = False
    answers: bool = True  # a request for its births
    asked: int = 0
    seq: int = 0
    bd_seq: int = 0
    _client: Client | None = None
    _up: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> None:
        """Come up as the specification asks: a will first, then the births."""
        self._up.clear()
        client = self._client = Client(CallbackAPIVersion.VERSION2, self.node, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(self.broker.username, self.broker.password)
        client.will_set(self.topic("NDEATH"), self._death(), qos=1)
        client.on_message = self._heard
        client.on_connect = lambda one, *_: one.subscribe(self.topic("NCMD"), qos=1)
        client.on_subscribe = lambda *_: self._up.set()
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        assert self._up.wait(10)
        self.birth()

    def vanish(self) -> None:
        """Go without a word: the broker tells the will."""
        assert self._client is not None
        sock = self._client.socket()
        self._client.loop_stop()
        if sock is not None:
            sock.close()
        self._client, self.bd_seq = None, self.bd_seq + 1

    def leave(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def topic(self, verb: str, device: str = "") -> str:
        head = f"spBv1.0/{self.site}/{verb}/{self.node}"
        return f"{head}/{device}" if device else head

    def birth(self) -> None:
        """Say everything again."""
        self.seq = 0
        said = [Tag("bdSeq", INT64, self.bd_seq), Tag("Node Control/Rebirth", BOOLEAN, False),
                Tag("Node Info/Transmission Version", STRING, "4.0")]  # fmt: skip
        self._say("NBIRTH", "", said, born=True)
        for device, tags in self.devices.items():
            self._say("DBIRTH", device, tags, born=True)

    def tell(self, device: str, *tags: Tag) -> None:
        """Send data of a device."""
        self._say("DDATA", device, list(tags))

    def drop(self) -> None:
        """Lose a message on the way."""
        self.seq = (self.seq + 1) % 256

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        payload: Any = PayloadMessage.FromString(message.payload)
        if any(metric.name == "Node Control/Rebirth" for metric in payload.metrics):
            self.asked += 1
            if self.answers:
                self.birth()

    def _say(self, verb: str, device: str, tags: list[Tag], *, born: bool = False) -> None:
        assert self._client is not None
        payload: Any = PayloadMessage(seq=self.seq)
        self.seq = (self.seq + 1) % 256
        names = [tag.name for one in self.devices.values() for tag in one]
        for tag in tags:
            metric = payload.metrics.add()
            alias = names.index(tag.name) if self.aliases and tag.name in names else None
            if alias is not None:
                metric.alias = alias
            if born or alias is None:
                metric.name = tag.name
            if born or self.types:
                metric.datatype = tag.kind
            _fill(metric, tag)
        self._client.publish(self.topic(verb, device), payload.SerializeToString(), qos=0)

    def _death(self) -> bytes:
        payload: Any = PayloadMessage()
        payload.metrics.add(name="bdSeq", datatype=INT64, long_value=self.bd_seq)
        return bytes(payload.SerializeToString())


def _fill(metric: Any, tag: Tag) -> None:
    if tag.at is not None:
        metric.timestamp = millis(tag.at)
    if tag.historical:
        metric.is_historical = True
    slot = SLOTS.get(tag.kind)
    if tag.value is None or slot is None:
        metric.is_null = slot is not None  # a table or a template has a value of its own, in a field of its own
    else:
        setattr(metric, slot, int(tag.value) & MASK[slot] if slot in MASK else tag.value)
    if tag.quality is not None:
        metric.properties.keys.append("Quality")
        metric.properties.values.add(type=INT32, int_value=tag.quality)
    if tag.unit:
        metric.properties.keys.append("engUnit")
        metric.properties.values.add(type=STRING, string_value=tag.unit)
