"""A Modbus device, written from the specification alone: over TCP frames, or RTU frames through TCP."""

import struct
from typing import Literal

from drivers.catalogue import parse
from drivers.driver import Asked, Device
from rules.model.line import ModbusLine
from rules.model.point import Point
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.meter_ground import TIMEOUT_S, MeterGround
from tests.field import HOST

UNIT = 7
PROFILE = """
code = "ground-modbus"
title = "Device"
table = "holding"
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
address = 0
encoding = "uint32"
scale = 0.01
modulus = 42949672.96
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
address = 2
encoding = "int16"
scale = 0.1
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "kW"
address = 4
encoding = "int32"
scale = 0.1
writable = [0, 5000]
"""
READ, WRITE_ONE, WRITE_MANY, FAULT = 3, 6, 16, 0x80
CRC_START, CRC_POLYNOMIAL = 0xFFFF, 0xA001  # Modbus over Serial Line 1.02, appendix B


def crc(data: bytes) -> bytes:
    rest = CRC_START
    for octet in data:
        rest ^= octet
        for _ in range(8):
            rest = rest >> 1 ^ (CRC_POLYNOMIAL if rest & 1 else 0)
    return struct.pack("<H", rest)


class ModbusGround(MeterGround):
    """``framing`` says how its frames travel."""

    def __init__(self, framing: Literal["tcp", "rtu"]) -> None:
        super().__init__()
        self.framing = framing
        profile = parse(PROFILE, "ground-modbus")
        points = tuple(
            Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name)
            for m in profile.measures
        )
        self.device = Device("M", str(UNIT), profile, points)
        self.line = ModbusLine(
            driver="modbus", code="L", gateway="G", host=HOST, port=self.port, framing=framing, poll_s=1,
            timeout_s=TIMEOUT_S,
        )  # fmt: skip

    def split(self, data: bytes) -> tuple[bytes | None, bytes]:
        if self.framing == "tcp":
            size = 6 + int.from_bytes(data[4:6], "big")
            return (data[:size], data[size:]) if len(data) >= max(8, size) else (None, data)
        if len(data) < 8:  # the shortest question
            return None, data
        size = 1 + (8 + data[6] - 2 if data[1] == WRITE_MANY else 5) + 2
        return (data[:size], data[size:]) if len(data) >= size else (None, data)

    def _registers(self) -> list[int]:
        energy, power = round(self.values[COUNTER] * 100), round(self.values[GAUGE] * 10)
        setpoint = round(self.values[SETPOINT] * 10)
        return list(struct.unpack(">6H", struct.pack(">IhHi", energy, power, 0, setpoint)))

    def _framed(self, question: bytes, said: bytes) -> bytes:
        body = bytes([UNIT]) + said
        if self.framing == "rtu":
            return body + crc(body)
        return question[:4] + struct.pack(">H", len(body)) + body

    def answer(self, question: bytes) -> bytes:
        unit, asked = (question[6], question[7:]) if self.framing == "tcp" else (question[0], question[1:-2])
        if unit != UNIT:
            return b""
        function, address, count = struct.unpack(">BHH", asked[:5])
        if function == READ:
            if address + count > len(self._registers()):
                return self._framed(question, bytes([READ | FAULT, 2]))
            words = self._registers()[address : address + count]
            return self._framed(question, bytes([READ, 2 * count]) + struct.pack(f">{count}H", *words))
        if function == WRITE_MANY and (address, count) == (4, 2):
            if self.how is None:
                (number,) = struct.unpack(">i", asked[6:10])
                self.values[SETPOINT] = number / 10
            return self._framed(question, asked[:5])
        return self._framed(question, bytes([function | FAULT, 2]))

    def garbled(self, good: bytes) -> bytes:
        # TCP frames carry no checksum: what can be seen is a number of octets that does not fit.
        return good[:8] + bytes([good[8] + 3]) + good[9:] if self.framing == "tcp" else super().garbled(good)

    def refusal(self, question: bytes) -> bytes:
        function = question[7] if self.framing == "tcp" else question[1]
        return self._framed(question, bytes([function | FAULT, 1]))
