"""Decimal digits as meters send them: two in a byte, the lowest pair first.  Pure."""


def low_first(number: int, octets: int) -> bytes:
    """Write a number, without its sign, in so many bytes; digits beyond them are cut off, as a face does."""
    out = bytearray()
    number = abs(number)
    for _ in range(octets):
        number, pair = divmod(number, 100)
        out.append(pair // 10 * 16 + pair % 10)
    return bytes(out)
