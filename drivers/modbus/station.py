"""One Modbus device on a line: its plan, its readings, its writes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from drivers.driver import Device
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.modbus.answer import Answer, Raw, none
from drivers.modbus.batch import BlockDecoder
from drivers.modbus.blocks import Request, Span, blocks
from drivers.modbus.decode import Decoder, Power, encode
from drivers.modbus.plate import Asking, PlateReader
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.registers import Encoding, Register, Table
from drivers.number import unscaled
from rules.model.poll import Poll
from rules.model.quality import Quality
from rules.model.reading import Reading

_ONE = Decimal(1)
_NO_POWER = 0x8000  # SunSpec: a scale factor that is not available


class Line(Asking, Protocol):
    """What a station needs of its line."""

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock that stamps readings."""

    async def write(self, unit: int, table: Table, address: int, words: tuple[int, ...]) -> None:
        """Set a coil or registers."""


class ModbusStation:
    """One unit on a line (obeys ``drivers.driver.Station``)."""

    def __init__(self, line: Line, device: Device, profile: ModbusProfile) -> None:
        """Plan the reads of a device."""
        self._line = line
        self._device = device
        self._unit = int(device.address)
        measures = {measure.name: measure for measure in profile.measure}
        self._writable = {measure.name: measure.writable for measure in profile.measure}
        self._registers: list[Register] = [profile.register(measures[asked.measure]) for asked in device.points]
        self._decoders = [
            Decoder(register, asked.factor) if register.exponent is None else Decoder(replace(register, scale=_ONE))
            for register, asked in zip(self._registers, device.points, strict=True)
        ]
        powers = sorted({(one.table, one.exponent) for one in self._registers if one.exponent is not None})
        hidden = [Register(table, place, Encoding.INT16, missing=(_NO_POWER,)) for table, place in powers]
        registers, decoders = self._registers + hidden, self._decoders + [Decoder(register) for register in hidden]
        self._blocks = [
            (block.request, BlockDecoder(block, registers, decoders))
            for block in blocks(self._unit, profile, registers)
        ]
        order = [number for _, decoder in self._blocks for number in decoder.numbers]
        self._codes = tuple(asked.point.code for asked in device.points)
        place_of = {number: place for place, number in enumerate(order)}
        arranged = [place_of[number] for number in range(len(device.points))]
        self._arranged = None if arranged == list(range(len(order))) else arranged
        self._powers = [
            (place_of[number], place_of[len(device.points) + powers.index((one.table, one.exponent))],
             Power(one.scale, asked.factor))
            for number, (one, asked) in enumerate(zip(self._registers, device.points, strict=True))
            if one.exponent is not None
        ]  # fmt: skip
        self._plate = PlateReader(device, profile, line)

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        return tuple(str(request) for request, _ in self._blocks)

    async def read(self) -> list[Reading]:
        """Ask all blocks; every reading has the time of the last answer."""
        return list(await self.poll())

    async def poll(self) -> Poll:
        """Ask all blocks; what they say, in columns."""
        values: list[float | None] = []
        raws: list[tuple[int, ...]] = []
        errors: dict[int, str] = {}
        for request, decoder in self._blocks:
            found, words, faults = decoder(await self._asked(request))
            errors.update((len(values) + place, reason) for place, reason in faults.items())
            values += found
            raws += words
        for place, power, scale in self._powers:
            if (number := values[place]) is not None:
                values[place], error = scale(number, values[power])
                if error:
                    errors[place] = error
        at = self._line.now()
        await self._plate.compare()
        if (arranged := self._arranged) is not None:
            values, raws = [values[place] for place in arranged], [raws[place] for place in arranged]
            errors = {place: errors[came] for place, came in enumerate(arranged) if came in errors} if errors else {}
        return Poll(self._codes, at, values, raws, errors)

    async def nameplate(self) -> Mapping[str, str]:
        """Give what the device says that it is; asked once per connection."""
        return await self._plate.read()

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
        answer = await self._asked(Request(self._unit, register.table, (span,)))
        held = self._reading(number, answer.raw(span), self._line.now())
        step = float(self._device.points[number].point.resolution)
        if held.value is not None and abs(held.value - value) > step:
            raise RefusedError(f"'{code}' was set to {value:g}, but the device holds {held.value:g}", held=held.value)
        return held

    async def _asked(self, request: Request) -> Answer:
        try:
            return await self._line.ask(request)
        except UnreachableError:
            raise
        except DriverError as error:
            return none(request, str(error))

    def _reading(self, number: int, raw: Raw, at: datetime) -> Reading:
        code = self._device.points[number].point.code
        if raw.words is None:
            return Reading(code, at, None, Quality.BAD, error=raw.error)
        value, error = self._decoders[number](raw.words)
        return Reading(code, at, value, Quality.BAD if value is None else Quality.GOOD, raw.words, error)
