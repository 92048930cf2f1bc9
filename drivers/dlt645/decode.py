"""From the digits of an answer to a value: pure."""

from decimal import Decimal

from drivers.dlt645.profile import Dlt645Measure
from drivers.number import Decoded, scaled
from drivers.octets import missing, number, spelt

_SIGN = 0x80


def piece(measure: Dlt645Measure, block: bytes) -> bytes:
    """Cut the measure's bytes out of a block; shorter where the block ends."""
    return block[measure.place * measure.width : (measure.place + 1) * measure.width]


def decode(measure: Dlt645Measure, data: bytes, factor: Decimal = Decimal(1)) -> Decoded:
    """Read packed decimal digits, low byte first; ``factor`` turns the measure's unit into the point's."""
    if len(data) != measure.width:
        return Decoded(None, f"the answer to {measure.identifier} is too short for place {measure.place}")
    if missing(data):
        return Decoded(None, f"the meter says 'not available' ({spelt(data)})")
    negative = measure.signed and bool(data[-1] & _SIGN)
    digits = number(bytes([*data[:-1], data[-1] & ~_SIGN]) if negative else data)
    if digits is None:
        return Decoded(None, f"{spelt(data)} are no decimal digits")
    sign = -1 if negative and digits else 1
    return scaled(Decimal(sign * digits).scaleb(-measure.decimals), measure.scale, factor)
