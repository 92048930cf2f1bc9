"""One session with one OPC UA server: made when it is asked for, made anew when it is lost, never more than one.

A connection that breaks is followed by one that takes up the same session again (OPC 10000-4, 6.7), so that a bad
link leaves no row of forgotten sessions at the server; a server that has forgotten it is asked for a new one.
"""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from drivers.errors import DriverError, MalformedError, MisconfiguredError, UnreachableError
from drivers.opcua.door import Door
from drivers.opcua.profile import OPC_NAMESPACE
from drivers.opcua.status import GONE, SaidNoError, reaction
from drivers.opcua.wire import WireClient
from rules.model.line import OpcuaLine

CONNECT_WAITS = 4.0  # times the line's time-out that making a session may take in all
CLOSE_S = 1.0
ATTEMPTS = 3  # of one piece of work: sessions that turn out to be gone are made anew
REFUSED_S = 30.0  # who was not let in does not knock at every poll: accounts get locked
RENEW_SHARE = 0.75  # of a channel's life (OPC 10000-4, 5.6.2)
RENEW_MIN_S = 10.0
NAMESPACES_MAX = 1000
GARBAGE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, struct.error, UaError,
    InvalidSignature,
)  # fmt: skip
LIMITS = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
)

T = TypeVar("T")


class AgainError(Exception):
    """The connection is gone and the work begins again on a new one; never leaves drivers/opcua."""


@dataclass(eq=False)
class Connection:
    """A session that is up: the server's namespaces in their order, and its limits (0: it names none)."""

    place: str
    client: WireClient
    namespaces: tuple[str, ...] = (OPC_NAMESPACE,)
    limits: dict[int, int] = field(default_factory=dict)

    @property
    def session(self) -> Any:
        """The library's session, whose questions are sent through ``ask``."""
        return self.client.uaclient.session

    async def ask(self, question: Awaitable[T]) -> T:
        """Await an answer; raises UnreachableError, MalformedError or SaidNoError."""
        try:
            return await question
        except TimeoutError:
            self.client.cut()
            raise UnreachableError(f"no answer from {self.place}", link=True) from None
        except OSError:
            self.client.cut()
            raise UnreachableError(f"{self.place} closed the connection", link=True) from None
        except UaStatusCodeError as error:
            raise SaidNoError(error.code) from None
        except GARBAGE:
            self.client.cut()
            raise MalformedError(f"{self.place} sent an answer that cannot be read") from None

    async def read(self, nodes: ua.ReadParameters) -> list[ua.DataValue]:
        """Read; one value for each node, in order.  Raises as ``ask`` does."""
        values: list[ua.DataValue] = await self.ask(self.session.read(nodes))
        if len(values) != len(nodes.NodesToRead):
            self.client.cut()
            raise MalformedError(f"{self.place} answered {len(values)} nodes where {len(nodes.NodesToRead)} were asked")
        return values

    def at_most(self, limit: int, ours: int) -> int:
        """Give how many nodes go into one question: ours, or the server's limit where that is less."""
        theirs = self.limits.get(limit, 0)
        return min(theirs, ours) if theirs > 0 else ours


class Session:
    """The way to one server; one question at a time."""

    def __init__(
        self, line: OpcuaLine, now: Callable[[], datetime], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; nothing is opened yet."""
        self.door = Door(line, now)
        self._line = line
        self._monotonic_s = monotonic_s
        self._queue = asyncio.Lock()
        self._client: WireClient | None = None
        self._connection: Connection | None = None
        self._made: WireClient | None = None  # that is being connected
        self._renew_s = 0.0
        self._turn = 0  # goes up when the line is closed: what was opening then is let go of
        self._refusal: DriverError | None = None
        self._refused_until_s = 0.0

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do one piece of work with the server; raises drivers.errors only."""
        async with self._queue:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return await work(await self._opened())
                except AgainError as error:
                    if attempt == ATTEMPTS:
                        raise UnreachableError(str(error), link=True) from None
                except SaidNoError as error:
                    if error.code in GONE:
                        self._forget()
                        if attempt < ATTEMPTS:
                            continue
                    raise reaction(self._line.place, error.code) from None
            raise AssertionError  # the last attempt raises

    async def close(self) -> None:
        """Close the session where the server still listens, and let go of the connection."""
        self._turn += 1
        client, self._client, self._connection = self._client, None, None
        if self._made is not None:
            self._made.cut()
        if client is not None:
            await self._leave(client)

    async def _leave(self, client: WireClient) -> None:
        try:
            if client.connected:
                async with asyncio.timeout(min(self._line.timeout_s, CLOSE_S)):
                    await client.uaclient.close_session(delete_subscriptions=True)
        except (OSError, *GARBAGE):
            pass  # it will forget the session by itself
        finally:
            client.cut()
            await asyncio.sleep(0)  # the transport closes in the next turn

    def _forget(self) -> None:
        """Let go of a session that the server does not know any more."""
        if self._client is not None:
            self._client.cut()
        self._client = self._connection = None

    async def _opened(self) -> Connection:
        if self._connection is not None and self._connection.client.connected:
            await self._renewed(self._connection)
            return self._connection
        self._connection, turn = None, self._turn
        if self._refusal is not None and self._monotonic_s() < self._refused_until_s:
            raise self._refusal
        try:
            async with asyncio.timeout(CONNECT_WAITS * self._line.timeout_s):
                connection = await self._connect()
        except TimeoutError:
            raise UnreachableError(f"no answer from {self._line.place}", link=True) from None
        except MisconfiguredError as error:
            self._refusal, self._refused_until_s = error, self._monotonic_s() + REFUSED_S
            raise
        self._refusal = None
        if turn != self._turn:
            await self._leave(connection.client)
            raise UnreachableError(f"the line to {self._line.place} was closed")
        self._connection, self._client = connection, connection.client
        return connection

    async def _connect(self) -> Connection:
        old, self._client = self._client, None
        if old is not None:
            old.cut()
            if old.uaclient.has_session and (connection := await self._resumed(old)) is not None:
                return connection
        client = await self._step(self.door.client())
        with self._making(client):
            try:
                await self._step(self.door.enter(client))
            except SaidNoError as error:
                raise reaction(self._line.place, error.code) from None
            return await self._known(client)

    async def _resumed(self, client: WireClient) -> Connection | None:
        """Take up an old session; None when the server knows it no more, which is asked once only."""
        with self._making(client):
            try:
                await self._step(client.open_channel())
            except UnreachableError:
                self._client = client  # for the next time
                raise
            try:
                await self._step(client.resume())
                return await self._known(client)
            except SaidNoError:
                client.cut()
                return None

    @contextmanager
    def _making(self, client: WireClient) -> Iterator[None]:
        """Let go of a connection that does not come about."""
        self._made, made = client, False
        try:
            yield
            made = True
        finally:
            self._made = None
            if not made:
                client.cut()

    async def _step(self, doing: Awaitable[T]) -> T:
        """Await one part of connecting; raises UnreachableError, MalformedError, MisconfiguredError, SaidNoError."""
        try:
            return await doing
        except (TimeoutError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise UnreachableError(f"no answer from {self._line.place}", link=True) from None
            raise UnreachableError(
                f"no connection to {self._line.place}; is the server on, are address and port right", link=True
            ) from None
        except UaStatusCodeError as error:
            raise SaidNoError(error.code) from None
        except GARBAGE:
            raise MalformedError(f"{self._line.place} sent an answer that cannot be read") from None

    async def _known(self, client: WireClient) -> Connection:
        """Learn the order of the namespaces, which may be another at every start, and the server's limits."""
        connection = Connection(self._line.place, client)
        (value,) = await connection.read(_reading(ObjectIds.Server_NamespaceArray))
        found = value.Value.Value if value.Value is not None else None
        if isinstance(found, list) and 0 < len(found) <= NAMESPACES_MAX:
            connection.namespaces = tuple(str(uri) for uri in found)
        try:
            values = await connection.read(_reading(*LIMITS))
        except SaidNoError:
            values = []
        for limit, value in zip(LIMITS, values, strict=False):
            number = value.Value.Value if value.Value is not None else None
            if isinstance(number, int):
                connection.limits[limit] = number
        life_s = max(client.secure_channel_timeout / 1000, RENEW_MIN_S)
        self._renew_s = self._monotonic_s() + RENEW_SHARE * life_s
        return connection

    async def _renewed(self, connection: Connection) -> None:
        if self._monotonic_s() < self._renew_s:
            return
        try:
            await connection.ask(connection.client.open_secure_channel(renew=True))
        except (SaidNoError, MalformedError) as error:
            connection.client.cut()
            raise AgainError(f"{connection.place} does not renew the channel: {error}") from None
        life_s = max(connection.client.secure_channel_timeout / 1000, RENEW_MIN_S)
        self._renew_s = self._monotonic_s() + RENEW_SHARE * life_s


def _reading(*nodes: int) -> ua.ReadParameters:
    wanted = [ua.ReadValueId(NodeId=ua.NodeId(ua.Int32(node)), AttributeId=AttributeIds.Value) for node in nodes]
    return ua.ReadParameters(NodesToRead=wanted)
