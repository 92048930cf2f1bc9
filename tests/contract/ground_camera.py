"""A camera on loopback for the tests of its driver: the simulated one, and a server of bytes that are no stream."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

from drivers import catalogue
from drivers.driver import Asked, Device
from drivers.errors import UnreachableError
from rules.model.line import CameraLine
from rules.model.point import Point
from rules.model.watch import Watch
from simulators.faults import Fault, FaultKind, Injected
from simulators.hall import Hall
from simulators.rtsp_camera import Camera, Login, RtspServer
from tests.field import HOST, free_port

TIMEOUT_S = 2.0
WATCH = Watch.model_validate(
    {
        "frozen_s": 2,
        "still_every_s": 60,
        "analyse_per_s": 10,
        "intrusion": [{"polygon": [[0.3, 0.5], [0.9, 0.5], [0.9, 1], [0.3, 1]]}],
        "crossing": [{"start": [0.5, 0.2], "end": [0.5, 1]}],
    }
)


def device_of(watch: Watch | None = WATCH, code: str = "CAM-1") -> Device:
    profile = catalogue.load("rtsp-camera")
    points = tuple(
        Asked(Point(f"{code}.{m.name}", code, m.name, m.kind, m.unit, Decimal(1)), m.name)
        for m in profile.wanted(watch)
    )
    return Device(code, "", profile, points, watch, "Asia/Shanghai")


class CameraGround:
    """A simulated camera that serves at one port, however often it is stopped."""

    def __init__(self, login: Login | None = None, path: str = "/live") -> None:
        self.port = free_port()
        self.line = CameraLine(
            driver="camera", code="C1", gateway="G", poll_s=1, timeout_s=TIMEOUT_S,
            url=f"rtsp://{HOST}:{self.port}{path}", user=login.user if login else None,
        )  # fmt: skip
        self.device = device_of()
        self.faults: list[Injected] = []
        hall = Hall("CAM-1", 1)
        self.camera = Camera(hall, lambda: datetime.now(UTC), self._active, path="/live", login=login, walks=False)
        self._server: RtspServer | None = None

    async def start(self) -> None:
        self._server = RtspServer(self.camera)
        await self._server.start(self.port)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.close()
        self._server = None

    def trouble(self, kind: FaultKind | None) -> None:
        self.faults.clear()
        if kind is not None:
            self.faults.append(Injected("1", Fault(kind=kind, device="CAM-1"), datetime.now(UTC), None))

    def _active(self, _at: datetime) -> list[Injected]:
        return list(self.faults)


class Answering:
    """Answers whatever comes with the same bytes, again and again if they are many; silent with none."""

    def __init__(self, port: int, answer: bytes, *, endless: bool = False) -> None:
        self.port, self.answer, self.endless = port, answer, endless
        self.asked: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError):
            while asked := await reader.read(4096):
                self.asked.append(asked)
                writer.write(self.answer)
                while self.endless:
                    writer.write(self.answer)
                    await writer.drain()
        writer.transport.abort()


Values = Mapping[str, float | None]


def values(readings: list[Any]) -> Values:
    return {reading.point.partition(".")[2]: reading.value for reading in readings}


async def reads_until(station: Any, true: Callable[[Values], bool], timeout_s: float = 20.0) -> Values:
    """Read again and again, unreachable or not, until the values are right."""
    async with asyncio.timeout(timeout_s):
        while True:
            with suppress(UnreachableError):
                if true(said := values(await station.read())):
                    return said
            await asyncio.sleep(0.1)


class Redirecting:
    """A camera that asks for the password first, and sends whoever gives it to another host."""

    def __init__(self, port: int, to: int) -> None:
        self.port, self.to = port, to
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(asked)
                number = asked.partition("CSeq: ")[2].split()[0]
                more = f"Location: rtsp://{HOST}:{self.to}/other\r\n"
                status = "302 Moved"
                if "Authorization" not in asked:
                    status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"\r\n'
                if asked.startswith("OPTIONS"):
                    status, more = "200 OK", ""
                writer.write(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}\r\n".encode())
        writer.transport.abort()
