"""What a device says that it is, and whether it is the one that the site file names."""

import logging
from collections.abc import Mapping
from typing import Protocol

from drivers.driver import Device
from drivers.errors import DriverError, UnreachableError
from drivers.modbus.answer import Answer, Raw
from drivers.modbus.blocks import Request, Span
from drivers.modbus.decode import pattern, text
from drivers.modbus.profile import ModbusProfile, Plate

SERIAL = "serial"

log = logging.getLogger(__name__)


class Asking(Protocol):
    """A line that can be asked."""

    @property
    def connections(self) -> int:
        """How often the connection was made."""

    async def ask(self, request: Request) -> Answer:
        """Ask one block."""


class PlateReader:
    """Reads the nameplate of one device, once per connection: whoever changes a meter breaks it for a moment."""

    def __init__(self, device: Device, profile: ModbusProfile, line: Asking) -> None:
        """Prepare; nothing is asked yet."""
        self._device = device
        self._profile = profile
        self._line = line
        self._read_at = 0  # the connection on which it was read
        self._said: dict[str, str] = {}
        self._other = ""  # the serial that we have complained of
        self._compares = bool(device.serial) and profile.nameplate.serial is not None

    async def read(self) -> Mapping[str, str]:
        """Give what the device says; raises UnreachableError."""
        if self._read_at == 0 or self._read_at != self._line.connections:
            self._said = await ask_plates(self._line, int(self._device.address), self._profile)
            self._read_at = self._line.connections
        return self._said

    async def compare(self) -> None:
        """Say once when the device is not the one of the site file; one that is silent about it is not asked again."""
        if not self._compares or (self._read_at and self._read_at == self._line.connections):
            return
        try:
            found = (await self.read()).get(SERIAL, "")
        except UnreachableError:
            self._compares = False
            return
        if found and found not in (self._device.serial, self._other):
            log.warning(
                "device %s says that its serial number is %s, but the site file has %s: was it exchanged? Enter the "
                "exchange and correct the site file",
                self._device.code,
                found,
                self._device.serial,
            )
        self._other = found


async def ask_plates(line: Asking, unit: int, profile: ModbusProfile) -> dict[str, str]:
    """Ask for all that a profile has of a nameplate; what the device refuses is left out.  Raises UnreachableError."""
    said = {}
    for name, plate in profile.nameplate.plates.items():
        span = Span(plate.address, plate.words)
        try:
            answer = await line.ask(Request(unit, plate.table or profile.table, (span,)))
        except UnreachableError:
            raise
        except DriverError:
            continue
        if found := shown(plate, answer.raw(span)):
            said[name] = found
    return said


def shown(plate: Plate, raw: Raw) -> str:
    """Give what stands on a plate; '' for nothing."""
    if raw.words is None:
        return ""
    if plate.letters:
        return text(raw.words, plate.order)
    bits = pattern(raw.words, plate.order)
    return "" if bits in (0, (1 << 16 * plate.words) - 1) else str(bits)
