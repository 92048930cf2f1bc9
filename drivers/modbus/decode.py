"""From registers to values: pure arithmetic, no device in sight."""

import struct
from decimal import Decimal

from drivers.errors import RefusedError
from drivers.modbus.registers import Encoding, Order, Register
from drivers.number import Decoded, scaled, unscaled

_FORMAT = {
    Encoding.UINT16: ">H",
    Encoding.INT16: ">h",
    Encoding.UINT32: ">I",
    Encoding.INT32: ">i",
    Encoding.UINT64: ">Q",
    Encoding.INT64: ">q",
    Encoding.FLOAT32: ">f",
    Encoding.FLOAT64: ">d",
    Encoding.BITS: ">H",
}


def pattern(words: tuple[int, ...], order: Order) -> int:
    """Give the bits of a value as one unsigned number, most significant byte first."""
    ordered = reversed(words) if order.low_word_first else words
    data = b"".join(word.to_bytes(2, "little" if order.low_byte_first else "big") for word in ordered)
    return int.from_bytes(data, "big")


def decode(register: Register, words: tuple[int, ...], factor: Decimal = Decimal(1)) -> Decoded:
    """Read one value from its registers (each 0..65535, as many as the encoding takes).

    "Not available" patterns are compared raw, before scaling.  ``factor`` turns the measure's unit into the point's.
    """
    if len(words) != register.encoding.words:
        return Decoded(None, f"{len(words)} registers came where {register.encoding.words} were asked")
    bits = pattern(words, register.order)
    if bits in register.missing:
        return Decoded(None, f"the device says 'not available' (0x{bits:0{len(words) * 4}X})")
    if register.bit is not None:
        return Decoded(float(bits >> register.bit & 1))
    (number,) = struct.unpack(_FORMAT[register.encoding], bits.to_bytes(2 * len(words), "big"))
    return scaled(number, register.scale, factor)


def encode(register: Register, value: Decimal) -> tuple[int, ...]:
    """Give the registers of a value in the profile's unit; raises RefusedError for one that does not fit."""
    size = 2 * register.encoding.words
    number = unscaled(float(value), register.scale)
    try:
        data = struct.pack(
            _FORMAT[register.encoding], float(number) if register.encoding.floating else int(number.to_integral_value())
        )
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
