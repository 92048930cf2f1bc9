"""Many gateways in one process, which cost the box little: their messages are made before the clock starts.

``python -m tests.bench.edges FILE``: FILE holds a ``Load``; says one JSON line when all is acknowledged.  Each gateway
has a connection, an MQTT 5 client of a few lines, and keeps a window in flight like a real one.
"""

import asyncio
import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_agent.window import PROBE_FRAMES, WINDOW_FRAMES
from rules.wire import topics
from rules.wire.schema import PayloadMessage
from rules.wire.sparkplug import DataType, decode
from rules.wire.topics import Topic, Verb

SEQ_COUNT = 256
SILENT_S = 5.0  # without an acknowledgement: everything in flight goes out again, after new births
REPORT_S = 5.0
CONNECT, PUBLISH, SUBSCRIBE = 0x10, 0x30, 0x82
QOS1 = 0x02
KEEPALIVE_S = 600


@dataclass(frozen=True)
class Load:
    """``sites`` sites of ``gateways`` gateways of ``devices`` devices of ``points`` points, read ``rounds`` times.

    The first reading is of ``begin_ms``, each later one ``step_ms`` after; ``historical``: they say that they are old.
    ``per_second`` (0: as fast as they are acknowledged) is how many messages each gateway reads in a second.
    """

    host: str
    port: int
    username: str
    password: str
    sites: int
    gateways: int
    devices: int
    points: int
    rounds: int
    begin_ms: int
    step_ms: int
    rounds_per_frame: int = 1
    historical: bool = False
    per_second: float = 0.0
    first_number: int = 1

    @property
    def readings(self) -> int:
        return self.sites * self.gateways * self.devices * self.points * self.rounds

    @property
    def frames_per_gateway(self) -> int:
        return self.devices * self.rounds // self.rounds_per_frame

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")


def value_of(device: int, point: int, turn: int) -> float:
    """What a point says at a turn: far below every limit."""
    return device * 1e3 + point * 10 + (turn % 80) / 8


def site_code(site: int) -> str:
    return f"BENCH-{site}"


def device_code(site: int, gateway: int, device: int) -> str:
    return f"S{site}G{gateway}D{device}"


class Gateway:
    """One gateway: its messages, its window and what is acknowledged of them."""

    def __init__(self, load: Load, site: int, gateway: int) -> None:
        self.load = load
        self.site, self.gateway = site, gateway
        self.spool = f"spool-{site}-{gateway}"
        self.last = load.frames_per_gateway
        self.committed = self.sent = 0
        self.births = self.resent = 0
        self.done = asyncio.Event()
        self._window = WINDOW_FRAMES
        self._seq = 0
        self._packets: list[bytes] = []
        self._payloads = [self._payload(number) for number in range(1, self.last + 1)]
        self._progress_s = time.monotonic()
        self._begun_s: float | None = None

    def _topic(self, verb: Verb, device: str = "") -> str:
        return str(Topic(site_code(self.site), verb, f"GW-{self.gateway}", device))

    def _device(self, number: int) -> tuple[int, int]:
        """Which device a frame is of, and its first turn."""
        return (number - 1) % self.load.devices, (number - 1) // self.load.devices * self.load.rounds_per_frame

    def _payload(self, number: int) -> bytes:
        load, (device, first) = self.load, self._device(number)
        message: Any = PayloadMessage()
        message.timestamp = load.begin_ms + first * load.step_ms
        message.metrics.add(name=topics.SPOOL, datatype=DataType.STRING, string_value=self.spool)
        alias = device * (load.points + 1)
        said = load.first_number - 1 + number
        message.metrics.add(alias=alias, datatype=DataType.INT64, long_value=said)
        for turn in range(first, first + load.rounds_per_frame):
            for point in range(load.points):
                message.metrics.add(
                    alias=alias + 1 + point,
                    timestamp=load.begin_ms + turn * load.step_ms,
                    datatype=DataType.DOUBLE,
                    is_historical=load.historical,
                    double_value=value_of(device, point, turn),
                )
        return bytes(message.SerializeToString())

    def _say(self, verb: Verb, payload: bytes, device: str = "") -> bytes:
        """Give the packet; field 3 (seq) may stand anywhere in a payload."""
        seq, self._seq = self._seq, (self._seq + 1) % SEQ_COUNT
        return publish(self._topic(verb, device), payload + b"\x18" + bytes(varint(seq)))

    def born(self) -> Iterator[bytes]:
        """Everything is said anew, and what is not acknowledged goes out again."""
        load = self.load
        self.births += 1
        self._seq = 0
        node: Any = PayloadMessage()
        node.metrics.add(name=topics.BD_SEQ, datatype=DataType.INT64, long_value=1)
        node.metrics.add(name=topics.SPOOL, datatype=DataType.STRING, string_value=self.spool)
        node.metrics.add(
            name=topics.COMMITTED, datatype=DataType.INT64, long_value=load.first_number - 1 + self.committed
        )
        yield self._say(Verb.NBIRTH, node.SerializeToString())
        for device in range(load.devices):
            said: Any = PayloadMessage()
            alias = device * (load.points + 1)
            said.metrics.add(name=topics.SPOOL, datatype=DataType.STRING, string_value=self.spool)
            said.metrics.add(name=topics.NUMBER, alias=alias, datatype=DataType.INT64)
            for point in range(load.points):
                metric = said.metrics.add(name=f"m{point}", alias=alias + 1 + point, datatype=DataType.DOUBLE)
                for key, text in ((topics.UNIT, "kW"), (topics.KIND, "gauge"), (topics.RESOLUTION, "0.125")):
                    metric.properties.keys.append(key)
                    metric.properties.values.add(type=DataType.STRING, string_value=text)
            yield self._say(Verb.DBIRTH, said.SerializeToString(), device_code(self.site, self.gateway, device))
        self.resent += self.sent - self.committed
        self.sent = self.committed

    def report(self) -> bytes:
        """What a gateway says now and then, so that a hub that has come later asks for births."""
        said: Any = PayloadMessage()
        said.metrics.add(name=topics.DEPTH, datatype=DataType.INT64, long_value=0)
        said.metrics.add(name=topics.SPOOL, datatype=DataType.STRING, string_value=self.spool)
        return self._say(Verb.NDATA, said.SerializeToString())

    def begin(self, now_s: float) -> None:
        self._begun_s = self._progress_s = now_s

    def due(self, now_s: float) -> list[bytes]:
        """What may go out now."""
        if self._begun_s is None:
            return []
        most = min(self.last, self.committed + self._window)
        if self.load.per_second:
            most = min(most, int((now_s - self._begun_s) * self.load.per_second) + 1)
        packets = []
        while self.sent < most:
            self.sent += 1
            device, _ = self._device(self.sent)
            code = device_code(self.site, self.gateway, device)
            packets.append(self._say(Verb.DDATA, self._payloads[self.sent - 1], code))
        return packets

    def heard(self, payload: bytes, now_s: float) -> bool:
        """Take a command; gives whether births are asked for."""
        said = {metric.name: metric.value for metric in decode(payload).metrics}
        number = said.get(topics.COMMITTED)
        if isinstance(number, int) and said.get(topics.COMMITTED_OF) == self.spool:
            number -= self.load.first_number - 1
            if number > self.committed:
                self.committed, self._progress_s = number, now_s
                self.sent, self._window = max(self.sent, number), WINDOW_FRAMES
            if self.committed >= self.last:
                self.done.set()
        return said.get(topics.REBIRTH) is True

    def stuck(self, now_s: float) -> bool:
        return self._begun_s is not None and self.sent > self.committed and now_s - self._progress_s > SILENT_S

    def again(self, now_s: float) -> None:
        """Start again after what is acknowledged."""
        self.resent += self.sent - self.committed
        self.sent, self._progress_s, self._window = self.committed, now_s, PROBE_FRAMES  # as a real one does


def varint(number: int) -> Iterator[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def text(words: str) -> bytes:
    data = words.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind, *varint(len(body))]) + body


def publish(topic: str, payload: bytes) -> bytes:
    """QoS 1 as a real edge; the packet id is of no use here, since acknowledgement is the hub's."""
    return packet(PUBLISH | QOS1, text(topic) + b"\x00\x01\x00" + payload)


async def serve(gateway: Gateway, load: Load) -> None:
    """One connection, until all is acknowledged; opens anew when it is cut."""
    while not gateway.done.is_set():
        try:
            reader, writer = await asyncio.open_connection(load.host, load.port)
        except OSError:
            await asyncio.sleep(0.2)
            continue
        try:
            await _talk(gateway, load, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.2)
        finally:
            writer.close()


async def _talk(gateway: Gateway, load: Load, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    name = text(f"edge-{gateway.site}-{gateway.gateway}-{load.begin_ms}")
    flags = b"\x05\xc2" + struct.pack(">H", KEEPALIVE_S) + b"\x00"
    writer.write(packet(CONNECT, text("MQTT") + flags + name + text(load.username) + text(load.password)))
    command = str(Topic(site_code(gateway.site), Verb.NCMD, f"GW-{gateway.gateway}"))
    writer.write(packet(SUBSCRIBE, b"\x00\x01\x00" + text(command) + b"\x00"))
    writer.writelines(gateway.born())
    ticking = asyncio.create_task(_tick(gateway, writer))
    try:
        while not gateway.done.is_set():
            kind, body = await _read(reader)
            if kind & 0xF0 != PUBLISH:
                continue
            (size,) = struct.unpack_from(">H", body)
            if gateway.heard(body[size + 3 :], time.monotonic()):
                writer.writelines(gateway.born())
            writer.writelines(gateway.due(time.monotonic()))
    finally:
        ticking.cancel()


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (kind,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (octet,) = await reader.readexactly(1)
        length |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:  # the last one
            return kind, await reader.readexactly(length)


async def _tick(gateway: Gateway, writer: asyncio.StreamWriter) -> None:
    report_s = 0.0
    while True:
        now_s = time.monotonic()
        if now_s >= report_s:
            writer.write(gateway.report())
            report_s = now_s + REPORT_S
        if gateway.stuck(now_s):
            gateway.again(now_s)
        writer.writelines(gateway.due(now_s))
        await asyncio.sleep(0.02 if gateway.load.per_second else 0.25)


async def run(load: Load) -> dict[str, float]:
    """Bear everything, send everything, give how long the sending took until all was acknowledged."""
    gateways = [Gateway(load, site, number) for site in range(load.sites) for number in range(load.gateways)]
    tasks = [asyncio.create_task(serve(gateway, load)) for gateway in gateways]
    await asyncio.to_thread(sys.stdin.readline)  # whoever started us has seen the points
    begun_s = time.monotonic()
    for gateway in gateways:
        gateway.begin(begun_s)
    await asyncio.gather(*(gateway.done.wait() for gateway in gateways))
    took_s = time.monotonic() - begun_s
    for task in tasks:
        task.cancel()
    return {
        "took_s": took_s,
        "readings": load.readings,
        "births": sum(gateway.births for gateway in gateways),
        "resent": sum(gateway.resent for gateway in gateways),
    }


if __name__ == "__main__":
    said = asyncio.run(run(Load(**json.loads(Path(sys.argv[1]).read_text("utf-8")))))
    sys.stdout.write(json.dumps(said) + "\n")
