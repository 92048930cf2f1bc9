"""An M-Bus heat meter by EN 13757-2 and -3, written from the standard alone."""

from decimal import Decimal

from rules.model.line import MbusLine
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_dlt645 import device_of
from tests.contract.meter_ground import TIMEOUT_S, MeterGround
from tests.field import HOST

ADDRESS = 5
IDENTITY = bytes.fromhex("17 58 85 06 2D 2C 08 04")  # number 06855817, then maker, version, medium
SECONDARY = "068558172D2C0804"
PROFILE = """
code = "ground-mbus"
title = "Heat meter"
protocol = "mbus"
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
quantity = "energy"
resolution = 0.001
modulus = 1000000000
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
quantity = "power"
resolution = 0.001
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "°C"
quantity = "supply_temperature"
resolution = 0.001
"""


class MbusGround(MeterGround):
    """Answers its primary address, and 253 once it is selected; a repeated count bit repeats the telegram."""

    def __init__(self, address: str = str(ADDRESS), *, apart: bool = False) -> None:
        super().__init__()
        self.apart = apart  # each record in a telegram of its own
        self.status = 0
        self.identity = IDENTITY
        self.line = MbusLine(
            driver="mbus", code="L1", gateway="G", host=HOST, port=self.port, poll_s=1, timeout_s=TIMEOUT_S
        )
        self.device = device_of(PROFILE, "ground-mbus", address)
        self.reset()

    def reset(self) -> None:
        self.selected = False
        self.count: int | None = None
        self.turn = -1

    def split(self, data: bytes) -> tuple[bytes | None, bytes]:
        size = 5 if data[:1] == b"\x10" else data[1] + 6 if len(data) > 1 else 2
        return (data[:size], data[size:]) if len(data) >= size else (None, data)

    def answer(self, question: bytes) -> bytes:
        if question[0] == 0x68:
            self.selected = question[6] == 0x52 and self._meant(question[7:15])
            self.turn, self.count = -1, None
            return b"\xe5" if self.selected else b""
        control, address = question[1], question[2]
        if address != ADDRESS and not (address == 253 and self.selected):
            return b""
        if control == 0x40:
            self.turn, self.count = -1, None
            return b"\xe5"
        if (bit := control & 0x20) != self.count:
            self.turn = (self.turn + 1) % len(self.telegrams())
        self.count = bit
        return self.frame(0x72, self.identity + bytes([self.turn, self.status, 0, 0]) + self.telegrams()[self.turn])

    def _meant(self, wanted: bytes) -> bool:
        return all(w in ("f", h) for w, h in zip(wanted.hex(), self.identity.hex(), strict=True))

    def telegrams(self) -> list[bytes]:
        records = [
            b"\x07\x03" + self.told(COUNTER, 8),
            b"\x04\x6d\x1a\x2f\x65\x11" + b"\x14\x2b" + bytes(4) + b"\x04\x2b" + self.told(GAUGE, 4),
            b"\x2f\x04\x58" + self.told(SETPOINT, 4),
        ]
        if not self.apart:
            return [b"".join(records) + b"\x0f\x01\x02"]
        return [*(record + b"\x1f" for record in records[:-1]), records[-1]]

    def told(self, name: str, octets: int) -> bytes:
        return round(Decimal(repr(self.values[name])) * 1000).to_bytes(octets, "little", signed=True)

    def refusal(self, question: bytes) -> bytes:
        return b"\xe5" if question[1] in (0x0B, 0x40) else self.frame(0x70, b"\x08")

    def frame(self, information: int, data: bytes) -> bytes:
        body = bytes([0x08, ADDRESS, information]) + data
        return b"\x68" + bytes([len(body)]) * 2 + b"\x68" + body + bytes([sum(body) % 256, 0x16])
