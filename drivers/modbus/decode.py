"""From registers to values: pure arithmetic, no device in sight."""

import struct
from decimal import Decimal

from drivers.errors import RefusedError
from drivers.modbus.registers import Encoding, Order, Register
from drivers.number import Scale, unscaled

POWER_MAX = 10  # SunSpec Device Information Model, "sunssf": -10 to 10

FORMATS = {
    Encoding.UINT16: ">H",
    Encoding.INT16: ">h",
    Encoding.UINT32: ">I",
    Encoding.INT32: ">i",
    Encoding.UINT64: ">Q",
    Encoding.INT64: ">q",
    Encoding.FLOAT32: ">f",
    Encoding.FLOAT64: ">d",
    Encoding.BCD16: ">H",
    Encoding.BCD32: ">I",
    Encoding.BITS: ">H",
}


def pattern(words: tuple[int, ...], order: Order) -> int:
    """Give the bits of a value as one unsigned number, most significant byte first."""
    bits = 0
    for word in reversed(words) if order.low_word_first else words:
        bits = bits << 16 | (word >> 8 | (word & 0xFF) << 8 if order.low_byte_first else word)
    return bits


class Decoder:
    """Reads the values of one register; made once, called at every poll."""

    def __init__(self, register: Register, factor: Decimal = Decimal(1)) -> None:
        """Prepare; ``factor`` turns the measure's unit into the point's.

        ``exactly`` says how a plain number is scaled in one step (``Scale.exactly``), ``missing`` which patterns are
        "not available".
        """
        self._count = register.encoding.words
        self._order = register.order
        self._plain = self._count == 1 and not register.order.low_byte_first
        self.missing = frozenset(register.missing)
        self._bit = register.bit
        self._decimal = register.encoding.decimal
        self._unpack = struct.Struct(FORMATS[register.encoding]).unpack
        self._signless = register.encoding in (Encoding.UINT16, Encoding.UINT32, Encoding.UINT64)
        scale = Scale(register.scale, factor)
        self._scale = scale.value
        plain = self._bit is None and not self._decimal
        self.exactly = scale.exactly(whole=not register.encoding.floating) if plain else None  # see Scale

    def __call__(self, words: tuple[int, ...]) -> tuple[float | None, str]:
        """Give the value of the words (each 0..65535), or None and the reason why there is none.

        "Not available" patterns are compared raw, before scaling.
        """
        if len(words) != self._count:
            return None, f"{len(words)} registers came where {self._count} were asked"
        bits = words[0] if self._plain else pattern(words, self._order)
        if bits in self.missing:
            return None, f"the device says 'not available' (0x{bits:0{4 * self._count}X})"
        if self._bit is not None:
            return float(bits >> self._bit & 1), ""
        if self._decimal:
            digits = f"{bits:x}"
            return self._scale(int(digits)) if digits.isdecimal() else (None, f"0x{bits:X} is no decimal number")
        return self._scale(bits if self._signless else self._unpack(bits.to_bytes(2 * self._count, "big"))[0])


class Power:
    """Scales numbers by a power of ten that the device gives beside them."""

    def __init__(self, scale: Decimal, factor: Decimal) -> None:
        """Prepare; ``scale`` is the profile's own, ``factor`` turns the measure's unit into the point's."""
        self._factors = scale, factor
        self._scales: dict[int, Scale] = {}  # at most 2 * POWER_MAX + 1

    def __call__(self, number: float, power: float | None) -> tuple[float | None, str]:
        """Give the value of a whole number, or None and the reason why there is none."""
        if power is None:
            return None, "the device says 'not available' for its scale"
        if not -POWER_MAX <= power <= POWER_MAX:
            return None, f"the device gives 10^{power:g} as its scale, which none has"
        if (exponent := int(power)) not in self._scales:
            self._scales[exponent] = Scale(Decimal(1).scaleb(exponent), *self._factors)
        return self._scales[exponent].value(int(number))


def text(words: tuple[int, ...], order: Order) -> str:
    """Give what registers say in letters, two in each; '' where they say nothing that can be read."""
    octets = b"".join(word.to_bytes(2, "little" if order.low_byte_first else "big") for word in words)
    said = octets.rstrip(b"\xff").partition(b"\0")[0].decode("latin-1").strip()
    return said if said.isprintable() else ""


def encode(register: Register, value: Decimal) -> tuple[int, ...]:
    """Give the registers of a value in the profile's unit; raises RefusedError for one that does not fit."""
    size = 2 * register.encoding.words
    number = unscaled(float(value), register.scale)
    try:
        whole = float(number) if register.encoding.floating else int(number.to_integral_value())
        if register.encoding.decimal:
            whole = int(str(whole), 16)  # the digits as they stand; the format refuses a sign
        data = struct.pack(FORMATS[register.encoding], whole)
    except (struct.error, OverflowError):
        raise RefusedError(f"{value:f} does not fit into {register.encoding}") from None
    words = [
        int.from_bytes(data[i : i + 2], "little" if register.order.low_byte_first else "big") for i in range(0, size, 2)
    ]
    if register.order.low_word_first:
        words.reverse()
    if int.from_bytes(data, "big") in register.missing:
        raise RefusedError(f"{value:f} would read as 'not available'")
    return tuple(words)
