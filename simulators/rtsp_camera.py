"""A camera as an RTSP server (RFC 2326): live drawn pictures as JPEG over RTP, inside the one TCP connection.

It misbehaves as its faults say: SILENT reads and answers nothing and sends nothing, GARBAGE sends bytes that are no
RTSP, FREEZE shows one picture for ever, DARK, COVERED, MOVED and INTRUDER change it.
"""

import asyncio
import base64
import hmac
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import cv2

from rules.model.line import CameraLine
from simulators.faults import FaultKind, Injected
from simulators.hall import PLAIN, WALK_S, Hall, Show, walker, walking
from simulators.rtp_jpeg import PAYLOAD_TYPE, TICKS_PER_S, packets
from simulators.served import HOST, PortTakenError, ServedDevice
from simulators.world import UnfitSiteError

FRAMES_PER_S = 10.0
QUALITY = 80
REQUEST_BYTES_MAX = 8192
CONNECTIONS_MAX = 8
UNSENT_BYTES_MAX = 1 << 20  # a client that does not read loses pictures
SILENT_LOOK_S = 0.05
SOURCE = 0x504C414E
GARBAGE = bytes(range(1, 255)) * 16


@dataclass(frozen=True, slots=True)
class Login:
    """Who may look."""

    user: str
    password: str

    def opens(self, header: str) -> bool:
        """Whether an Authorization header is right."""
        wanted = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return hmac.compare_digest(header.encode(), wanted.encode())


class Camera:
    """One camera; ``faults`` are asked for the world's time at every picture and every request."""

    def __init__(
        self,
        hall: Hall,
        clock: Callable[[], datetime],
        faults: Callable[[datetime], Sequence[Injected]],
        *,
        path: str = "/",
        login: Login | None = None,
        walks: bool = True,
    ) -> None:
        self.hall = hall
        self.clock = clock
        self.path = path
        self.login = login
        self.walks = walks  # whether somebody crosses the hall once a minute
        self._faults = faults
        self._drawn: tuple[datetime, bytes] | None = None

    def kinds(self) -> set[FaultKind]:
        """Give how it misbehaves now."""
        return {injected.fault.kind for injected in self._faults(self.clock())}

    def jpeg(self) -> bytes:
        """Give the picture of now; all who look see the same."""
        now = self.clock()
        active = self._faults(now)
        at = next((i.start_at for i in active if i.fault.kind is FaultKind.FREEZE), now)
        if self._drawn is None or not 0 <= (now - self._drawn[0]).total_seconds() < 0.5 / FRAMES_PER_S:
            good, data = cv2.imencode(
                ".jpg",
                self.hall.picture(at, self._show(at, active)),
                [
                    cv2.IMWRITE_JPEG_QUALITY, QUALITY,
                    cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
                ],
            )  # fmt: skip
            assert good
            self._drawn = (now, data.tobytes())
        return self._drawn[1]

    def _show(self, at: datetime, active: Sequence[Injected]) -> Show:
        kinds = {injected.fault.kind for injected in active}
        figures = [walker(self.hall.camera, self.hall.seed, at)] if self.walks else []
        for injected in active:
            passed_s = (at - injected.start_at).total_seconds()
            if injected.fault.kind is FaultKind.INTRUDER and 0 <= passed_s < WALK_S:
                figures.append(walking(passed_s))
        return Show(
            FaultKind.DARK in kinds,
            FaultKind.COVERED in kinds,
            FaultKind.MOVED in kinds,
            tuple(figure for figure in figures if figure is not None),
        ) if kinds or figures else PLAIN  # fmt: skip


@dataclass(slots=True)
class _Talk:
    """One connection and how far it has come."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    channel: int = 0
    playing: asyncio.Task[None] | None = None


class RtspServer:
    """Serves one camera on loopback until it is closed."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Listen; raises OSError for a port that is taken."""
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=REQUEST_BYTES_MAX)

    async def close(self) -> None:
        """Stop as a power cut would."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._talks) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._talk(_Talk(reader, writer)))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def _talk(self, talk: _Talk) -> None:
        try:
            while True:
                request = await self._request(talk.reader)
                if FaultKind.GARBAGE in self.camera.kinds():
                    talk.writer.write(GARBAGE)
                    return
                while FaultKind.SILENT in self.camera.kinds():  # noqa: ASYNC110  # a fault board tells nobody of a change
                    await asyncio.sleep(SILENT_LOOK_S)
                self._answer(talk, *request)
                await talk.writer.drain()
        except (ConnectionError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who looked has gone, or speaks no RTSP
        finally:
            if talk.playing is not None:
                talk.playing.cancel()
            talk.writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
        """Give method, path and headers.  What a player says about its own reception is passed over."""
        while (first := await reader.readexactly(1)) == b"$":
            length = int.from_bytes((await reader.readexactly(3))[1:], "big")
            await reader.readexactly(length)
        lines = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, url, _version = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return method, "/" + url.split("://", 1)[-1].partition("/")[2], headers

    def _answer(self, talk: _Talk, method: str, path: str, headers: dict[str, str]) -> None:
        def say(status: str, *more: str, body: str = "") -> None:
            lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", "Session: 1", *more]
            lines += [f"Content-Length: {len(body)}"] if body else []
            talk.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

        if method == "OPTIONS":
            say("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif self.camera.login is not None and not self.camera.login.opens(headers.get("authorization", "")):
            say("401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
        elif not path.startswith(self.camera.path):
            say("404 Not Found")
        elif method == "DESCRIBE":
            say("200 OK", "Content-Type: application/sdp", body=_description())
        elif method == "SETUP" and "interleaved" in headers.get("transport", ""):
            talk.channel = int(headers["transport"].partition("interleaved=")[2].split("-")[0].split(";")[0])
            say("200 OK", f"Transport: RTP/AVP/TCP;unicast;interleaved={talk.channel}-{talk.channel + 1}")
        elif method == "SETUP":
            say("461 Unsupported Transport")
        elif method == "PLAY":
            say("200 OK", "Range: npt=now-")
            talk.playing = talk.playing or asyncio.get_running_loop().create_task(self._play(talk))
        else:
            say("200 OK")

    async def _play(self, talk: _Talk) -> None:
        """Send pictures until the end; one that is late is left out."""
        loop = asyncio.get_running_loop()
        start_s, sequence = loop.time(), 0
        with suppress(ConnectionError):
            while not self._gone(talk):
                turn = int((loop.time() - start_s) * FRAMES_PER_S) + 1
                silent = FaultKind.SILENT in self.camera.kinds()
                if not silent and talk.writer.transport.get_write_buffer_size() < UNSENT_BYTES_MAX:
                    jpeg = self.camera.jpeg()
                    ticks = int((loop.time() - start_s) * TICKS_PER_S)
                    sent = packets(jpeg, self.camera.hall.size, sequence=sequence, ticks=ticks, source=SOURCE)
                    framed = [struct.pack(">cBH", b"$", talk.channel, len(packet)) + packet for packet in sent]
                    talk.writer.write(b"".join(framed))  # in one piece: who has gone is noticed between two pictures
                    sequence += len(framed)
                await asyncio.sleep(start_s + turn / FRAMES_PER_S - loop.time())

    def _gone(self, talk: _Talk) -> bool:
        if FaultKind.GARBAGE in self.camera.kinds():
            talk.writer.write(GARBAGE)
            talk.writer.close()
        return talk.writer.is_closing()


def _description() -> str:
    lines = ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=SIMULATED", f"c=IN IP4 {HOST}", "t=0 0", "a=control:*"]
    return "\r\n".join([*lines, f"m=video 0 RTP/AVP {PAYLOAD_TYPE}", "a=control:track1", ""])


async def serve_line(line: CameraLine, devices: Sequence[ServedDevice], seed: int) -> RtspServer:
    """Listen where the line leads until ``close()``; raises PortTakenError or UnfitSiteError."""
    host, _, path = line.url.partition("://")[2].partition("/")
    port = host.partition(":")[2]
    if len(devices) != 1 or not port.isdecimal():
        raise UnfitSiteError(f"line '{line.code}' needs one camera, and a port in its url, to be simulated")
    device = devices[0]
    camera = Camera(Hall(device.device.code, seed), device.now, device.faults, path=f"/{path}")
    server = RtspServer(camera)
    try:
        await server.start(int(port))
    except OSError:
        raise PortTakenError(
            f"port {port} of line '{line.code}' on {HOST} is taken; "
            "stop the program that listens there or change the port in the site file"
        ) from None
    return server
