"""From registers to values: pure arithmetic, no device in sight."""

import math
import struct
from dataclasses import dataclass
from decimal import Context, Decimal

from drivers.kinds import Encoding, Order, Register

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
_ARITHMETIC = Context(prec=60)  # wide enough for 64 bits times any scale: the product is never rounded


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value in the point's unit, or None and the reason why there is none."""

    value: float | None
    error: str = ""


def pattern(words: tuple[int, ...], order: Order) -> int:
    """Give the bits of a value as one unsigned number, most significant byte first."""
    ordered = reversed(words) if order.low_word_first else words
    data = b"".join(word.to_bytes(2, "little" if order.low_byte_first else "big") for word in ordered)
    return int.from_bytes(data, "big")


def decode(register: Register, words: tuple[int, ...]) -> Decoded:
    """Read one value from its registers (each 0..65535, as many as the encoding takes).

    "Not available" patterns are compared raw, before scaling.  The scale is applied in decimal and the result
    is the nearest double, so a face that shows 123.45 gives exactly the double 123.45.  64-bit integers above
    2**53 lose their last digits, as every double does.
    """
    if len(words) != register.encoding.words:
        return Decoded(None, f"{len(words)} registers came where {register.encoding.words} were asked")
    bits = pattern(words, register.order)
    if bits in register.missing:
        return Decoded(None, f"the device says 'not available' (0x{bits:0{len(words) * 4}X})")
    if register.bit is not None:
        return Decoded(float(bits >> register.bit & 1))
    (number,) = struct.unpack(_FORMAT[register.encoding], bits.to_bytes(2 * len(words), "big"))
    if register.encoding.floating and not math.isfinite(number):
        return Decoded(None, f"the device sent {number}, which is no number")
    value = float(_ARITHMETIC.multiply(Decimal(number), register.scale))
    return Decoded(value) if math.isfinite(value) else Decoded(None, "the scaled value is beyond a double")
