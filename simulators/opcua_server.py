"""Plant behind OPC UA: one server per line, every measure of its device a variable of its name."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.common.callback import CallbackType, ServerItemCallback
from asyncua.common.utils import ServiceError
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from rules.model.line import OpcuaLine
from simulators.faults import FaultKind
from simulators.served import HOST, PortTakenError, ServedDevice
from simulators.sheet import Form, ModbusSheet, Register
from simulators.world import UnfitSiteError

URI = "urn:plantroom:simulator"
PORT = 4840
REFRESH_S = 0.5  # how soon those who subscribed are told
_WHOLE = {Form.UINT16: ua.VariantType.UInt16, Form.INT16: ua.VariantType.Int16, Form.UINT32: ua.VariantType.UInt32,
          Form.INT32: ua.VariantType.Int32, Form.FLOAT32: ua.VariantType.Float}  # fmt: skip


def _kind(register: Register) -> ua.VariantType:
    if register.counter or register.form is Form.FLOAT32 or register.step >= 1:
        return _WHOLE[register.form]
    return ua.VariantType.Double


class OpcuaServer:
    """The server of one line; while its device is silent nobody listens, as if its power were cut."""

    def __init__(self, line: OpcuaLine, served: ServedDevice) -> None:
        self._line = line
        self._served = served
        sheet = served.sheet
        if not isinstance(sheet, ModbusSheet):  # whose forms say which types the variables have
            raise UnfitSiteError(f"device '{served.device.code}' is a '{sheet.model}', which has no OPC UA server")
        self._shown = sheet.registers
        self._registers: dict[ua.NodeId, Register] = {}
        self._server: Server | None = None
        self._space: Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen until ``close``; raises PortTakenError."""
        logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)  # a taken port is told by PortTakenError
        await self._listen()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._fall_silent()

    async def _run(self) -> None:
        """Tell those who subscribed, and come and go as the faults have it."""
        while True:
            await asyncio.sleep(REFRESH_S)
            silent = self._is(FaultKind.SILENT)
            if silent and self._server is not None:
                await self._fall_silent()
            elif not silent and self._server is None:
                with suppress(PortTakenError):  # somebody took it meanwhile: the next look tries again
                    await self._listen()
            if self._server is not None and self._server.iserver.subscription_service.subscriptions:
                await self._refresh(self._registers.values())

    def _is(self, kind: FaultKind) -> bool:
        return kind in {injected.fault.kind for injected in self._served.faults(self._served.now())}

    async def _listen(self) -> None:
        server = Server()
        await server.init()
        server.disable_clock()
        parts = urlsplit(self._line.url)
        server.set_endpoint(parts._replace(netloc=f"{HOST}:{parts.port or PORT}").geturl())
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_server_name(f"Plantroom simulator, {self._line.code}")
        await self._furnish(server)
        try:
            await server.start()
        except OSError:
            raise PortTakenError(
                f"port {parts.port or PORT} of line '{self._line.code}' on {HOST} is taken; "
                "stop the program that listens there or change the port in the site file"
            ) from None
        self._server = server

    async def _furnish(self, server: Server) -> None:
        index = await server.register_namespace(URI)
        device = await server.nodes.objects.add_object(index, self._served.device.code)
        self._registers.clear()
        for register in self._shown:
            node = ua.NodeId(ua.String(register.measure), ua.Int16(index))
            variable = await device.add_variable(node, register.measure, 0, _kind(register))
            if register.writable:
                await variable.set_writable()
            self._registers[node] = register
        self._space = server
        server.subscribe_server_callback(CallbackType.PreRead, self._asked)
        server.subscribe_server_callback(CallbackType.PreWrite, self._judge)
        server.subscribe_server_callback(CallbackType.PostWrite, self._take)
        await self._refresh(self._registers.values())

    async def _fall_silent(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _refresh(self, registers: Iterable[Register]) -> None:
        """Show what the world says now; a counter that is shown is noted."""
        at, wanted = self._served.now(), list(registers)
        if self._space is None or not wanted:
            return
        levels = self._served.levels(at, {register.measure for register in wanted})
        nodes = {register.measure: node for node, register in self._registers.items()}
        for register in wanted:
            value = _value(register, levels.get(register.measure), at)
            await self._space.write_attribute_value(nodes[register.measure], value)
            self._served.tell(at, register, levels.get(register.measure))

    async def _asked(self, event: ServerItemCallback, _: object) -> None:
        """Bring what is asked up to date before it is read."""
        if not event.is_external:
            return
        asked = [
            self._registers[one.NodeId] for one in event.request_params.NodesToRead if one.NodeId in self._registers
        ]
        if asked and self._is(FaultKind.BUSY):
            raise ServiceError(StatusCodes.BadResourceUnavailable)
        for injected in self._served.faults(self._served.now()):
            if asked and injected.fault.kind is FaultKind.DELAY:
                await asyncio.sleep(injected.fault.amount)
        await self._refresh(asked)

    def _judge(self, event: ServerItemCallback, _: object) -> None:
        """Refuse what is out of range."""
        for one in event.request_params.NodesToWrite if event.is_external else ():
            register = self._registers.get(one.NodeId)
            value = one.Value.Value.Value
            if register is None or register.writable is None or not isinstance(value, float | int):
                continue
            low, high = register.writable
            if not low <= value / float(register.step) <= high:
                raise ServiceError(StatusCodes.BadOutOfRange)

    def _take(self, event: ServerItemCallback, _: object) -> None:
        """Take a new set point."""
        if not event.is_external:
            return
        for one, status in zip(event.request_params.NodesToWrite, event.response_params, strict=True):
            register = self._registers.get(one.NodeId)
            if register is not None and register.writable and status.is_good():
                self._served.set_point(float(one.Value.Value.Value), self._served.now())


def _value(register: Register, level: float | None, at: datetime) -> ua.DataValue:
    source = cast("ua.DateTime", at)  # which is a datetime of another name
    if level is None:
        return ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadSensorFailure)), SourceTimestamp=source)
    kind = _kind(register)
    if register.counter:
        number: float = int(level)
    elif kind is ua.VariantType.Double:
        number = float(round(level / float(register.step)) * register.step)
    else:
        number = level if kind is ua.VariantType.Float else round(level)
    return ua.DataValue(ua.Variant(number, kind), SourceTimestamp=source)


async def serve_line(line: OpcuaLine, devices: Sequence[ServedDevice]) -> OpcuaServer:
    """Listen at the line's port until ``close()``; raises UnfitSiteError or PortTakenError."""
    if line.security != "none":
        raise UnfitSiteError(f"line '{line.code}' has security, which the simulator does not speak; leave it out")
    if len(devices) != 1:
        raise UnfitSiteError(f"line '{line.code}' has {len(devices)} devices; an OPC UA server is one")
    server = OpcuaServer(line, devices[0])
    await server.start()
    return server
