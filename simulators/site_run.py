"""A whole simulated site: its lines as servers, its faults, its truth log and its control socket."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rules.model.line import (
    AnyLine,
    BacnetLine,
    CameraLine,
    Cjt188Line,
    Dlt645Line,
    MbusLine,
    ModbusLine,
    OnvifLine,
    OpcuaLine,
    OsdpLine,
    SparkplugLine,
)
from rules.model.site import SiteFile
from simulators import (
    bacnet_device,
    cjt188_meter,
    control,
    dlt645_meter,
    mbus_meter,
    modbus_meter,
    opcua_server,
    rtsp_camera,
)
from simulators.faults import LINE_DOWN, FaultBoard, read_faults
from simulators.http_server import HttpServer
from simulators.page import Page
from simulators.scene import Credential, Scene
from simulators.served import HOST, PortTakenError, ServedDevice
from simulators.truth import TruthLog
from simulators.wire_line import WireLine
from simulators.world import UnfitSiteError, World

LOOK_EVERY_S = 0.1  # whether a line is down or up


def wall_clock() -> datetime:
    """Give the time now, UTC, in whole milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def run(
    site: SiteFile,
    *,
    seed: int,
    faults: Path | None = None,
    truth: Path | None = None,
    control_port: int,
    page_port: int | None = None,
    ready: Callable[[], None] | None = None,
    clock: Callable[[], datetime] = wall_clock,
    credential: Credential = lambda _name: None,
) -> None:
    """Run until cancelled; ``ready`` is called when every port listens.

    Raises UnfitSiteError, InvalidFaultError, PortTakenError or UnwritableTruthError, one sentence each.
    """
    # A taken port is told by PortTakenError; the library's own warning would say it twice.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    world = World(site, seed)
    scene = Scene(credential, clock)
    board = FaultBoard(world)
    for fault in read_faults(faults) if faults else ():
        board.inject(fault, clock())
    for meter in world.meters:
        world.count(meter, clock())  # works the loads out now, not at the first poll
    async with AsyncExitStack() as stack:
        log = stack.enter_context(TruthLog(truth)) if truth else None
        for line in site.line:
            if isinstance(line, SparkplugLine):
                continue  # another maker's gateway: nobody asks for its devices
            if isinstance(line, OnvifLine | OsdpLine):
                stack.push_async_callback(await scene.serve(line, [d for d in site.device if d.line == line.code]))
                continue
            devices = [ServedDevice(d, world, board, clock, log) for d in site.device if d.line == line.code]
            served = _Line(line, devices, seed)
            await served.open()
            stack.push_async_callback(served.close)
        stack.push_async_callback(scene.close)
        stack.push_async_callback(_close, await _control(board, scene, control_port, clock))
        if page_port is not None:
            shown = Page(site, board, scene, page_port, clock).server
            await _shown(shown, page_port)
            stack.push_async_callback(shown.stop)
        if ready:
            ready()
        await asyncio.Event().wait()


class _Line:
    """A line as a server that goes down and comes up again, as its faults say."""

    def __init__(self, line: AnyLine, devices: Sequence[ServedDevice], seed: int) -> None:
        self._serve = partial(_serve, line, devices, seed)
        self._line = line
        self._devices = devices
        self._end: Callable[[], Awaitable[object]] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen, and look after it; raises UnfitSiteError or PortTakenError."""
        self._end = await self._serve()
        if not isinstance(self._line, BacnetLine):  # its devices restart one by one
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop for good."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._end is not None:
            await self._end()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            down = any(i.fault.kind in LINE_DOWN for device in self._devices for i in device.faults(device.now()))
            if down and self._end is not None:
                await self._end()
                self._end = None
            elif not down and self._end is None:
                with suppress(PortTakenError):  # somebody took it meanwhile: the next look tries again
                    self._end = await self._serve()


async def _serve(line: AnyLine, devices: Sequence[ServedDevice], seed: int) -> Callable[[], Awaitable[object]]:
    """Serve a line; gives what ends it.  Raises UnfitSiteError or PortTakenError."""
    match line:
        case ModbusLine():
            return (await modbus_meter.serve_line(line, devices, seed)).shutdown
        case Dlt645Line() | Cjt188Line() | MbusLine():
            return (await _serve_wire(line, devices, seed)).close
        case OpcuaLine():
            return (await opcua_server.serve_line(line, devices)).close
        case CameraLine():
            return (await rtsp_camera.serve_line(line, devices, seed)).close
        case BacnetLine():
            return await bacnet_device.serve_line(line, devices, seed)
        case _:
            raise UnfitSiteError(f"line '{line.code}' is {line.driver}, which the simulator does not speak yet")


async def _serve_wire(line: Dlt645Line | Cjt188Line | MbusLine, devices: Sequence[ServedDevice], seed: int) -> WireLine:
    match line:
        case Dlt645Line():
            return await dlt645_meter.serve_line(line, devices, seed)
        case Cjt188Line():
            return await cjt188_meter.serve_line(line, devices, seed)
        case MbusLine():
            return await mbus_meter.serve_line(line, devices, seed)


async def _control(board: FaultBoard, scene: Scene, port: int, clock: Callable[[], datetime]) -> asyncio.Server:
    try:
        return await control.serve(board, port, clock, scene)
    except OSError:
        raise PortTakenError(
            f"the control port {port} on {HOST} is taken; stop the program that listens there or name another"
        ) from None


async def _shown(server: HttpServer, port: int) -> None:
    try:
        await server.start()
    except OSError:
        raise PortTakenError(
            f"the page's port {port} on {HOST} is taken; stop the program that listens there or name another"
        ) from None


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()
