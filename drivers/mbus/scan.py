"""Looking round on an M-Bus line: by primary address one by one, by secondary address with wildcards.

The search by wildcards is that of EN 13757-7: a selection that more than one meter takes garbles the answer, so one
more digit of the number is set until one meter is left.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.driver import Asked, Device
from drivers.errors import DriverError, MalformedError, UnreachableError
from drivers.mbus.frame import (
    FCB,
    REQ_UD2,
    RSP_UD,
    RSP_UD_MASK,
    SELECTED,
    SND_NKE,
    VARIABLE,
    Telegram,
    select,
    short,
    take_ack,
    take_long,
)
from drivers.mbus.line import MbusDriver
from drivers.mbus.profile import MbusProfile
from drivers.wire import Question
from rules.model.line import MbusLine
from rules.model.point import Point
from rules.model.quality import Quality

QUESTIONS_MAX = 5_000  # a line of 250 meters takes about ten each
NUMBER_DIGITS, ANY = 8, "F"
LIKELY_SHARE = 0.5
_IDENTITY = 8
_LETTER, _LETTER_BITS = 64, 5  # EN 62056-21: three letters of five bits each


@dataclass(frozen=True, slots=True)
class Found:
    """A meter that answers: as the site file addresses it, its secondary address, its maker, and profiles that fit."""

    address: str
    secondary: str
    maker: str
    likely: tuple[str, ...]


class Scan:
    """One look round on a line."""

    def __init__(self, line: MbusLine, profiles: Sequence[MbusProfile], now: Callable[[], datetime]) -> None:
        """Prepare; nothing is asked yet."""
        self._driver = MbusDriver(line, now)
        self._profiles = profiles
        self._questions = 0

    async def close(self) -> None:
        """Let go of the line."""
        await self._driver.close()

    async def primaries(self, addresses: Iterable[int]) -> AsyncIterator[Found]:
        """Ask one primary address after the other; raises UnreachableError when the line itself is dead."""
        for address in addresses:
            if (told := await self._told(short(SND_NKE, address), address)) is not None:
                yield await self._found(str(address), told)

    async def secondaries(self, digits: str = "") -> AsyncIterator[Found]:
        """Search below the first digits of a number; raises as ``primaries``."""
        wildcard = digits + ANY * (NUMBER_DIGITS - len(digits)) + ANY * NUMBER_DIGITS
        try:
            told = await self._told(select(wildcard), SELECTED)
        except MalformedError:  # several at once
            if len(digits) == NUMBER_DIGITS:
                return
            for digit in "0123456789":
                async for one in self.secondaries(digits + digit):
                    yield one
            return
        if told is not None:
            yield await self._found("", told)

    async def _told(self, begin: bytes, address: int) -> bytes | None:
        """Give who answers there, as the header of its telegram has it; None: nobody.  Raises MalformedError."""
        self._questions += 1
        if self._questions > QUESTIONS_MAX:
            raise UnreachableError(f"{self._driver.wire.place}: {QUESTIONS_MAX} questions found no end; is it noisy?")
        who = f"address {address}"
        wire = self._driver.wire
        async with wire.queue:
            try:
                await wire.ask(Question(who, begin, take_ack, lambda _ack: True))
                told = await wire.ask(Question(who, short(REQ_UD2 | FCB, address), take_long, _is_answer))
            except UnreachableError as error:
                if error.link:
                    raise
                return None
        return told.data[:_IDENTITY] if told.information == VARIABLE else b""

    async def _found(self, address: str, told: bytes) -> Found:
        secondary = (told[3::-1] + told[4:]).hex().upper() if len(told) == _IDENTITY else ""
        where = address or secondary
        return Found(where, secondary, _maker(told), await self._likely(where))

    async def _likely(self, where: str) -> tuple[str, ...]:
        shares = {profile.code: await self._share(where, profile) for profile in self._profiles}
        return tuple(sorted((code for code in shares if shares[code] > LIKELY_SHARE), key=lambda code: -shares[code]))

    async def _share(self, where: str, profile: MbusProfile) -> float:
        """Give the share of a profile's measures that the meter has."""
        points = tuple(
            Asked(Point(f"U.{m.name}", "U", m.name, m.kind, m.unit, m.step, m.modulus), m.name)
            for m in profile.measures
        )
        try:
            readings = await self._driver.station(Device("U", where, profile, points)).read()
        except DriverError:
            return 0.0
        return sum(reading.quality is not Quality.BAD for reading in readings) / len(readings)


def _is_answer(telegram: Telegram) -> bool:
    return telegram.control & RSP_UD_MASK == RSP_UD


def _maker(told: bytes) -> str:
    code = int.from_bytes(told[4:6], "little")
    letters = [chr(_LETTER + (code >> shift * _LETTER_BITS & 0x1F)) for shift in (2, 1, 0)]
    return "".join(letters) if code and "".join(letters).isalpha() else ""
