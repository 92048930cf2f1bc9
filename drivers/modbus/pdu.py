"""Answers of registers taken apart in one step.

pymodbus unpacks register by register and writes every answer out in words for a log that is off; with blocks of a
hundred registers that is more than all that we do with them.
"""

import struct

from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse


class _AtOnce(ReadHoldingRegistersResponse):
    """The first octet counts those that follow; what does not fit is left for the asker to see."""

    def decode(self, data: bytes) -> None:
        """Take the registers; raises struct.error, which pymodbus makes its own, when fewer octets came."""
        count = data[0] // 2
        self.registers = list(struct.unpack_from(f">{count}H", data, 1))

    def __str__(self) -> str:
        """Say it in short."""
        return f"{len(self.registers)} registers"


class Holding(_AtOnce):
    """Answer to function 3."""


class Input(_AtOnce, ReadInputRegistersResponse):
    """Answer to function 4."""

    function_code = ReadInputRegistersResponse.function_code


ANSWERS = (Holding, Input)
