"""Lines of CJ/T 188 meters.  Nothing is written to a meter: a valve is not moved by a poll."""

from collections.abc import Callable
from datetime import datetime

from drivers.cjt188.fields import decode, fields
from drivers.cjt188.frame import ANSWER, ERROR, READ, Frame, encode, take
from drivers.cjt188.profile import Cjt188Measure, Cjt188Profile
from drivers.driver import Device
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.octets import spelt
from drivers.wire import Question, Wire
from rules.model.line import Cjt188Line
from rules.model.quality import Quality
from rules.model.reading import Reading

_LABEL = 3  # identifier and serial number
_REFUSAL = 3  # an error answer holds a serial number and two bytes of status


class Cjt188Driver:
    """A line of meters (obeys ``drivers.driver.Driver``)."""

    def __init__(self, line: Cjt188Line, now: Callable[[], datetime]) -> None:
        """Prepare a line; ``now`` stamps the readings."""
        self.now = now
        self.wire = Wire(line)
        self._serial = 0

    def station(self, device: Device) -> "Cjt188Station":
        """Give a meter on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, Cjt188Profile):
            raise MisconfiguredError(
                f"device '{device.code}' has a profile of {device.profile.protocol}, not of cjt188"
            )
        return Cjt188Station(self, device, device.profile)

    def serial(self) -> int:
        """Give the next serial number: an answer bears that of its question."""
        self._serial = self._serial % 0xFF + 1
        return self._serial

    async def close(self) -> None:
        """Let go of the line."""
        await self.wire.close()


class Cjt188Station:
    """One meter on a line (obeys ``drivers.driver.Station``).

    Readings are stamped with the gateway's time: the meter's own clock is seldom set.
    """

    def __init__(self, driver: Cjt188Driver, device: Device, profile: Cjt188Profile) -> None:
        """Plan the one question."""
        by_name = {measure.name: measure for measure in profile.measures}
        self._driver = driver
        self._device = device
        self._profile = profile
        self._address = device.address.zfill(14).upper()
        self._measures: tuple[Cjt188Measure, ...] = tuple(by_name[asked.measure] for asked in device.points)
        self._fields = fields(profile.kind)
        self.plan = (profile.identifier,) if self._measures else ()

    async def read(self) -> list[Reading]:
        """Give a reading for every point; raises UnreachableError when the meter does not answer."""
        data, error = b"", ""
        async with self._driver.wire.queue:
            try:
                data = await self._ask() if self.plan else b""
            except UnreachableError:
                raise
            except DriverError as failure:
                error = str(failure)
        at = self._driver.now()
        return [self._reading(number, data, error, at) for number in range(len(self._measures))]

    async def write(self, measure: str, value: float) -> Reading:
        """Refuse: raises MisconfiguredError."""
        raise MisconfiguredError(f"'{measure}' of {self._device.code} cannot be set to {value:g}: meters are only read")

    async def _ask(self) -> bytes:
        serial = self._driver.serial()
        label = bytes([*bytes.fromhex(self._profile.identifier), serial])

        def fits(frame: Frame) -> bool:
            if (frame.kind, frame.address) != (self._profile.kind, self._address):
                return False
            if frame.control == READ | ANSWER:
                return frame.data.startswith(label)
            return frame.control == READ | ANSWER | ERROR and serial in frame.data[:_REFUSAL]

        who = f"meter {self._address}"
        send = encode(Frame(self._profile.kind, self._address, READ, label))
        frame = await self._driver.wire.ask(Question(who, send, take, fits))
        if frame.control & ERROR:
            raise RefusedError(f"{who} refuses to be read ({spelt(frame.data)})")
        return frame.data[_LABEL:]

    def _reading(self, number: int, data: bytes, error: str, at: datetime) -> Reading:
        asked, measure = self._device.points[number], self._measures[number]
        if error:
            return Reading(asked.point.code, at, None, Quality.BAD, error=error)
        field = self._fields[measure.field]
        decoded = decode(field, data, measure.unit, measure.scale, asked.factor, unit_first=self._profile.unit_first)
        quality = Quality.BAD if decoded.value is None else Quality.GOOD
        return Reading(
            asked.point.code, at, decoded.value, quality, tuple(data[field.start : field.end]), decoded.error
        )
