"""An OPC UA server of a real library, with a TCP shim in front that makes its troubles."""

import asyncio
import copy
import logging
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from asyncua import Node, Server, ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.catalogue import parse
from drivers.driver import Asked, Device
from rules.model.line import AnyLine, OpcuaLine
from rules.model.point import Point
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.field import HOST, free_port

TIMEOUT_S = 0.4
LATE_S = 0.7
URI = "urn:ground:plant"
OTHER_URI = "urn:ground:other"
PROFILE = f"""
code = "ground-opcua"
title = "Server"
protocol = "opcua"
namespace = "{URI}"
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
node = "s=M.energy"
scale = 0.01
modulus = 42949672.96
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
node = "i=1001"
resolution = 0.1
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "kW"
node = "s=M.setpoint"
resolution = 0.5
writable = [0, 5000]
"""
LOCAL = {ObjectIds.ObjectsFolder, ObjectIds.Server_NamespaceArray}  # nodes that servers write into by themselves
READ_LIMIT = ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead


class Space:
    """The standard's own nodes, which take seconds to make: made once, and shared by all servers of the run."""

    nodes: dict[ua.NodeId, Any] = {}  # noqa: RUF012  # filled once

    @classmethod
    async def give(cls, server: "Inner") -> None:
        if not cls.nodes:
            await InternalServer.load_standard_address_space(server)
            cls.nodes = dict(server.aspace._nodes)
        server.aspace._nodes = dict(cls.nodes)
        for number in LOCAL:
            node = ua.NodeId(number)
            server.aspace._nodes[node] = copy.deepcopy(cls.nodes[node])


class Talk(InternalSession):
    """A session that can refuse, and takes only so many nodes in one question."""

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        ground = self.iserver.ground
        if self.external:
            ground.reads.append(len(params.NodesToRead))
            if ground.how is Trouble.REFUSING:
                raise ServiceError(StatusCodes.BadServiceUnsupported)
            if len(params.NodesToRead) > ground.nodes_max:
                raise ServiceError(ground.too_many)
        return await super().read(params)

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        ground = self.iserver.ground
        if ground.children is None or not self.external:
            return await super().browse(params)
        return [ground.children(one.NodeId) for one in params.NodesToBrowse]


class Inner(InternalServer):
    """A server whose sessions know their ground."""

    def __init__(self, ground: "OpcuaGround", **more: Any) -> None:
        self.ground = ground
        super().__init__(**more)

    async def load_standard_address_space(self, _: Any = None) -> None:
        await Space.give(self)

    def create_session(self, name: str, user: Any = None, external: bool = False) -> InternalSession:
        self.ground.sessions += 1
        return Talk(self, self.aspace, self.subscription_service, name, user=user, external=external)


class Shim:
    """Stands at the server's address and passes bytes on, as the trouble lets it."""

    def __init__(self, ground: "OpcuaGround") -> None:
        self.ground = ground
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, HOST, self.ground.outer)

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        await self.cut()
        if self.server is not None:
            await self.server.wait_closed()

    async def cut(self) -> None:
        """Break all connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        ends: list[asyncio.StreamWriter] = [writer]
        try:
            back, forth = await asyncio.open_connection(HOST, self.ground.inner)
            ends.append(forth)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, forth, both))
                both.create_task(self._answer(back, writer))
        except (OSError, asyncio.CancelledError, ExceptionGroup, asyncio.IncompleteReadError):
            pass
        finally:
            self.tasks.discard(task)
            for end in ends:
                end.transport.abort()
            for end in ends:
                with suppress(OSError, asyncio.CancelledError):
                    await end.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: asyncio.TaskGroup) -> None:
        while data := await reader.read(65_536):
            self.ground.asked += 1
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(8)
            data = head + await reader.readexactly(struct.unpack("<I", head[4:])[0] - 8)
            match self.ground.how:
                case Trouble.SILENT:
                    continue
                case Trouble.MALFORMED:
                    writer.write(data[:24] + bytes(byte ^ 0xA5 for byte in data[24:]))
                case Trouble.HALF:
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    await asyncio.sleep(60)
                case Trouble.SLOW:
                    await asyncio.sleep(LATE_S)
                    writer.write(data)
                case Trouble.HUGE:
                    writer.write(b"MSGF\xff\xff\xff\xff")
                    while True:
                        writer.write(bytes(100_000))
                        await writer.drain()
                        await asyncio.sleep(0)
                case _:
                    writer.write(data)
            await writer.drain()


class OpcuaGround:
    """Obeys ``tests.contract.ground.Ground``."""

    troubles = frozenset(Trouble)

    def __init__(self, *, subscribe: bool = False, **line: Any) -> None:
        self.how: Trouble | None = None
        self.values = {COUNTER: 0.0, GAUGE: 0.0, SETPOINT: 0.0}
        self.outer, self.inner = free_port(), free_port()
        self.reads: list[int] = []  # nodes in each question
        self.asked = 0
        self.sessions = 0  # asked for since the beginning, the server's own included
        self.nodes_max = 1000
        self.too_many = StatusCodes.BadTooManyOperations
        self.children: Callable[[ua.NodeId], ua.BrowseResult] | None = None  # what a browse finds, if not the truth
        self.before: tuple[str, ...] = ()  # namespaces that stand before ours
        self.server: Server | None = None
        self.shim = Shim(self)
        profile = parse(PROFILE, "ground-opcua")
        if subscribe:
            profile = profile.model_copy(update={"subscribe": True})
        points = tuple(
            Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name)
            for m in profile.measures
        )
        self.device = Device("M", "", profile, points)
        self.line: AnyLine = OpcuaLine.model_validate(
            {"driver": "opcua", "code": "L", "gateway": "G", "url": f"opc.tcp://{HOST}:{self.outer}/plant",
             "poll_s": 1, "timeout_s": TIMEOUT_S, "publish_s": 0.05, **line}
        )  # fmt: skip

    async def prepare(self, server: Server) -> None:
        """Let a test give the server certificates and policies before it starts."""
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])

    async def start(self) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
        server = Server(iserver=Inner(self, **self.inner_options()))
        await server.init()
        server.disable_clock()
        server.set_endpoint(f"opc.tcp://{HOST}:{self.inner}/plant")
        await self.prepare(server)
        for uri in self.before:
            await server.register_namespace(uri)
        self.index = await server.register_namespace(URI)
        self.server = server
        self.folder = await server.nodes.objects.add_object(self.index, "Plant")
        await self.add(f"ns={self.index};s=M.energy", ua.VariantType.UInt32)
        await self.add(f"ns={self.index};i=1001", ua.VariantType.Float)
        setpoint = await self.add(f"ns={self.index};s=M.setpoint", ua.VariantType.Double)
        await setpoint.set_writable()
        self._fill()
        await server.start()
        await self.shim.start()

    def inner_options(self) -> dict[str, Any]:
        return {}

    async def add(self, node: str, kind: ua.VariantType, value: Any = 0) -> Node:
        assert self.server is not None
        name = node.rpartition("=")[2]
        return await self.folder.add_variable(ua.NodeId.from_string(node), name, value, kind)

    async def stop(self) -> None:
        server, self.server = self.server, None
        if server is None:
            return
        await self.shim.stop()
        for session in list(server.iserver._external_sessions.values()):
            await session.close_session(True)
        await server.stop()

    def show(self, values: Mapping[str, float]) -> None:
        self.values.update(values)
        if self.server is not None:
            self._fill()

    def variant(self, measure: str) -> tuple[str, ua.Variant]:
        value = self.values[measure]
        return {
            COUNTER: ("s=M.energy", ua.Variant(round(value * 100), ua.VariantType.UInt32)),
            GAUGE: ("i=1001", ua.Variant(value, ua.VariantType.Float)),
            SETPOINT: ("s=M.setpoint", ua.Variant(value, ua.VariantType.Double)),
        }[measure]

    def _fill(self) -> None:
        for measure in self.values:
            node, variant = self.variant(measure)
            self.place(node, ua.DataValue(variant))

    def place(self, node: str, value: ua.DataValue) -> None:
        """Set what a node holds without telling anybody."""
        assert self.server is not None
        found = self.server.iserver.aspace._nodes[ua.NodeId.from_string(f"ns={self.index};{node}")]
        found.attributes[ua.AttributeIds.Value].value = value

    async def tell(self, measure: str, value: float, at: datetime | None = None, status: int = 0) -> None:
        """Set a measure and tell those who have subscribed."""
        assert self.server is not None
        self.values[measure] = value
        node, variant = self.variant(measure)
        told = ua.DataValue(variant, StatusCode=ua.StatusCode(status), SourceTimestamp=at)
        await self.server.get_node(f"ns={self.index};{node}").write_value(told)

    def held(self, measure: str) -> float:
        if measure == SETPOINT and self.server is not None:
            found = self.server.iserver.aspace._nodes[ua.NodeId.from_string(f"ns={self.index};s=M.setpoint")]
            return float(found.attributes[ua.AttributeIds.Value].value.Value.Value)
        return self.values[measure]

    def trouble(self, how: Trouble | None) -> None:
        self.how = how
