"""JPEG pictures as RTP packets (RFC 2435), which every player understands and any picture can be sent as."""

import struct
from collections.abc import Iterator

PAYLOAD_TYPE = 26  # RFC 3551, table 5
TICKS_PER_S = 90_000
PACKET_BYTES = 1400
OWN_TABLES = 255  # Q: the quantisation tables are in the first packet
SUBSAMPLED = 1  # the type for colours at half the width and height (4:2:0)
SIDE_MAX = 2040  # pixels: width and height travel as eighths in one byte

_START, _TABLES, _SCAN = 0xD8, 0xDB, 0xDA


def parts(jpeg: bytes) -> tuple[bytes, bytes]:
    """Give the quantisation tables and the entropy-coded data of a baseline JPEG."""
    tables, place = b"", 2
    while place < len(jpeg):
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4], "big")
        body = jpeg[place + 4 : place + 2 + length]
        place += 2 + length
        if marker == _TABLES:
            tables += b"".join(body[n + 1 : n + 65] for n in range(0, len(body), 65))
        elif marker == _SCAN:
            return tables, jpeg[place:-2]
    raise ValueError("the JPEG has no picture in it")


def packets(jpeg: bytes, size: tuple[int, int], *, sequence: int, ticks: int, source: int) -> Iterator[bytes]:
    """Give one picture as packets; the last one bears the marker.  ``size`` is in pixels, multiples of eight."""
    tables, data = parts(jpeg)
    for number, offset in enumerate(range(0, len(data), PACKET_BYTES)):
        chunk = data[offset : offset + PACKET_BYTES]
        last = offset + PACKET_BYTES >= len(data)
        head = struct.pack(
            ">BBHII",
            0x80,
            PAYLOAD_TYPE | (0x80 if last else 0),
            (sequence + number) & 0xFFFF,
            ticks & 0xFFFFFFFF,
            source,
        )
        picture = struct.pack(">IBBBB", offset, SUBSAMPLED, OWN_TABLES, size[0] // 8, size[1] // 8)
        quantisers = struct.pack(">BBH", 0, 0, len(tables)) + tables if offset == 0 else b""
        yield head + picture + quantisers + chunk
