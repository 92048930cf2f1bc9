"""Heat and water meters by M-Bus (EN 13757-2 and -3), written from the standard alone."""

from collections.abc import Sequence

from rules.model.line import MbusLine
from simulators.served import Levels, ServedDevice
from simulators.wire_line import WireLine

ACKNOWLEDGED = b"\xe5"
RESET, COUNT_BIT = 0x40, 0x20
SELECT = 0x52
NETWORK = 253  # whoever was selected
SECONDARY_DIGITS = 16
HEAT, WATER = 0x04, 0x07  # medium
DIGITS_8, BINARY_4, BINARY_2 = 0x0C, 0x04, 0x02  # data fields: 8 decimal digits, 32 and 16 bits
LAST_PERIOD = 0x40  # storage number 1
# Measure -> data field, value field, steps per unit.
ITEMS: dict[str, tuple[int, int, float]] = {
    "energy": (DIGITS_8, 0x06, 1),  # kWh
    "volume": (DIGITS_8, 0x14, 100),  # 0.01 m³
    "settlement_volume": (DIGITS_8 | LAST_PERIOD, 0x14, 100),
    "power": (BINARY_4, 0x2D, 10),  # 100 W
    "flow": (BINARY_4, 0x3B, 1000),  # l/h
    "supply_temp": (BINARY_2, 0x59, 100),
    "return_temp": (BINARY_2, 0x5D, 100),
    "hours": (BINARY_4, 0x22, 1),
}


class _Meter:
    """One meter by its primary or secondary address; a repeated count bit repeats the telegram."""

    def __init__(self, served: ServedDevice) -> None:
        self.served = served
        address = served.device.address
        self._secondary = len(address) == SECONDARY_DIGITS
        self._primary = 0 if self._secondary else int(address)
        number = address if self._secondary else f"{served.device.code.encode().hex():0>8}"[-8:]
        medium = WATER if served.sheet.counter and served.sheet.counter.measure == "volume" else HEAT
        self._identity = (
            bytes.fromhex(number[:8])[::-1] + bytes.fromhex(number[8:])
            if self._secondary
            else bytes.fromhex("".join(digit if digit.isdecimal() else "0" for digit in number))[::-1]
            + b"\x2d\x2c\x01"
            + bytes([medium])
        )
        self._selected = False
        self._turn = 0

    def answer(self, question: bytes) -> bytes:
        """Answer reset, selection and the request for data."""
        if question[0] == 0x68:  # noqa: PLR2004  # a long frame
            self._selected = question[6] == SELECT and self._meant(question[7:15])
            return ACKNOWLEDGED if self._selected else b""
        control, address = question[1], question[2]
        if not (address == self._primary and not self._secondary) and not (address == NETWORK and self._selected):
            return b""
        if control == RESET:
            return ACKNOWLEDGED
        self._turn = (self._turn + 1) % 256
        return self._frame(0x72, self._identity + bytes([self._turn, self._status(), 0, 0]) + self._records())

    def refusal(self, question: bytes) -> bytes:
        """Say no, where a no can be said."""
        return ACKNOWLEDGED if question[1] in (0x0B, RESET) else self._frame(0x70, b"\x08")

    def _meant(self, wanted: bytes) -> bool:
        return all(w in ("f", h) for w, h in zip(wanted.hex(), self._identity.hex(), strict=True))

    def _status(self) -> int:
        levels = self.served.levels(self.served.now(), {"status"})
        return int(levels.get("status") or 0)

    def _records(self) -> bytes:
        at = self.served.now()
        levels = self.served.levels(at, {shown.measure for shown in self.served.sheet.shown})
        counter = self.served.sheet.counter
        if counter is not None:
            self.served.tell(at, counter, levels[counter.measure])
        return b"".join(
            self._record(levels, shown.measure) for shown in self.served.sheet.shown if shown.measure in ITEMS
        )

    def _record(self, levels: Levels, measure: str) -> bytes:
        form, field, steps = ITEMS[measure]
        value, shown = levels[measure], self.served.sheet.named(measure)
        head = bytes([form, field])
        if value is None:
            return bytes([form & 0xF0, field])  # a record without data
        whole = int(value) if shown is not None and shown.counter else round(value * steps)
        if form & 0x0F == DIGITS_8:
            return head + bytes.fromhex(f"{whole % 10**8:08d}")[::-1]
        octets = 4 if form == BINARY_4 else 2
        return head + whole.to_bytes(octets, "little", signed=True)

    def _frame(self, information: int, data: bytes) -> bytes:
        body = bytes([0x08, self._primary or NETWORK, information]) + data
        return b"\x68" + bytes([len(body)]) * 2 + b"\x68" + body + bytes([sum(body) % 256, 0x16])


def split(data: bytes) -> tuple[bytes | None, bytes]:
    """Give the first whole question and what is left."""
    size = 5 if data[:1] == b"\x10" else data[1] + 6 if len(data) > 1 else 2
    return (data[:size], data[size:]) if len(data) >= size else (None, data)


async def serve_line(line: MbusLine, devices: Sequence[ServedDevice], seed: int) -> WireLine:
    """Listen on the line's port until ``close()``; raises PortTakenError."""
    served = WireLine(line, [_Meter(device) for device in devices], split, seed)
    await served.open()
    return served
