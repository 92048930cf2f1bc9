"""A heat meter by CJ/T 188-2004, written from the standard alone."""

from decimal import Decimal

from rules.model.line import Cjt188Line
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_dlt645 import device_of, low_first
from tests.contract.meter_ground import TIMEOUT_S, MeterGround
from tests.field import HOST

ADDRESS = "00000040314132"
PROFILE = """
code = "ground-cjt188"
title = "Heat meter"
protocol = "cjt188"
kind = 0x20
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
field = "energy"
modulus = 1000000.00
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
field = "power"
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "°C"
field = "return_temperature"
"""


class Cjt188Ground(MeterGround):
    def __init__(self) -> None:
        super().__init__()
        self.units = {COUNTER: 0x05, GAUGE: 0x17}
        self.status = b"\x00\x00"
        self.line = Cjt188Line(
            driver="cjt188", code="L1", gateway="G", host=HOST, port=self.port, poll_s=1, timeout_s=TIMEOUT_S
        )
        self.device = device_of(PROFILE, "ground-cjt188", "40314132")

    def split(self, data: bytes) -> tuple[bytes | None, bytes]:
        data = data.lstrip(b"\xfe")
        if len(data) < 13 or len(data) < data[10] + 13:
            return None, data
        return data[: data[10] + 13], data[data[10] + 13 :]

    def answer(self, question: bytes) -> bytes:
        kind, address, control, asked = question[1], question[2:9], question[9], question[11:14]
        if (kind, address, control) != (0x20, bytes(low_first(int(ADDRESS), 7)), 1) or asked[:2] != b"\x90\x1f":
            return b""
        zero = bytes(4)
        body = zero + b"\x05" + self.told(COUNTER, 2, 4) + bytes([self.units[COUNTER]])
        body += self.told(GAUGE, 2, 4) + bytes([self.units[GAUGE]])
        body += zero + b"\x35" + zero + b"\x2c" + bytes(3) + self.told(SETPOINT, 2, 3) + bytes(3)
        body += bytes.fromhex("53 00 12 10 07 15 20") + self.status
        return self.frame(0x81, asked + body)

    def told(self, name: str, decimals: int, octets: int) -> bytes:
        return bytes(low_first(round(Decimal(repr(self.values[name])).scaleb(decimals)), octets))

    def refusal(self, question: bytes) -> bytes:
        return self.frame(0xC1, question[13:14] + b"\x01\x00")

    def frame(self, control: int, data: bytes) -> bytes:
        body = b"\x68\x20" + bytes(low_first(int(ADDRESS), 7)) + bytes([control, len(data)]) + data
        return b"\xfe" * 4 + body + bytes([sum(body) % 256, 0x16])
