"""Electricity meters by DL/T 645-2007, written from the standard alone."""

from collections.abc import Sequence
from datetime import datetime

from rules.model.line import Dlt645Line
from simulators.digits import low_first
from simulators.served import Levels, ServedDevice
from simulators.wire_line import WireLine

READ, READ_MORE, READ_ADDRESS = 0x11, 0x12, 0x13
REFUSED, ANSWERS, MORE = 0xC0, 0x80, 0x20
NO_SUCH_DATA = b"\x02"
OFFSET = 0x33  # added to every byte of data
FRAGMENT = 200  # bytes of data in one frame
WAKE = b"\xfe\xfe"
ANYBODY = b"\xaa" * 6

# Data identifier (low byte first on the wire) -> what stands under it, in order: measure, bytes, steps a unit, signed.
_PHASES = ("_l1", "_l2", "_l3")
ITEMS: dict[str, tuple[tuple[str, int, int, bool], ...]] = {
    "00010000": (("energy", 4, 100, False),),
    "00020000": (("energy_export", 4, 100, False),),
    "0201FF00": tuple((f"voltage{phase}", 2, 10, False) for phase in _PHASES),
    "0202FF00": tuple((f"current{phase}", 3, 1000, True) for phase in _PHASES),
    "0203FF00": tuple((f"power{phase}", 3, 10_000, True) for phase in ("", *_PHASES)),
    "0206FF00": (("power_factor", 2, 1000, True), *((f"power_factor{phase}", 2, 1000, True) for phase in _PHASES)),
    "02800002": (("frequency", 2, 100, False),),
}
SIGN = 0x80  # of the highest byte


class _Meter:
    """One meter; its number is the device's address."""

    def __init__(self, served: ServedDevice) -> None:
        self.served = served
        self._number = low_first(int(served.device.address), 6)

    def answer(self, question: bytes) -> bytes:
        """Answer reading, reading on and the question for the number."""
        address, control = question[1:7], question[8]
        plain = bytes((octet - OFFSET) % 256 for octet in question[10:-2])
        if address not in (self._number, ANYBODY):
            return b""
        if control == READ_ADDRESS:
            return self._frame(READ_ADDRESS | ANSWERS, self._number)
        if control not in (READ, READ_MORE) or len(plain) < 4:  # noqa: PLR2004  # an identifier has four bytes
            return self._frame(control | REFUSED, NO_SUCH_DATA)
        held = self._data(plain[:4])
        if held is None:
            return self._frame(control | REFUSED, NO_SUCH_DATA)
        first = plain[4] * FRAGMENT if control == READ_MORE else 0
        more = MORE if first + FRAGMENT < len(held) else 0
        return self._frame(control | ANSWERS | more, plain[:4] + held[first : first + FRAGMENT] + plain[4:])

    def refusal(self, question: bytes) -> bytes:
        """Say no, as to a wrong password."""
        return self._frame(question[8] | REFUSED, b"\x04")

    def _data(self, identifier: bytes) -> bytes | None:
        items = ITEMS.get(identifier[::-1].hex().upper())
        if items is None:
            return None
        at = self.served.now()
        levels = self.served.levels(at, {measure for measure, *_ in items})
        return b"".join(self._item(at, levels, *item) for item in items)

    def _item(self, at: datetime, levels: Levels, measure: str, octets: int, steps: int, signed: bool) -> bytes:
        value = levels.get(measure, levels.get("power_factor") if measure.startswith("power_factor") else None)
        if value is None:
            return b"\xff" * octets  # not available
        shown = self.served.sheet.named(measure)
        if shown is not None and shown.counter:
            self.served.tell(at, shown, value)
            return low_first(int(value), octets)
        digits = bytearray(low_first(round(value * steps), octets))
        if signed and value < 0:
            digits[-1] |= SIGN
        return bytes(digits)

    def _frame(self, control: int, data: bytes) -> bytes:
        body = b"\x68" + self._number + b"\x68" + bytes([control, len(data)])
        body += bytes((octet + OFFSET) % 256 for octet in data)
        return WAKE + body + bytes([sum(body) % 256, 0x16])


def split(data: bytes) -> tuple[bytes | None, bytes]:
    """Give the first whole question and what is left."""
    data = data.lstrip(b"\xfe")
    if len(data) < 12 or len(data) < data[9] + 12:  # noqa: PLR2004  # the shortest frame
        return None, data
    return data[: data[9] + 12], data[data[9] + 12 :]


async def serve_line(line: Dlt645Line, devices: Sequence[ServedDevice], seed: int) -> WireLine:
    """Listen on the line's port until ``close()``; raises PortTakenError."""
    served = WireLine(line, [_Meter(device) for device in devices], split, seed)
    await served.open()
    return served
