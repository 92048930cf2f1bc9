"""Modbus TCP frames as devices and gateways really send them, and what is told of those that are none.

Modbus Messaging on TCP/IP 1.0b, section 3.1: a header of seven octets stands before every frame.
"""

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

FRAME_OCTETS_MAX = 260  # header and the longest frame
_HEADER = 6  # octets before those that the header counts
_RTU_SHORTEST = 5  # address, function, one octet, checksum
_FAULT = 0x80

IS_RTU = 'it answers with RTU frames; write framing = "rtu" on the line'
IS_NO_MODBUS = "what it sends is no Modbus; check host and port"
OTHER_NUMBER = "its answer bears another transaction number; write echoes = false on the line if its gateway does that"


class TcpFramer(FramerSocket):
    """Takes frames apart; ``strange`` says what was wrong with what came since it was last cleared.

    ``echoes`` says that the other end repeats the number of the question, as it must; some gateways do not.
    """

    def __init__(self, decoder: DecodePDU, *, echoes: bool) -> None:
        """Begin with nothing heard."""
        super().__init__(decoder)
        self.strange = ""
        self.awaited = 0  # the number of the last question
        self._echoes = echoes

    def encode(self, payload: bytes, device_id: int, tid: int) -> bytes:
        """Give a frame, and remember its number."""
        self.awaited = tid
        return super().encode(payload, device_id, tid)

    def decode(self, data: bytes) -> tuple[int, int, int, bytes]:
        """Give (octets used, unit, number, frame); no octets while the frame is not whole or never will be."""
        size = _HEADER + int.from_bytes(data[4:6], "big")
        if size > len(data) or data[2:4] != b"\0\0":
            lies = data[2:4] not in (b"", b"\0", b"\0\0") or size > FRAME_OCTETS_MAX
            self.strange = IS_RTU if _is_rtu(data) else IS_NO_MODBUS if lies else self.strange
            return 0, 0, 0, b""
        used, unit, number, frame = super().decode(data)
        if frame and not self._echoes:
            return used, unit, 0, frame  # number 0 fits every question
        if frame and number and number != self.awaited:
            self.strange = OTHER_NUMBER
        return used, unit, number, frame


def _is_rtu(data: bytes) -> bool:
    """Whether all of it is one RTU answer: its checksum is right."""
    return len(data) >= _RTU_SHORTEST and FramerRTU.check_CRC(data[:-2], int.from_bytes(data[-2:], "big"))
