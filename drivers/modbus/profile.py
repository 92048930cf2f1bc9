"""Profiles of Modbus devices: where the registers of a model stand."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.modbus.registers import ADDRESS_MAX, BLOCK_REGISTERS_MAX, Encoding, Order, Register, Table
from drivers.profile import Measure, Part, Profile, twice

PLATE_WORDS_MAX = 32
NUMBER_WORDS_MAX = 4
Address = Annotated[int, Field(ge=0, le=ADDRESS_MAX)]


class ModbusMeasure(Measure):
    """A measure and the register that it comes from."""

    address: Address
    encoding: Encoding
    table: Table | None = None  # None: the profile's
    order: Order | None = None  # None: the profile's
    missing: tuple[Annotated[int, Field(ge=0)], ...] = ()
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    writable: tuple[Decimal, Decimal] | None = None  # from, to, in ``unit``; None: read only
    exponent: Address | None = None  # a register with a power of ten for the number (int16, 0x8000: not available)

    @property
    def end(self) -> int:
        """First address after the value."""
        return self.address + self.encoding.words

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = {
            f"ends beyond register {ADDRESS_MAX}": self.end > ADDRESS_MAX + 1,
            "is a float and needs a resolution": self.encoding.floating and self.resolution is None,
            "has a bit, which only 'bits' have": self.bit is not None and self.encoding is not Encoding.BITS,
            "has an exponent and needs a resolution": self.exponent is not None and self.resolution is None,
            "has an exponent, which only whole numbers have": self.exponent is not None and not self.encoding.whole,
            "has an exponent and cannot be writable": self.exponent is not None and self.writable is not None,
            "has its exponent within its own registers": self.exponent is not None
            and self.address <= self.exponent < self.end,
            "is writable from more to less": self.writable is not None and self.writable[0] > self.writable[1],
            "is one flag of a word, which cannot be set by itself": self.bit is not None and self.writable is not None,
            "has a 'missing' pattern wider than its registers": any(
                pattern >= 1 << 16 * self.encoding.words for pattern in self.missing
            ),
        }
        for problem, found in problems.items():
            if found:
                raise ValueError(f"measure '{self.name}' {problem}")
        return self


class Plate(Part):
    """What a device says that it is: letters, two in a register, or a number.  ``expect`` is what stands in it."""

    address: Address
    words: Annotated[int, Field(ge=1, le=PLATE_WORDS_MAX)]
    letters: bool = True
    table: Table | None = None
    order: Order = Order.ABCD
    expect: Annotated[str, Field(max_length=40)] = ""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.address + self.words > ADDRESS_MAX + 1:
            raise ValueError(f"ends beyond register {ADDRESS_MAX}")
        if not self.letters and self.words > NUMBER_WORDS_MAX:
            raise ValueError(f"a number has {NUMBER_WORDS_MAX} registers at most")
        return self


class Nameplate(Part):
    """Where a model keeps what it is."""

    maker: Plate | None = None
    model: Plate | None = None
    serial: Plate | None = None
    firmware: Plate | None = None

    @property
    def plates(self) -> dict[str, Plate]:
        """Those that the model has, by name."""
        named = {"maker": self.maker, "model": self.model, "serial": self.serial, "firmware": self.firmware}
        return {name: plate for name, plate in named.items() if plate is not None}


class ModbusProfile(Profile):
    """One model of device.  ``holes`` are [first, last] addresses that do not exist."""

    protocol: Literal["modbus"] = "modbus"
    table: Table
    order: Order = Order.ABCD
    max_gap: Annotated[int, Field(ge=0, le=BLOCK_REGISTERS_MAX)] = 8
    max_block: Annotated[int, Field(ge=4, le=BLOCK_REGISTERS_MAX)] = BLOCK_REGISTERS_MAX
    holes: tuple[tuple[Address, Address], ...] = ()
    nameplate: Nameplate = Nameplate()
    measure: Annotated[tuple[ModbusMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[ModbusMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        for table in Table:
            here = tuple(measure for measure in self.measure if (measure.table or self.table) is table)
            for problem in (*_impossible(table, here), *_clashes(here, self.holes), *_torn(here)):
                raise ValueError(problem)
        return self

    def register(self, measure: ModbusMeasure) -> Register:
        """Where and how ``measure`` is read."""
        table = measure.table or self.table
        return Register(
            table=table,
            address=measure.address,
            encoding=measure.encoding,
            order=Order.ABCD if table.single else measure.order or self.order,
            scale=measure.scale,
            missing=measure.missing,
            bit=measure.bit,
            exponent=measure.exponent,
        )


def _impossible(table: Table, measures: tuple[ModbusMeasure, ...]) -> Iterable[str]:
    for measure in measures:
        if measure.writable is not None and not table.settable:
            yield f"measure '{measure.name}': only holding registers and coils can be writable"
        if table.single and (measure.encoding is not Encoding.BITS or measure.bit is not None or measure.missing):
            yield f"measure '{measure.name}' is one bit and has encoding 'bits' without bit and missing"


def _clashes(measures: tuple[ModbusMeasure, ...], holes: tuple[tuple[int, int], ...]) -> Iterable[str]:
    for first, last in holes:
        for measure in measures:
            if measure.address <= last and measure.end > first:
                yield f"measure '{measure.name}' stands in the hole {first}..{last}"
    ordered = sorted(measures, key=lambda m: m.address)
    for i, one in enumerate(ordered):
        for other in islice(ordered, i + 1, None):
            if other.address >= one.end:
                break
            if not _flags_of_one_word(one, other):
                yield f"measures '{one.name}' and '{other.name}' overlap at register {other.address}"


def _torn(measures: tuple[ModbusMeasure, ...]) -> Iterable[str]:
    for measure in measures:
        for other in measures:
            if measure.exponent is not None and other.address < measure.exponent < other.end:
                yield (
                    f"the exponent of measure '{measure.name}' is register {measure.exponent}, "
                    f"which is within measure '{other.name}'"
                )


def _flags_of_one_word(one: ModbusMeasure, other: ModbusMeasure) -> bool:
    return one.encoding is other.encoding is Encoding.BITS and one.address == other.address
