"""A meter by DL/T 645-2007, written from the standard alone."""

from decimal import Decimal

from drivers.catalogue import parse
from drivers.driver import Asked, Device
from rules.model.line import Dlt645Line
from rules.model.point import Point
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.meter_ground import TIMEOUT_S, MeterGround
from tests.field import HOST

ADDRESS = "000000003761"
PROFILE = """
code = "ground-dlt645"
title = "Meter"
protocol = "dlt645"
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
identifier = "00010000"
digits = 8
decimals = 2
modulus = 1000000.00
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
identifier = "0203FF00"
place = 0
digits = 6
decimals = 4
signed = true
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "kW"
identifier = "0203FF00"
place = 1
digits = 6
decimals = 4
signed = true
"""


def device_of(text: str, code: str, address: str) -> Device:
    profile = parse(text, code)
    points = tuple(
        Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in profile.measures
    )
    return Device("M", address, profile, points)


def low_first(number: int, octets: int) -> bytearray:
    out = bytearray()
    for _ in range(octets):
        number, pair = divmod(number, 100)
        out.append(pair // 10 * 16 + pair % 10)
    return out


class Dlt645Ground(MeterGround):
    """``fragments``: how many bytes of data one frame carries; the rest is asked by 12H."""

    def __init__(self, fragment: int = 200) -> None:
        super().__init__()
        self.fragment = fragment
        self.address = ADDRESS
        self.line = Dlt645Line(
            driver="dlt645", code="L1", gateway="G", host=HOST, port=self.port, poll_s=1, timeout_s=TIMEOUT_S
        )
        self.device = device_of(PROFILE, "ground-dlt645", "3761")

    def split(self, data: bytes) -> tuple[bytes | None, bytes]:
        data = data.lstrip(b"\xfe")
        if len(data) < 12 or len(data) < data[9] + 12:
            return None, data
        return data[: data[9] + 12], data[data[9] + 12 :]

    def data(self, identifier: bytes) -> bytes | None:
        if identifier == b"\x00\x00\x01\x00":
            return bytes(low_first(round(Decimal(repr(self.values[COUNTER])) * 100), 4))
        if identifier == b"\x00\xff\x03\x02":
            both = bytearray()
            for name in (GAUGE, SETPOINT):
                value = round(Decimal(repr(self.values[name])) * 10000)
                octets = low_first(abs(value), 3)
                octets[2] |= 0x80 if value < 0 else 0
                both += octets
            return bytes(both)
        return None

    def answer(self, question: bytes) -> bytes:
        address, control, plain = question[1:7], question[8], bytes((b - 0x33) % 256 for b in question[10:-2])
        mine = bytes(low_first(int(self.address), 6))
        if control == 0x13:
            return self.frame(0x93, mine)
        if address != mine:
            return b""
        held = self.data(plain[:4])
        if held is None:
            return self.frame(control | 0xC0, b"\x02")
        first = plain[4] * self.fragment if control == 0x12 else 0
        more = 0x20 if first + self.fragment < len(held) else 0
        return self.frame(control | 0x80 | more, plain[:4] + held[first : first + self.fragment] + plain[4:])

    def refusal(self, question: bytes) -> bytes:
        return self.frame(question[8] | 0xC0, b"\x04")

    def frame(self, control: int, data: bytes) -> bytes:
        body = b"\x68" + bytes(low_first(int(self.address), 6)) + b"\x68" + bytes([control, len(data)])
        body += bytes((b + 0x33) % 256 for b in data)
        return b"\xfe\xfe" + body + bytes([sum(body) % 256, 0x16])
