"""A whole simulated site: its lines as servers, its faults, its truth log and its control socket."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from rules.model.line import AnyLine, ModbusLine
from rules.model.site import SiteFile
from simulators import control, modbus_meter
from simulators.faults import FaultBoard, read_faults
from simulators.served import HOST, PortTakenError, ServedDevice
from simulators.truth import TruthLog
from simulators.world import UnfitSiteError, World


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
    ready: Callable[[], None] | None = None,
    clock: Callable[[], datetime] = wall_clock,
) -> None:
    """Run until cancelled; ``ready`` is called when every port listens.

    Raises UnfitSiteError, InvalidFaultError, PortTakenError or UnwritableTruthError, one sentence each.
    """
    # A taken port is told by PortTakenError; the library's own warning would say it twice.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    world = World(site, seed)
    board = FaultBoard(world)
    for fault in read_faults(faults) if faults else ():
        board.inject(fault, clock())
    for meter in world.meters:
        world.count(meter, clock())  # works the loads out now, not at the first poll
    async with AsyncExitStack() as stack:
        log = stack.enter_context(TruthLog(truth)) if truth else None
        for line in site.line:
            devices = [ServedDevice(d, world, board, clock, log) for d in site.device if d.line == line.code]
            stack.push_async_callback(await _serve(line, devices))
        stack.push_async_callback(_close, await _control(board, control_port, clock))
        if ready:
            ready()
        await asyncio.Event().wait()


async def _serve(line: AnyLine, devices: Sequence[ServedDevice]) -> Callable[[], Awaitable[object]]:
    """Serve a line; gives what ends it.  Raises UnfitSiteError or PortTakenError."""
    match line:
        case ModbusLine():
            return (await modbus_meter.serve_line(line, devices)).shutdown
        case _:
            raise UnfitSiteError(f"line '{line.code}' is {line.driver}, which the simulator does not speak yet")


async def _control(board: FaultBoard, port: int, clock: Callable[[], datetime]) -> asyncio.Server:
    try:
        return await control.serve(board, port, clock)
    except OSError:
        raise PortTakenError(
            f"the control port {port} on {HOST} is taken; stop the program that listens there or name another"
        ) from None


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()
