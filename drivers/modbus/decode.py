"""From registers to values: pure arithmetic, no device in sight."""

import struct
from decimal import Decimal

from drivers.modbus.registers import Encoding, Order, Register
from drivers.number import Decoded, scaled

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
