"""Kinds of register: where they stand, how wide they are, in which order their bytes travel."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

ADDRESS_MAX = 65535  # Modbus Application Protocol 1.1b3, section 4.4
BLOCK_REGISTERS_MAX = 100  # below the protocol's 125: some gateways stop earlier


class Table(StrEnum):
    """The four tables of Modbus: two of registers, two of single bits."""

    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"

    @property
    def single(self) -> bool:
        """Whether an address is one bit."""
        return self in (Table.COIL, Table.DISCRETE)

    @property
    def each(self) -> str:
        """What stands at one address, in words."""
        return "bit" if self.single else "register"

    @property
    def settable(self) -> bool:
        """Whether the protocol can write to it."""
        return self in (Table.HOLDING, Table.COIL)


_WORDS = {"16": 1, "32": 2, "64": 4, "ts": 1}  # by the end of the encoding's name


class Encoding(StrEnum):
    """How registers hold a number."""

    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"  # four decimal digits
    BCD32 = "bcd32"
    BITS = "bits"  # 16 flags: the whole word, or one of them; of a table of bits: the bit

    @property
    def words(self) -> int:
        """Registers that one value takes."""
        return _WORDS[self.value[-2:]]

    @property
    def floating(self) -> bool:
        """Whether the number is IEEE 754."""
        return self in (Encoding.FLOAT32, Encoding.FLOAT64)

    @property
    def whole(self) -> bool:
        """Whether it is a plain integer."""
        return "int" in self.value

    @property
    def decimal(self) -> bool:
        """Whether every four bits are a decimal digit."""
        return self in (Encoding.BCD16, Encoding.BCD32)


class Order(StrEnum):
    """Byte order on the wire of a value whose bytes are ABCD, most significant first."""

    ABCD = "ABCD"  # high word first, high byte first
    CDAB = "CDAB"  # low word first
    BADC = "BADC"  # high word first, low byte first
    DCBA = "DCBA"  # low word first, low byte first

    @property
    def low_word_first(self) -> bool:
        """Whether the words are reversed."""
        return self in (Order.CDAB, Order.DCBA)

    @property
    def low_byte_first(self) -> bool:
        """Whether the two bytes of each word are swapped."""
        return self in (Order.BADC, Order.DCBA)


@dataclass(frozen=True, slots=True)
class Register:
    """Where one value stands and how it is read.

    ``scale`` turns the raw number into the point's unit; ``missing`` are raw patterns (unsigned, as wide as the
    value) that mean "not available"; ``bit`` picks one flag of a ``bits`` word, 0 is the least significant;
    ``exponent`` is where the device keeps a power of ten for the number, in the same table (SunSpec's scale factors).
    """

    table: Table
    address: int
    encoding: Encoding
    order: Order = Order.ABCD
    scale: Decimal = Decimal(1)
    missing: tuple[int, ...] = ()
    bit: int | None = None
    exponent: int | None = None

    @property
    def end(self) -> int:
        """First address after the value."""
        return self.address + self.encoding.words
