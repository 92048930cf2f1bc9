"""From registers to values: pure arithmetic, no device in sight."""

import struct
from decimal import Decimal

from drivers.errors import RefusedError
from drivers.modbus.registers import Encoding, Order, Register
from drivers.number import Scale, unscaled

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


class Decoder:
    """Reads the values of one register; made once, called at every poll."""

    def __init__(self, register: Register, factor: Decimal = Decimal(1)) -> None:
        """Prepare; ``factor`` turns the measure's unit into the point's."""
        self._register = register
        self._scale = Scale(register.scale, factor)
        self._format = struct.Struct(_FORMAT[register.encoding])
        self._size = 2 * register.encoding.words

    def __call__(self, words: tuple[int, ...]) -> tuple[float | None, str]:
        """Give the value of the words (each 0..65535), or None and the reason why there is none.

        "Not available" patterns are compared raw, before scaling.
        """
        register = self._register
        if 2 * len(words) != self._size:
            return None, f"{len(words)} registers came where {register.encoding.words} were asked"
        bits = words[0] if register.plain else pattern(words, register.order)
        if bits in register.missing:
            return None, f"the device says 'not available' (0x{bits:0{self._size * 2}X})"
        if register.bit is not None:
            return float(bits >> register.bit & 1), ""
        return self._scale.value(self._format.unpack(bits.to_bytes(self._size, "big"))[0])


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
