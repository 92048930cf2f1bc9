"""A small edge of its own for tests: makes the messages that a gateway sends, under full control of the test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hub.ingest.inbox import Message, message
from rules.model.quality import Quality
from rules.wire import topics
from rules.wire.sparkplug import DataType, Metric, Payload, Value, encode
from rules.wire.topics import Topic, Verb
from tests.builders import MEASURES

Said = tuple[str, datetime, Value]


@dataclass
class PretendEdge:
    """Keeps ``seq`` and the aliases; ``spool`` '' stands for an edge of another maker."""

    site: str = "RIVERSIDE"
    gateway: str = "GW-1"
    spool: str = "spool-one"
    devices: Mapping[str, str] = field(default_factory=lambda: {"EM-A-MAIN": "rs-em3"})  # code -> profile
    bd_seq: int = 1
    signs: bool = False  # names its spool in every message
    seq: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        names = [
            (device, name) for device, profile in self.devices.items() for name in (topics.NUMBER, *MEASURES[profile])
        ]
        self.aliases = {key: alias for alias, key in enumerate(names, 1)}

    def message(self, verb: Verb, metrics: Sequence[Metric], device: str = "", *, seq: bool = True) -> Message:
        if self.signs and verb is not Verb.NBIRTH:
            metrics = [*metrics, Metric(name=topics.SPOOL, value=self.spool, datatype=DataType.STRING)]
        payload = encode(Payload(None, self.seq if seq else None, tuple(metrics)))
        if seq:
            self.seq = (self.seq + 1) % 256
        return message(str(Topic(self.site, verb, self.gateway, device)), payload)

    def births(self, committed: int = 0) -> list[Message]:
        self.seq = 0
        node = [Metric(name=topics.BD_SEQ, value=self.bd_seq, datatype=DataType.INT64)]
        if self.spool:
            node.append(Metric(name=topics.SPOOL, value=self.spool, datatype=DataType.STRING))
            node.append(Metric(name=topics.COMMITTED, value=committed, datatype=DataType.INT64))
        return [self.message(Verb.NBIRTH, node), *(self.device_birth(device) for device in self.devices)]

    def device_birth(self, device: str) -> Message:
        metrics = [self._born(device, topics.NUMBER, {})]
        for measure, (kind, unit, resolution, modulus) in MEASURES[self.devices[device]].items():
            said = {topics.KIND: kind, topics.UNIT: unit, topics.RESOLUTION: resolution}
            metrics.append(self._born(device, measure, said if modulus is None else {**said, topics.MODULUS: modulus}))
        return self.message(Verb.DBIRTH, metrics, device)

    def _born(self, device: str, name: str, properties: dict[str, str]) -> Metric:
        return Metric(name=name, alias=self.aliases[device, name], properties=properties)

    def death(self) -> Message:
        return self.message(
            Verb.NDEATH, [Metric(name=topics.BD_SEQ, value=self.bd_seq, datatype=DataType.INT64)], seq=False
        )

    def device_death(self, device: str) -> Message:
        return self.message(Verb.DDEATH, [], device)

    def data(
        self, device: str, said: Sequence[Said], *, number: int | None = None, historical: bool = False,
        extra: Sequence[Metric] = (), quality: Quality = Quality.GOOD,
    ) -> Message:  # fmt: skip
        """One frame; without ``number`` the next one."""
        self.number = self.number + 1 if number is None else number
        head = [Metric(alias=self.aliases[device, topics.NUMBER], value=self.number, datatype=DataType.INT64)]
        metrics = [
            Metric(alias=self.aliases[device, measure], at=at, value=value, historical=historical, quality=quality)
            for measure, at, value in said
        ]
        return self.message(Verb.DDATA, [*(head if self.spool else []), *metrics, *extra], device)
