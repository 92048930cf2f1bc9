"""Lines of Modbus devices: one connection and one queue each.

Codes are those of the Modbus Application Protocol 1.1b3, section 7.  pymodbus returns exceptions and raises
time-outs; both become ``drivers.errors`` here and no pymodbus type leaves this file.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from drivers.driver import Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.modbus.blocks import Request, Span, blocks
from drivers.modbus.decode import Decoder, encode
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Register, Table
from drivers.number import unscaled
from rules.model.line import ModbusLine
from rules.model.quality import Quality
from rules.model.reading import Reading

BUSY_RETRY_S = 0.25  # one second chance for exceptions 5 and 6
HOLE_RETRY_S = 60.0  # a hole is asked again now and then: a device that boots also answers exception 2
_Client = AsyncModbusTcpClient | AsyncModbusSerialClient
_ILLEGAL_FUNCTION = 1
_NO_SUCH_REGISTER = (2, 3)
_DOWN = (4, 10, 11)  # device failure, gateway path unavailable, gateway target does not answer
_BUSY = (5, 6)


class _ReplyError(Exception):
    """An exception response of the device; never leaves this file."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Raw:
    """What a device said for one span: its registers, or None and the reason."""

    span: Span
    words: tuple[int, ...] | None
    error: str = ""


class ModbusDriver:
    """A line of Modbus devices behind one endpoint (obeys ``drivers.driver.Driver``)."""

    def __init__(
        self, line: ModbusLine, now: Callable[[], datetime], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare a line; ``now`` stamps the readings, ``monotonic_s`` tells when a hole is asked again."""
        self.now = now
        self._line = line
        self._monotonic_s = monotonic_s
        self._client: _Client | None = None
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
        self._disconnect()

    async def ask(self, request: Request) -> list[Raw]:
        """Ask one block, in parts where the device has holes; one Raw per span, in order.

        Raises a DriverError when no span can be answered.
        """
        async with self._queue:
            answers = await self._read_parts(request)
            self._answering.add(request.unit)
            return answers

    async def _connect(self) -> _Client:
        if self._client is not None and self._client.connected:
            return self._client
        self._disconnect()
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # its failures come back as our errors
        client = self._client_of_line()
        if not await client.connect():
            client.close()
            raise UnreachableError(f"{self._place} refused the connection or did not answer", link=True)
        self._client = client
        return client

    def _client_of_line(self) -> _Client:
        line = self._line
        if (serial := line.serial) is not None:
            return AsyncModbusSerialClient(
                serial.port, baudrate=serial.baud, parity=serial.parity, bytesize=serial.data_bits,
                stopbits=serial.stop_bits, timeout=line.timeout_s, retries=0, reconnect_delay=0,
            )  # fmt: skip
        framer = FramerType.RTU if line.framing == "rtu" else FramerType.SOCKET
        return AsyncModbusTcpClient(
            line.host or "", port=line.port or 0, framer=framer, timeout=line.timeout_s, retries=0, reconnect_delay=0
        )

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _read_parts(self, request: Request) -> list[Raw]:
        if request in self._splits:
            return [raw for part in self._splits[request] for raw in await self._read_parts(part)]
        span = request.spans[0]
        hole = (request.unit, request.table, span)
        if len(request.spans) == 1 and self._holes.get(hole, 0.0) > self._monotonic_s():
            return [_hole(request)]
        try:
            words = await self._ask_patiently(request)
        except _ReplyError as reply:
            if reply.code in _NO_SUCH_REGISTER:
                return await self._split(request)
            raise self._explained(request.unit, f"{request.table} {request.table.each}s", reply.code) from None
        self._holes.pop(hole, None)
        return [Raw(s, words[s.start - request.start : s.start - request.start + s.count]) for s in request.spans]

    async def _split(self, request: Request) -> list[Raw]:
        """Halve a block that holds a register which the device lacks, and remember."""
        if len(request.spans) == 1:
            self._holes[request.unit, request.table, request.spans[0]] = self._monotonic_s() + HOLE_RETRY_S
            return [_hole(request)]
        cut = _cut(request.spans)
        parts = tuple(
            Request(request.unit, request.table, spans) for spans in (request.spans[:cut], request.spans[cut:])
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
        client = await self._connect()
        read = {
            Table.HOLDING: client.read_holding_registers,
            Table.INPUT: client.read_input_registers,
            Table.COIL: client.read_coils,
            Table.DISCRETE: client.read_discrete_inputs,
        }[request.table]
        reply = await self._exchange(
            request.unit, lambda: read(request.start, count=request.count, device_id=request.unit)
        )
        return self._words(request, reply)

    async def _exchange(self, unit: int, ask: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        """Send one question after the line's silence and give the answer to it."""
        if self._line.delay_s:
            await asyncio.sleep(self._line.delay_s)
        try:
            return await ask()
        except ModbusException as error:
            # A late or half answer must not meet the next question: the connection starts afresh.
            self._disconnect()
            raise self._failure(unit, error) from None
        except asyncio.CancelledError:
            self._disconnect()
            raise

    async def write(self, unit: int, table: Table, address: int, words: tuple[int, ...]) -> None:
        """Write a coil by function 5, holding registers by function 6 (one) or 16 (more).

        It is not repeated when no answer comes: it may have been done.
        """
        async with self._queue:
            client = await self._connect()
            reply = await self._exchange(
                unit,
                lambda: (
                    client.write_coil(address, words[0] != 0, device_id=unit)
                    if table is Table.COIL
                    else client.write_register(address, words[0], device_id=unit)
                    if len(words) == 1
                    else client.write_registers(address, list(words), device_id=unit)
                ),
            )
        if reply.isError():
            raise self._explained(unit, f"register {address}, which cannot be set so", reply.exception_code)

    def _words(self, request: Request, reply: ModbusPDU) -> tuple[int, ...]:
        if reply.isError():
            raise _ReplyError(reply.exception_code)
        single = request.table.single
        came = len(reply.bits) if single else len(reply.registers)
        if came != (-(-request.count // 8) * 8 if single else request.count):  # bits travel in whole octets
            self._disconnect()
            raise MalformedError(
                f"address {request.unit} on {self._place} sent {came} {request.table.each}s "
                f"where {request.count} were asked"
            )
        return tuple(int(bit) for bit in reply.bits[: request.count]) if single else tuple(reply.registers)

    def _failure(self, unit: int, error: ModbusException) -> UnreachableError | MalformedError:
        silent = isinstance(error, ConnectionException) or "No response" in str(error)
        if silent or not isinstance(error, ModbusIOException):
            return UnreachableError(f"no answer from address {unit} on {self._place}")
        return MalformedError(f"address {unit} on {self._place} sent an answer that cannot be read")

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


def _hole(request: Request) -> Raw:
    span = request.spans[0]
    return Raw(span, None, f"the device has no {request.table} {request.table.each} {span.start}; check its profile")


def _cut(spans: tuple[Span, ...]) -> int:
    """Where to part a block: at its widest gap, in the middle when there is none."""
    gaps = [(spans[i].start - spans[i - 1].end, -abs(2 * i - len(spans)), i) for i in range(1, len(spans))]
    return max(gaps)[2]


class ModbusStation:
    """One unit on a line (obeys ``drivers.driver.Station``)."""

    def __init__(self, line: ModbusDriver, device: Device, profile: ModbusProfile) -> None:
        """Plan the reads of a device."""
        self._line = line
        self._device = device
        self._unit = int(device.address)
        measures = {measure.name: measure for measure in profile.measure}
        self._writable = {measure.name: measure.writable for measure in profile.measure}
        self._registers: list[Register] = [profile.register(measures[asked.measure]) for asked in device.points]
        self._decoders = [
            Decoder(register, asked.factor) for register, asked in zip(self._registers, device.points, strict=True)
        ]
        self._blocks = blocks(self._unit, profile, self._registers)

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        return tuple(str(block.request) for block in self._blocks)

    async def read(self) -> list[Reading]:
        """Ask all blocks; every reading has the time of the last answer."""
        raws: dict[int, Raw] = {}
        for block in self._blocks:
            for raw, (_, fed) in zip(await self._asked(block.request), block.fed, strict=True):
                raws.update((number, raw) for number in fed)
        at = self._line.now()
        return [self._reading(number, raws[number], at) for number in range(len(self._registers))]

    async def write(self, measure: str, value: float) -> Reading:
        """Set a measure, in its point's unit, and read it back."""
        code = f"{self._device.code}.{measure}"
        number = next((n for n, asked in enumerate(self._device.points) if asked.measure == measure), None)
        limits = self._writable.get(measure)
        if number is None or limits is None:
            raise MisconfiguredError(f"'{code}' cannot be set; its profile does not name it writable")
        register, factor = self._registers[number], self._device.points[number].factor
        wanted = unscaled(value, factor)  # in the profile's unit
        if not limits[0] <= wanted <= limits[1]:
            raise RefusedError(f"'{code}' can be set from {limits[0]} to {limits[1]}, not to {wanted:f}")
        words = encode(register, wanted)
        if register.table is Table.COIL and wanted not in (0, 1):
            raise RefusedError(f"'{code}' is a coil: 0 or 1, not {wanted:f}")
        await self._line.write(self._unit, register.table, register.address, words)
        span = Span(register.address, register.encoding.words)
        (raw,) = await self._asked(Request(self._unit, register.table, (span,)))
        held = self._reading(number, raw, self._line.now())
        step = float(self._device.points[number].point.resolution)
        if held.value is not None and abs(held.value - value) > step:
            raise RefusedError(f"'{code}' was set to {value:g}, but the device holds {held.value:g}", held=held.value)
        return held

    async def _asked(self, request: Request) -> list[Raw]:
        try:
            return await self._line.ask(request)
        except UnreachableError:
            raise
        except DriverError as error:
            return [Raw(span, None, str(error)) for span in request.spans]

    def _reading(self, number: int, raw: Raw, at: datetime) -> Reading:
        code = self._device.points[number].point.code
        if raw.words is None:
            return Reading(code, at, None, Quality.BAD, error=raw.error)
        value, error = self._decoders[number](raw.words)
        return Reading(code, at, value, Quality.BAD if value is None else Quality.GOOD, raw.words, error)
