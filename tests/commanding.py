"""Commands for tests: a park with one air handling unit that may be set, and a host that commands it over the wire."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pymodbus.constants import ExcCodes

from rules.control.command import Answer, Command
from rules.wire import topics
from rules.wire.command import ANSWER, answer_of, command_metric
from rules.wire.sparkplug import DataType, Metric, Payload, decode, encode
from rules.wire.topics import Topic, Verb
from tests.field import Meter, device_text, site_text, until

POINT = "AHU-1.supply_setpoint"
SETPOINT = 1  # its register, in tenths
ALLOWED = """
[[allowed]]
point = "AHU-1.supply_setpoint"
low = 16
high = 24
every_s = {every_s}
critical = {critical}
"""


def park_text(port: int, *, every_s: float = 1, critical: bool = False, more: str = "") -> str:
    allowed = ALLOWED.format(every_s=every_s, critical=str(critical).lower())
    return site_text(port, device_text("AHU-1", 1, "rs-ahu1") + more) + allowed


@dataclass
class Plant(Meter):
    """A device that takes what is written, or something else; ``writes`` tell when and what."""

    takes: int | None = None  # what it holds instead of what it is told
    deaf: bool = False  # to writes only: does them and does not answer
    slow_s: float = 0.0  # between doing a write and answering it
    writes: list[int] = field(default_factory=list)
    working: int = 0
    most: int = 0  # questions at the same time

    async def act(
        self, function: int, start: int, address: int, count: int, registers: list[int], new: object
    ) -> ExcCodes | None:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            if isinstance(new, list):
                return await self._written(address, [int(word) for word in new])
            return await super().act(function, start, address, count, registers, new)
        finally:
            self.working -= 1

    async def _written(self, address: int, words: list[int]) -> ExcCodes | None:
        if self.silent:
            return await super().act(6, 0, address, 0, [], None)
        self.writes += words
        for place, word in enumerate(words):
            self.registers[address + place] = word if self.takes is None else self.takes
        await asyncio.sleep(self.slow_s)
        return await Meter(self.address, silent=True).act(6, 0, address, 0, [], None) if self.deaf else None


def command(value: float | None = 20.0, point: str = POINT, **more: object) -> Command:
    now = datetime.now(UTC)
    said: dict[str, object] = {"issued_at": now, "expires_at": now + timedelta(seconds=60), "by": "li.wei", **more}
    return Command(str(said.pop("id", uuid4())), point, value, **said)  # type: ignore[arg-type]


class Host:
    """A host that sends commands to GW-1 of S1 and keeps the answers; it says that it has heard when asked to."""

    def __init__(self, host: str, port: int, username: str | None = None, password: str | None = None) -> None:
        self.answers: list[Answer] = []
        self.polite = True
        self._place = (host, port)
        self._client = Client(CallbackAPIVersion.VERSION2, f"host-{uuid4()}", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username, self._client.password = username, password
        self._client.on_connect = lambda client, *_: client.subscribe("spBv1.0/S1/NDATA/GW-1", qos=1)
        self._client.on_message = lambda _client, _data, message: self._take(message.payload)

    def start(self) -> None:
        self._client.connect(*self._place)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, *commands: Command) -> None:
        for one in commands:
            device = one.point.rpartition(".")[0]
            self.publish(device, command_metric(device, one))

    def publish(self, device: str, *metrics: Metric) -> None:
        topic = str(Topic("S1", Verb.DCMD, "GW-1", device))
        self._client.publish(topic, encode(Payload(None, None, metrics)), qos=1)

    async def ask(self, one: Command) -> Answer:
        """Send a command and give the first answer to it."""
        self.send(one)
        return (await self.told(one.id))[0]

    async def told(self, number: str, times: int = 1, timeout_s: float = 10.0) -> list[Answer]:
        """Give the answers to a command once there are so many."""
        await until(lambda: len([a for a in self.answers if a.id == number]) >= times, timeout_s)
        return [answer for answer in self.answers if answer.id == number]

    def _take(self, data: bytes) -> None:
        for metric in decode(data).metrics:
            if metric.name == ANSWER and metric.value is not None:
                answer = answer_of(metric)
                self.answers.append(answer)
                if self.polite:
                    self.hear(answer.id)

    def hear(self, number: str) -> None:
        metric = Metric(name=topics.ANSWERED, value=number, datatype=DataType.STRING)
        topic = str(Topic("S1", Verb.NCMD, "GW-1"))
        self._client.publish(topic, encode(Payload(None, None, (metric,))), qos=1)
