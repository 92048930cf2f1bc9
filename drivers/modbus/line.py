"""Lines of Modbus devices: one connection and one queue each.

Codes are those of the Modbus Application Protocol 1.1b3, section 7.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from pymodbus.pdu import ModbusPDU

from drivers.driver import Device
from drivers.errors import MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.modbus.answer import Answer, joined, none
from drivers.modbus.blocks import Request, Span
from drivers.modbus.link import Client, Link
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Table
from drivers.modbus.station import ModbusStation
from rules.model.line import ModbusLine

BUSY_RETRY_S = 0.25  # one second chance for exceptions 5 and 6
HOLE_RETRY_S = 60.0  # a hole is asked again now and then: a device that boots also answers exception 2
_ILLEGAL_FUNCTION = 1
_NO_SUCH_REGISTER = (2, 3)
_DOWN = (4, 10, 11)  # device failure, gateway path unavailable, gateway target does not answer
_BUSY = (5, 6)

_OBJECTS = {0: "maker", 1: "model", 2: "firmware"}


class _ReplyError(Exception):
    """An exception response of the device; never leaves this file."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ModbusDriver:
    """A line of Modbus devices behind one endpoint (obeys ``drivers.driver.Driver``)."""

    def __init__(
        self, line: ModbusLine, now: Callable[[], datetime], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare a line; ``now`` stamps the readings, ``monotonic_s`` tells when a hole is asked again."""
        self.now = now
        self._line = line
        self._monotonic_s = monotonic_s
        self._link = Link(line)
        self._queue = asyncio.Lock()
        self._answering: set[int] = set()  # units whose last question was answered
        self._splits: dict[Request, tuple[Request, ...]] = {}
        self._holes: dict[tuple[int, Table, Span], float] = {}  # asked again from this time on

    def station(self, device: Device) -> "ModbusStation":
        """Give a device on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, ModbusProfile):
            raise MisconfiguredError(
                f"device '{device.code}' has a profile of {device.profile.protocol}, not of modbus"
            )
        return ModbusStation(self, device, device.profile)

    @property
    def _place(self) -> str:
        return self._line.place

    async def close(self) -> None:
        """Close the connection."""
        self._link.drop()

    @property
    def connections(self) -> int:
        """How often the connection was made."""
        return self._link.made

    async def ask(self, request: Request) -> Answer:
        """Ask one block, in parts where the device has holes; raises a DriverError when nothing can be answered."""
        async with self._queue:
            answers = await self._read_parts(request)
            self._answering.add(request.unit)
            return answers

    async def _read_parts(self, request: Request) -> Answer:
        if request in self._splits:
            return await self._ask_parts(request, self._splits[request])
        hole = (request.unit, request.table, request.spans[0])
        alone = len(request.spans) == 1
        if alone and self._holes.get(hole, 0.0) > self._monotonic_s():
            return _hole(request)
        try:
            words = await self._ask_patiently(request)
        except _ReplyError as reply:
            if reply.code in _NO_SUCH_REGISTER:
                return await self._split(request)
            raise self._explained(request.unit, f"{request.table} {request.table.each}s", reply.code) from None
        if alone:
            self._holes.pop(hole, None)
        return Answer(request, words, {})

    async def _ask_parts(self, request: Request, parts: Sequence[Request]) -> Answer:
        return joined(request, [await self._read_parts(part) for part in parts])

    async def _split(self, request: Request) -> Answer:
        """Halve a block that holds a register which the device lacks, and remember."""
        if len(request.spans) == 1:
            self._holes[request.unit, request.table, request.spans[0]] = self._monotonic_s() + HOLE_RETRY_S
            return _hole(request)
        cut = _cut(request.spans)
        parts = tuple(
            Request(request.unit, request.table, spans) for spans in (request.spans[:cut], request.spans[cut:])
        )
        answer = await self._ask_parts(request, parts)
        self._splits[request] = parts
        return answer

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
            known = request.unit in self._answering
            self._answering.discard(request.unit)
            self._forget_splits(request.unit)
            if error.link or not known:
                raise
        return await self._ask(request)

    def _forget_splits(self, device: int) -> None:
        """Learn a device anew that was away: it may come back with other registers."""
        self._splits = {request: parts for request, parts in self._splits.items() if request.unit != device}

    async def _ask(self, request: Request) -> tuple[int, ...]:
        read = _READS[request.table]
        reply = await self._link.exchange(request.unit, lambda client: read(client, request))
        return self._words(request, reply)

    async def identify(self, unit: int) -> dict[str, str]:
        """Give what a unit says by function 43/14 (section 6.21); nothing where it does not have that."""
        async with self._queue:
            try:
                reply = await self._link.exchange(
                    unit, lambda client: client.read_device_information(read_code=1, object_id=0, device_id=unit)
                )
            except (UnreachableError, MalformedError):
                return {}
        told = {} if reply.isError() else getattr(reply, "information", {})
        return {name: said for number, name in _OBJECTS.items() if (said := _letters(told.get(number, b"")))}

    async def write(self, unit: int, table: Table, address: int, words: tuple[int, ...]) -> None:
        """Write a coil by function 5, holding registers by function 6 (one) or 16 (more).

        It is not repeated when no answer comes: it may have been done.
        """
        async with self._queue:
            reply = await self._link.exchange(unit, lambda client: _write(client, unit, table, address, words))
        if reply.isError():
            raise self._explained(unit, f"register {address}, which cannot be set so", reply.exception_code)

    def _words(self, request: Request, reply: ModbusPDU) -> tuple[int, ...]:
        if reply.isError():
            raise _ReplyError(reply.exception_code)
        single = request.table.single
        came = len(reply.bits) if single else len(reply.registers)
        if came != (-(-request.count // 8) * 8 if single else request.count):  # bits travel in whole octets
            self._link.drop()
            raise MalformedError(
                f"address {request.unit} on {self._place} sent {came} {request.table.each}s "
                f"where {request.count} were asked"
            )
        return tuple(int(bit) for bit in reply.bits[: request.count]) if single else tuple(reply.registers)

    def _explained(self, unit: int, what: str, code: int) -> UnreachableError | RefusedError | MisconfiguredError:
        who = f"address {unit} on {self._place}"
        if code in _DOWN:
            self._answering.discard(unit)
            return UnreachableError(f"no answer from {who} (its gateway says exception {code})")
        if code in _BUSY:
            return UnreachableError(f"{who} is busy (exception {code})")
        if code == _ILLEGAL_FUNCTION:
            return MisconfiguredError(f"{who} does not have {what}; check its profile")
        return RefusedError(f"{who} refuses {what} (exception {code})")


def _reading(name: str) -> Callable[[Client, Request], Awaitable[ModbusPDU]]:
    def read(client: Client, request: Request) -> Awaitable[ModbusPDU]:
        ask: Awaitable[ModbusPDU] = getattr(client, name)(request.start, count=request.count, device_id=request.unit)
        return ask

    return read


_READS = {
    Table.HOLDING: _reading("read_holding_registers"),
    Table.INPUT: _reading("read_input_registers"),
    Table.COIL: _reading("read_coils"),
    Table.DISCRETE: _reading("read_discrete_inputs"),
}


def _write(client: Client, unit: int, table: Table, address: int, words: tuple[int, ...]) -> Awaitable[ModbusPDU]:
    if table is Table.COIL:
        return client.write_coil(address, words[0] != 0, device_id=unit)
    if len(words) == 1:
        return client.write_register(address, words[0], device_id=unit)
    return client.write_registers(address, list(words), device_id=unit)


def _letters(said: object) -> str:
    text = said.decode("latin-1").strip("\0 ") if isinstance(said, bytes) else ""
    return text if text.isprintable() else ""


def _hole(request: Request) -> Answer:
    first = request.spans[0].start
    return none(request, f"the device has no {request.table} {request.table.each} {first}; check its profile")


def _cut(spans: tuple[Span, ...]) -> int:
    """Where to part a block: at its widest gap, in the middle when there is none."""
    gaps = [(spans[i].start - spans[i - 1].end, -abs(2 * i - len(spans)), i) for i in range(1, len(spans))]
    return max(gaps)[2]
