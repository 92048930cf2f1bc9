"""Water and heat meters by CJ/T 188-2004, written from the standard alone."""

from collections.abc import Sequence

from rules.model.line import Cjt188Line
from simulators.digits import low_first
from simulators.served import Levels, ServedDevice
from simulators.wire_line import WireLine

READ, ANSWERED, REFUSED = 0x01, 0x81, 0xC1
READING = b"\x90\x1f"  # the data identifier of "what does it count"
WATER, HEAT = 0x10, 0x20
UNIT_KWH, UNIT_KW, UNIT_M3, UNIT_M3H = 0x05, 0x17, 0x2C, 0x35
VALVE_SHUT, BATTERY_LOW = 0x01, 0x04
ANYBODY = b"\xaa" * 7


class _Meter:
    """One meter; its number is the device's address."""

    def __init__(self, served: ServedDevice) -> None:
        self.served = served
        self._number = low_first(int(served.device.address), 7)
        self._kind = WATER if served.sheet.model == "cjt188-water" else HEAT

    def answer(self, question: bytes) -> bytes:
        """Answer the question for the readings."""
        kind, address, control, asked = question[1], question[2:9], question[9], question[11:14]
        if kind != self._kind or address not in (self._number, ANYBODY):
            return b""
        if control != READ or asked[:2] != READING:
            return self.refusal(question)
        return self._frame(ANSWERED, asked + (self._water() if self._kind == WATER else self._heat()))

    def refusal(self, question: bytes) -> bytes:
        """Say no."""
        return self._frame(REFUSED, question[13:14] + b"\x01\x00")

    def _water(self) -> bytes:
        levels = self._levels()
        body = self._told(levels, "volume", 100, 4) + bytes([UNIT_M3])
        body += self._told(levels, "settlement_volume", 100, 4) + bytes([UNIT_M3])
        return body + self._clock() + self._status(levels)

    def _heat(self) -> bytes:
        levels = self._levels()
        body = bytes(4) + bytes([UNIT_KWH]) + self._told(levels, "energy", 100, 4) + bytes([UNIT_KWH])
        body += self._told(levels, "power", 100, 4) + bytes([UNIT_KW])
        body += self._told(levels, "flow", 10_000, 4) + bytes([UNIT_M3H])
        body += self._told(levels, "volume", 100, 4) + bytes([UNIT_M3])
        body += self._told(levels, "supply_temp", 100, 3) + self._told(levels, "return_temp", 100, 3)
        body += self._told(levels, "hours", 1, 3)
        return body + self._clock() + self._status(levels)

    def _levels(self) -> Levels:
        at = self.served.now()
        levels = self.served.levels(at, {shown.measure for shown in self.served.sheet.shown})
        counter = self.served.sheet.counter
        if counter is not None:
            self.served.tell(at, counter, levels[counter.measure])
        return levels

    def _told(self, levels: Levels, measure: str, steps: int, octets: int) -> bytes:
        value, shown = levels[measure], self.served.sheet.named(measure)
        if value is None:
            return b"\xff" * octets  # not available
        return low_first(int(value) if shown is not None and shown.counter else round(value * steps), octets)

    def _clock(self) -> bytes:
        return bytes.fromhex(self.served.now().strftime("%Y%m%d%H%M%S"))[::-1]

    @staticmethod
    def _status(levels: Levels) -> bytes:
        return bytes([(VALVE_SHUT if levels["valve"] else 0) | (BATTERY_LOW if levels["battery_low"] else 0), 0])

    def _frame(self, control: int, data: bytes) -> bytes:
        body = bytes([0x68, self._kind]) + self._number + bytes([control, len(data)]) + data
        return b"\xfe" * 4 + body + bytes([sum(body) % 256, 0x16])


def split(data: bytes) -> tuple[bytes | None, bytes]:
    """Give the first whole question and what is left."""
    data = data.lstrip(b"\xfe")
    if len(data) < 13 or len(data) < data[10] + 13:  # noqa: PLR2004  # the shortest frame
        return None, data
    return data[: data[10] + 13], data[data[10] + 13 :]


async def serve_line(line: Cjt188Line, devices: Sequence[ServedDevice], seed: int) -> WireLine:
    """Listen on the line's port until ``close()``; raises PortTakenError."""
    served = WireLine(line, [_Meter(device) for device in devices], split, seed)
    await served.open()
    return served
