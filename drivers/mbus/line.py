"""Lines of M-Bus meters.  Nothing is written to a meter."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from drivers.driver import Asked, Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.mbus.frame import (
    ERROR,
    FCB,
    PLAIN,
    REQ_UD2,
    RSP_UD,
    RSP_UD_MASK,
    SELECTED,
    SND_NKE,
    VARIABLE,
    Telegram,
    application_error,
    matches,
    select,
    short,
    take_ack,
    take_long,
)
from drivers.mbus.profile import MbusMeasure, MbusProfile
from drivers.mbus.quantities import STATUS
from drivers.mbus.records import Record, decode
from drivers.number import Decoded
from drivers.units import factor
from drivers.wire import Question, Wire
from rules.model.line import MbusLine
from rules.model.quality import Quality
from rules.model.reading import Reading

_HEADER, _STATUS = 12, 9  # length of the header, place of its status
_PERMANENT_ERROR = 0x08
_SECONDARY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class _Told:
    """All that a meter said in one reading."""

    records: tuple[Record, ...]
    status: int


class MbusDriver:
    """A line of meters (obeys ``drivers.driver.Driver``)."""

    def __init__(self, line: MbusLine, now: Callable[[], datetime]) -> None:
        """Prepare a line; ``now`` stamps the readings."""
        self.now = now
        self.wire = Wire(line)

    def station(self, device: Device) -> "MbusStation":
        """Give a meter on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, MbusProfile):
            raise MisconfiguredError(f"device '{device.code}' has a profile of {device.profile.protocol}, not of mbus")
        return MbusStation(self, device, device.profile)

    async def close(self) -> None:
        """Let go of the line."""
        await self.wire.close()


class MbusStation:
    """One meter on a line (obeys ``drivers.driver.Station``).

    Readings are stamped with the gateway's time: few telegrams say when a value was measured.
    """

    def __init__(self, driver: MbusDriver, device: Device, profile: MbusProfile) -> None:
        """Plan the questions."""
        by_name = {measure.name: measure for measure in profile.measures}
        self._driver = driver
        self._device = device
        self._profile = profile
        self._secondary = device.address.upper() if len(device.address) == _SECONDARY_DIGITS else ""
        self._address = SELECTED if self._secondary else int(device.address)
        self._measures: tuple[MbusMeasure, ...] = tuple(by_name[asked.measure] for asked in device.points)
        self._count = FCB
        self.plan = (f"select {self._secondary}" if self._secondary else "reset", "data")

    async def read(self) -> list[Reading]:
        """Give a reading for every point; raises UnreachableError when the meter does not answer."""
        told, error = _Told((), 0), ""
        async with self._driver.wire.queue:
            try:
                told = await self._ask()
            except UnreachableError:
                raise
            except DriverError as failure:
                error = str(failure)
        at = self._driver.now()
        return [self._reading(*pair, told, error, at) for pair in zip(self._device.points, self._measures, strict=True)]

    async def write(self, measure: str, value: float) -> Reading:
        """Refuse: raises MisconfiguredError."""
        raise MisconfiguredError(f"'{measure}' of {self._device.code} cannot be set to {value:g}: meters are only read")

    async def _ask(self) -> _Told:
        await self._begin()
        records: list[Record] = []
        status, first = 0, b""
        for _ in range(self._profile.telegrams):
            telegram = await self._telegram()
            header = _HEADER if telegram.information == VARIABLE else 0
            body = telegram.data[header:]
            if body == first:  # a meter that always promises more has begun anew
                break
            told = decode(body)
            records.extend(told.records)
            status |= telegram.data[_STATUS] if header else 0
            if not told.more:
                break
            first = first or body
        return _Told(tuple(records), status)

    async def _begin(self) -> None:
        """Make the meter start with its first telegram."""
        send = select(self._secondary) if self._secondary else short(SND_NKE, self._address)
        await self._driver.wire.ask(Question(self._who, send, take_ack, lambda _ack: True))
        if not self._secondary:
            self._count = FCB  # EN 13757-2: the first question after a reset has the bit set

    async def _telegram(self) -> Telegram:
        send = short(REQ_UD2 | self._count, self._address)
        telegram = await self._driver.wire.ask(Question(self._who, send, take_long, self._fits))
        self._count ^= FCB
        if said := application_error(telegram):
            raise RefusedError(f"{self._who} refuses to be read: {said}")
        if telegram.information not in (VARIABLE, PLAIN):
            raise MalformedError(f"{self._who} answers in the form {telegram.information:02X}H, which we do not read")
        if telegram.information == VARIABLE and len(telegram.data) < _HEADER:
            raise MalformedError(f"{self._who} sent a telegram without a whole header")
        return telegram

    def _fits(self, telegram: Telegram) -> bool:
        if telegram.control & RSP_UD_MASK != RSP_UD:
            return False
        if self._secondary:
            return telegram.information == ERROR or matches(self._secondary, telegram.data)
        return telegram.address == self._address

    @property
    def _who(self) -> str:
        return f"meter {self._secondary or self._address}"

    def _reading(self, asked: Asked, measure: MbusMeasure, told: _Told, error: str, at: datetime) -> Reading:
        if error:
            return Reading(asked.point.code, at, None, Quality.BAD, error=error)
        if measure.quantity == STATUS:
            return Reading(asked.point.code, at, float(told.status), Quality.GOOD, (told.status,))
        record = _pick(measure, told.records)
        decoded = _value(measure, record, asked)
        raw = tuple(record.data) if record is not None else ()
        if decoded.value is None:
            return Reading(asked.point.code, at, None, Quality.BAD, raw, decoded.error)
        if told.status & _PERMANENT_ERROR:
            return Reading(
                asked.point.code, at, decoded.value, Quality.UNCERTAIN, raw, "the meter reports a permanent error"
            )
        return Reading(asked.point.code, at, decoded.value, Quality.GOOD, raw)


def _pick(measure: MbusMeasure, records: tuple[Record, ...]) -> Record | None:
    wanted = (measure.storage, measure.tariff, measure.subunit, measure.function, bytes.fromhex(measure.extensions))
    alike = [
        record
        for record in records
        if record.meaning is not None
        and record.meaning.quantity == measure.quantity
        and (record.storage, record.tariff, record.subunit, record.function, record.extensions) == wanted
    ]
    return alike[measure.index] if measure.index < len(alike) else None


def _value(measure: MbusMeasure, record: Record | None, asked: Asked) -> Decoded:
    if record is None or record.meaning is None:
        return Decoded(None, f"the meter has no such record ({measure.quantity}); check its profile")
    turned = factor(record.meaning.unit, measure.unit)
    if turned is None:
        return Decoded(
            None,
            f"the meter counts in {record.meaning.unit}, of which '{measure.unit}' is no exact step; "
            "write a unit of its own in a profile",
        )
    return record.value(turned, measure.scale, asked.factor)
