"""Whole OSDP frames in a stream of bytes, as far as it takes to know who has answered (IEC 60839-11-5, clause 5.9).

libosdp takes 8 s to notice that somebody says nothing of use any more; a door is not known for so long.
"""

from binascii import crc_hqx

START, REPLY = 0x53, 0x80  # a frame begins with SOM and the address, whose highest bit marks a reply
CRC_START = 0x1D0F
WITH_CRC = 0x04  # of the control byte; without it one byte of checksum ends the frame
LENGTH_MIN, LENGTH_MAX = 6, 1440
HEADER = 5


class Listener:
    """Takes bytes as they come and tells whose whole replies were among them."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._data = bytearray()

    def hear(self, data: bytes) -> set[int]:
        """Give the addresses of the replies that are whole now."""
        self._data += data
        found: set[int] = set()
        while (place := self._data.find(START)) >= 0 and len(self._data) - place >= HEADER:
            del self._data[:place]
            length = int.from_bytes(self._data[2:4], "little")
            if not LENGTH_MIN <= length <= LENGTH_MAX:
                del self._data[0]
                continue
            if len(self._data) < length:
                break
            frame = bytes(self._data[:length])
            if not _right(frame):
                del self._data[0]
                continue
            del self._data[:length]
            if frame[1] & REPLY:
                found.add(frame[1] & ~REPLY)
        del self._data[:-LENGTH_MAX]
        return found


def _right(frame: bytes) -> bool:
    """Whether a frame's check is right."""
    if frame[4] & WITH_CRC:
        return crc_hqx(frame[:-2], CRC_START) == int.from_bytes(frame[-2:], "little")
    return sum(frame) % 256 == 0
