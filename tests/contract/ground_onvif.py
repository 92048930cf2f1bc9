"""A controller of one door and a camera in one box: the simulator of ONVIF, with faults on request."""

import asyncio
from pathlib import Path
from types import MappingProxyType

from rules.model.line import OnvifLine
from simulators.http_server import Request, Response
from simulators.onvif_device import OnvifDevice
from simulators.onvif_soap import DeniedError, denial
from tests.contract.event_ground import shipped
from tests.contract.ground import Trouble
from tests.field import HOST, free_port

USER, PASSWORD = "plantroom", "door-opener"
TIMEOUT_S = 0.8
LATE_S = 1.2
HUGE_PARTS = 4000  # of 16 kB: 64 MB, were somebody to take it
TROUBLES = frozenset(Trouble)


class Misbehaving(OnvifDevice):
    """``how`` it misbehaves, over HTTP and in SOAP."""

    how: Trouble | None = None

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        match self.how:
            case Trouble.SILENT:
                await asyncio.Event().wait()
            case Trouble.REFUSING:
                writer.write(denial(DeniedError("ter:Action", "Action Failed", code="Receiver", status=500)).written())
            case Trouble.MALFORMED:
                writer.write(Response(200, "application/soap+xml", b"<s:Envelope><s:Body>").written())
            case Trouble.HALF:
                good = self.respond(request).written()
                writer.write(good[: len(good) // 2])
                await writer.drain()
                await asyncio.Event().wait()
            case Trouble.SLOW:
                await asyncio.sleep(LATE_S)
                writer.write(self.respond(request).written())
            case Trouble.HUGE:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n")
                for _ in range(HUGE_PARTS):
                    writer.write(b"<a>" + b"x" * 16_384)
                    await writer.drain()
            case None:
                writer.write(self.respond(request).written())


class OnvifGround:
    """Its device is the door."""

    troubles = TROUBLES
    shown = MappingProxyType(
        dict.fromkeys(("door_open", "forced", "held", "tamper", "unlock", "hold_unlocked"), 0.0) | {"locked": 1.0}
    )
    opened = MappingProxyType({"door_open": 1.0})
    lock = "unlock"
    card = "4711"

    def __init__(self) -> None:
        port = free_port()
        self.server = Misbehaving(port, user=USER, password=PASSWORD, doors=("D1", "D2"))
        self.line = OnvifLine(
            driver="onvif", code="L1", gateway="G", url=f"http://{HOST}:{port}/onvif/device_service", user=USER,
            poll_s=1, timeout_s=TIMEOUT_S,
        )  # fmt: skip
        self.device = shipped("onvif-door", "DOOR", "D1")

    def prepare(self, credentials: Path) -> None:
        (credentials / "onvif-L1-password").write_text(PASSWORD, "utf-8")

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def open(self, *, on: bool) -> None:
        self.server.doors["D1"].physical = "Open" if on else "Closed"

    def badge(self) -> None:
        self.server.badge("D1", self.card, granted=False)

    def is_released(self) -> bool:
        return self.server.doors["D1"].lock == "Unlocked"

    def trouble(self, how: Trouble | None) -> None:
        self.server.how = how
