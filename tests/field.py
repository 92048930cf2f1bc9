"""The field side for tests: site files, Modbus devices with a memory, a tiny hub that acknowledges."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from rules.wire import topics
from rules.wire.sparkplug import DataType as WireType
from rules.wire.sparkplug import Metric, Payload, decode, encode
from rules.wire.topics import Topic, Verb

HOST = "127.0.0.1"
SPACE = 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def site_text(port: int, devices: str = "", *, gateway: str = "", poll_s: float = 0.2) -> str:
    return f"""
[organisation]
code = "ORG"
name_zh = "组织"
name_en = "Organisation"
[site]
code = "S1"
name_zh = "园区"
name_en = "Park"
timezone = "Asia/Shanghai"
currency = "CNY"
[[building]]
code = "A"
name_zh = "甲"
name_en = "A"
floors = []
[[gateway]]
code = "GW-1"
{gateway}
[[line]]
code = "L1"
gateway = "GW-1"
driver = "modbus"
host = "{HOST}"
port = {port}
poll_s = {poll_s}
timeout_s = 0.3
{devices or device_text("EM-1", 1)}
"""


def device_text(code: str, address: int, profile: str = "rs-em3", more: str = "") -> str:
    return f"""
[[device]]
code = "{code}"
name_zh = "{code}"
name_en = "{code}"
line = "L1"
address = {address}
profile = "{profile}"
role = "main"
space = "A"
{more}
"""


def write_site(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


@dataclass
class Meter:
    """A device that remembers what it was asked, and misbehaves on request."""

    address: int
    registers: dict[int, int] = field(default_factory=dict)
    holes: set[int] = field(default_factory=set)
    replies: list[ExcCodes | None] = field(default_factory=list)  # one per request, then good again
    silent: bool = False
    ticking: bool = False  # register 1 counts requests
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def act(
        self, _function: int, start: int, address: int, count: int, registers: list[int], _new: object
    ) -> ExcCodes | None:
        self.asked.append((address, count))
        if self.silent:
            raise NoSuchIdException
        reply = self.replies.pop(0) if self.replies else None
        if reply is not None:
            return reply
        if self.holes & set(range(address, address + count)):
            return ExcCodes.ILLEGAL_ADDRESS
        if self.ticking and address == 0:
            self.registers[1] = self.registers.get(1, 0) + 1
        for place in range(address, address + count):
            registers[place - start] = self.registers.get(place, 0)
        return None

    def unit(self) -> SimDevice:
        space = SimData(0, count=SPACE, values=0, datatype=DataType.REGISTERS)
        return SimDevice(id=self.address, simdata=[space], action=self.act)


@asynccontextmanager
async def serving(port: int, *meters: Meter) -> AsyncIterator[None]:
    server = ModbusTcpServer([meter.unit() for meter in meters], address=(HOST, port), ignore_missing_devices=True)
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


async def until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110  # what is waited for lives in other threads
            await asyncio.sleep(0.02)


class TinyHub:
    """Keeps frames by number, contiguously, as the real hub does; can be deaf, forget its births, be killed."""

    def __init__(self, host: str, port: int, username: str | None = None, password: str | None = None) -> None:
        self.committed = 0
        self.spool = ""
        self.readings: dict[tuple[str, int], float | None] = {}
        self.twice = 0  # frames that came again after they were committed
        self.births: dict[str, Payload] = {}
        self.names: dict[int, str] = {}
        self.seen: list[tuple[Verb, str]] = []
        self.historical = 0
        self.previewed: set[tuple[str, object]] = set()  # readings that came ahead of their numbered frame
        self.deaf = False
        self._client = Client(CallbackAPIVersion.VERSION2, "tiny-hub", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username, self._client.password = username, password
        self._client.on_connect = lambda client, *_: client.subscribe("spBv1.0/S1/#", qos=1)
        self._client.on_message = lambda _client, _data, message: self._take(message.topic, message.payload)
        self._host, self._port = host, port

    def start(self) -> None:
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(self._host, self._port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def command(self, *metrics: Metric) -> None:
        topic = str(Topic("S1", Verb.NCMD, "GW-1"))
        self._client.publish(topic, encode(Payload(None, None, metrics)), qos=1)

    def ask_rebirth(self) -> None:
        self.command(Metric(name=topics.REBIRTH, value=True, datatype=WireType.BOOLEAN))

    def acknowledge(self) -> None:
        self.command(
            Metric(name=topics.COMMITTED, value=self.committed, datatype=WireType.INT64),
            Metric(name=topics.COMMITTED_OF, value=self.spool, datatype=WireType.STRING),
        )

    def _take(self, topic_text: str, data: bytes) -> None:
        topic = topics.parse(topic_text)
        if topic is None or topic.verb is Verb.NCMD:
            return
        self.seen.append((topic.verb, topic.device))
        if self.deaf:
            return
        payload = decode(data)
        if topic.verb is Verb.NBIRTH:
            self.spool = next(str(m.value) for m in payload.metrics if m.name == topics.SPOOL)
        elif topic.verb is Verb.DBIRTH:
            self.births[topic.device] = payload
            self.names.update((m.alias or 0, f"{topic.device}.{m.name}") for m in payload.metrics)
        elif topic.verb is Verb.DDATA:
            self._commit(payload)

    def _commit(self, payload: Payload) -> None:
        values = [(self.names[m.alias or 0], m) for m in payload.metrics]
        number = next((int(m.value or 0) for name, m in values if name.endswith(topics.NUMBER)), None)
        if number is None:
            self.previewed.update((name, m.at) for name, m in values if m.at is not None)
            return
        if number == self.committed + 1:
            for name, metric in values:
                if metric.at is not None:
                    key = (name, int(metric.at.timestamp() * 1000))
                    assert key not in self.readings
                    self.readings[key] = metric.value  # type: ignore[assignment]
                    self.historical += metric.historical
            self.committed = number
        elif number <= self.committed:
            self.twice += 1
        self.acknowledge()
