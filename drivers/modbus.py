"""Modbus TCP: one connection and one queue per line.

Codes are those of the Modbus Application Protocol 1.1b3, section 7.  pymodbus returns exceptions and raises
time-outs; both become ``drivers.errors`` here and no pymodbus type leaves this file.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from drivers.driver import Raw, Request, Span
from drivers.errors import MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.kinds import Table

BUSY_RETRY_S = 0.25  # one second chance for exceptions 5 and 6
HOLE_RETRY_S = 60.0  # a hole is asked again now and then: a device that boots also answers exception 2
_ILLEGAL_FUNCTION = 1
_NO_SUCH_REGISTER = (2, 3)
_DOWN = (4, 10, 11)  # device failure, gateway path unavailable, gateway target does not answer
_BUSY = (5, 6)


class _ReplyError(Exception):
    """An exception response of the device; never leaves this file."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ModbusDriver:
    """A line of Modbus devices behind one TCP endpoint (obeys ``drivers.driver.Driver``)."""

    def __init__(
        self, host: str, port: int, *, timeout_s: float = 1.0, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._client: AsyncModbusTcpClient | None = None
        self._queue = asyncio.Lock()
        self._answering: set[int] = set()  # devices whose last question was answered
        self._splits: dict[Request, tuple[Request, ...]] = {}
        self._holes: dict[tuple[int, Table, Span], float] = {}  # asked again from this time on

    @property
    def _place(self) -> str:
        return f"{self._host}:{self._port}"

    async def open(self) -> None:
        """Connect; raises UnreachableError for the link."""
        async with self._queue:
            await self._connect()

    async def close(self) -> None:
        """Close the connection."""
        self._disconnect()

    async def read(self, request: Request) -> list[Raw]:
        """Ask one block, in parts where the device has holes; one Raw per span, in order."""
        async with self._queue:
            answers = await self._read_parts(request)
            self._answering.add(request.device)
            return answers

    async def _connect(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self._disconnect()
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # its failures come back as our errors
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=self._timeout_s, retries=0, reconnect_delay=0
        )
        if not await client.connect():
            client.close()
            raise UnreachableError(f"{self._place} refused the connection or did not answer", link=True)
        self._client = client
        return client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _read_parts(self, request: Request) -> list[Raw]:
        if request in self._splits:
            return [raw for part in self._splits[request] for raw in await self._read_parts(part)]
        span = request.spans[0]
        hole = (request.device, request.table, span)
        if len(request.spans) == 1 and self._holes.get(hole, 0.0) > self._now_s():
            return [_hole(request)]
        try:
            words = await self._ask_patiently(request)
        except _ReplyError as reply:
            if reply.code in _NO_SUCH_REGISTER:
                return await self._split(request)
            raise self._explained(request, reply.code) from None
        self._holes.pop(hole, None)
        return [Raw(s, words[s.start - request.start : s.start - request.start + s.count]) for s in request.spans]

    async def _split(self, request: Request) -> list[Raw]:
        """Halve a block that holds a register which the device lacks, and remember."""
        if len(request.spans) == 1:
            self._holes[request.device, request.table, request.spans[0]] = self._now_s() + HOLE_RETRY_S
            return [_hole(request)]
        cut = _cut(request.spans)
        parts = tuple(
            Request(request.device, request.table, spans) for spans in (request.spans[:cut], request.spans[cut:])
        )
        answers = [raw for part in parts for raw in await self._read_parts(part)]
        self._splits[request] = parts
        return answers

    async def _ask_patiently(self, request: Request) -> tuple[int, ...]:
        """Ask, and once more if the device is busy."""
        try:
            return await self._ask_steadily(request)
        except _ReplyError as reply:
            if reply.code not in _BUSY:
                raise
        await asyncio.sleep(BUSY_RETRY_S)
        return await self._ask_steadily(request)

    async def _ask_steadily(self, request: Request) -> tuple[int, ...]:
        """Ask, and once more on a new connection if a device that used to answer does not."""
        try:
            return await self._ask(request)
        except UnreachableError as error:
            known = request.device in self._answering
            self._answering.discard(request.device)
            self._forget_splits(request.device)
            if error.link or not known:
                raise
        return await self._ask(request)

    def _forget_splits(self, device: int) -> None:
        """Learn a device anew that was away: it may come back with other registers."""
        self._splits = {request: parts for request, parts in self._splits.items() if request.device != device}

    async def _ask(self, request: Request) -> tuple[int, ...]:
        client = await self._connect()
        read = client.read_holding_registers if request.table is Table.HOLDING else client.read_input_registers
        try:
            reply = await read(request.start, count=request.count, device_id=request.device)
        except ModbusException as error:
            # A late or half answer must not meet the next question: the connection starts afresh.
            self._disconnect()
            raise self._failure(request, error) from None
        except asyncio.CancelledError:
            self._disconnect()
            raise
        return self._words(request, reply)

    def _words(self, request: Request, reply: ModbusPDU) -> tuple[int, ...]:
        if reply.isError():
            raise _ReplyError(reply.exception_code)
        if len(reply.registers) != request.count:
            self._disconnect()
            raise MalformedError(
                f"address {request.device} on {self._place} sent {len(reply.registers)} registers "
                f"where {request.count} were asked"
            )
        return tuple(reply.registers)

    def _failure(self, request: Request, error: ModbusException) -> UnreachableError | MalformedError:
        silent = isinstance(error, ConnectionException) or "No response" in str(error)
        if silent or not isinstance(error, ModbusIOException):
            return UnreachableError(f"no answer from address {request.device} on {self._place}")
        return MalformedError(f"address {request.device} on {self._place} sent an answer that cannot be read")

    def _explained(self, request: Request, code: int) -> UnreachableError | RefusedError | MisconfiguredError:
        who = f"address {request.device} on {self._place}"
        if code in _DOWN:
            self._answering.discard(request.device)
            return UnreachableError(f"no answer from {who} (its gateway says exception {code})")
        if code in _BUSY:
            return UnreachableError(f"{who} is busy (exception {code})")
        if code == _ILLEGAL_FUNCTION:
            return MisconfiguredError(f"{who} does not have {request.table} registers; check its profile")
        return RefusedError(f"{who} refuses to be read (exception {code})")


def _hole(request: Request) -> Raw:
    span = request.spans[0]
    return Raw(span, None, f"the device has no {request.table} register {span.start}; check its profile")


def _cut(spans: tuple[Span, ...]) -> int:
    """Where to part a block: at its widest gap, in the middle when there is none."""
    gaps = [(spans[i].start - spans[i - 1].end, -abs(2 * i - len(spans)), i) for i in range(1, len(spans))]
    return max(gaps)[2]
