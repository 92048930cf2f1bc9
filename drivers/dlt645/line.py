"""Lines of DL/T 645-2007 meters.  Nothing is ever written to a meter: it would need its password."""

from collections.abc import Callable
from datetime import datetime

from drivers.dlt645.decode import decode, piece
from drivers.dlt645.frame import (
    ANSWER,
    ANYBODY,
    ERROR,
    FOLLOWED,
    READ,
    READ_ADDRESS,
    READ_FOLLOWING,
    Frame,
    encode,
    identifier_bytes,
    refusal,
    take,
)
from drivers.dlt645.profile import Dlt645Measure, Dlt645Profile
from drivers.driver import Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.wire import Question, Wire
from rules.model.line import Dlt645Line
from rules.model.quality import Quality
from rules.model.reading import Reading

FOLLOWING_MAX = 8  # frames that an answer may be continued in
_IDENTIFIER = 4


class Dlt645Driver:
    """A line of meters (obeys ``drivers.driver.Driver``)."""

    def __init__(self, line: Dlt645Line, now: Callable[[], datetime]) -> None:
        """Prepare a line; ``now`` stamps the readings."""
        self.now = now
        self.wire = Wire(line)

    def station(self, device: Device) -> "Dlt645Station":
        """Give a meter on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, Dlt645Profile):
            raise MisconfiguredError(
                f"device '{device.code}' has a profile of {device.profile.protocol}, not of dlt645"
            )
        return Dlt645Station(self, device, device.profile)

    async def find(self) -> str:
        """Give the address of the only meter on the line; with several their answers collide.

        Raises UnreachableError or MalformedError.
        """
        question = Question(
            "any meter",
            encode(Frame(ANYBODY, READ_ADDRESS)),
            take,
            lambda frame: frame.control == READ_ADDRESS | ANSWER,
        )
        async with self.wire.queue:
            return (await self.wire.ask(question)).address

    async def close(self) -> None:
        """Let go of the line."""
        await self.wire.close()


class Dlt645Station:
    """One meter on a line (obeys ``drivers.driver.Station``); its clock is not asked: readings are stamped here."""

    def __init__(self, driver: Dlt645Driver, device: Device, profile: Dlt645Profile) -> None:
        """Plan the fewest questions: one for each identifier."""
        by_name = {measure.name: measure for measure in profile.measures}
        self._driver = driver
        self._device = device
        self._address = device.address.zfill(12)
        self._measures: tuple[Dlt645Measure, ...] = tuple(by_name[asked.measure] for asked in device.points)
        self.plan = tuple(dict.fromkeys(measure.identifier for measure in self._measures))

    async def read(self) -> list[Reading]:
        """Give a reading for every point; raises UnreachableError when the meter does not answer."""
        async with self._driver.wire.queue:
            blocks = {identifier: await self._block(identifier) for identifier in self.plan}
        return [self._reading(number, *blocks[measure.identifier]) for number, measure in enumerate(self._measures)]

    async def write(self, measure: str, value: float) -> Reading:
        """Refuse: raises MisconfiguredError."""
        raise MisconfiguredError(f"'{measure}' of {self._device.code} cannot be set to {value:g}: meters are only read")

    async def _block(self, identifier: str) -> tuple[bytes | None, str, datetime]:
        """Give what one identifier holds, or the reason why it cannot be had."""
        try:
            block, error = await self._ask(identifier), ""
        except UnreachableError:
            raise
        except DriverError as failure:
            block, error = None, str(failure)
        return block, error, self._driver.now()

    async def _ask(self, identifier: str) -> bytes:
        label = identifier_bytes(identifier)
        frame = await self._answer(READ, label)
        block = frame.data[_IDENTIFIER:]
        for number in range(1, FOLLOWING_MAX + 1):
            if not frame.control & FOLLOWED:
                return block
            frame = await self._answer(READ_FOLLOWING, label, bytes([number]))
            block += frame.data[_IDENTIFIER:-1]
        if frame.control & FOLLOWED:
            raise MalformedError(f"{self._who} continues {identifier} without an end")
        return block

    async def _answer(self, control: int, label: bytes, tail: bytes = b"") -> Frame:
        def fits(frame: Frame) -> bool:
            if frame.address != self._address or frame.control & ~FOLLOWED not in (
                control | ANSWER,
                control | ANSWER | ERROR,
            ):
                return False
            return bool(frame.control & ERROR) or (frame.data.startswith(label) and frame.data.endswith(tail))

        send = encode(Frame(self._address, control, label + tail))
        frame = await self._driver.wire.ask(Question(self._who, send, take, fits))
        if said := refusal(frame):
            raise RefusedError(f"{self._who} refuses {label[::-1].hex().upper()}: {said}")
        return frame

    @property
    def _who(self) -> str:
        return f"meter {self._address}"

    def _reading(self, number: int, block: bytes | None, error: str, at: datetime) -> Reading:
        asked, measure = self._device.points[number], self._measures[number]
        if block is None:
            return Reading(asked.point.code, at, None, Quality.BAD, error=error)
        data = piece(measure, block)
        decoded = decode(measure, data, asked.factor)
        quality = Quality.BAD if decoded.value is None else Quality.GOOD
        return Reading(asked.point.code, at, decoded.value, quality, tuple(data), decoded.error)
