"""Lines of BACnet devices: one port of the gateway, and one question at a time to each device.

Services and status flags are those of ASHRAE 135.  Devices of one line do not wait for each other.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from bacpypes3.pdu import Address

from drivers.bacnet import units
from drivers.bacnet.answer import NoError, Said, Wanted
from drivers.bacnet.cov import Subscriptions, Told
from drivers.bacnet.lists import Lists
from drivers.bacnet.profile import PRESENT_VALUE, UNTOLD, WITH_UNITS, BacnetMeasure, BacnetProfile
from drivers.bacnet.stack import Stack
from drivers.driver import Asked, Device
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.number import Scale, unscaled
from rules.model.line import BacnetLine
from rules.model.point import Kind
from rules.model.quality import Quality
from rules.model.reading import Reading

READ_S_MAX = 60.0  # one reading of a device, whatever it does
TOGETHER_MAX = 16  # devices of one line that are asked at the same time

log = logging.getLogger(__name__)


class BacnetDriver:
    """A port of the gateway and the devices that it reaches (obeys ``drivers.driver.Driver``)."""

    together = TOGETHER_MAX

    def __init__(
        self, line: BacnetLine, now: Callable[[], datetime], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare a line; ``now`` stamps the readings, ``monotonic_s`` tells when lists are tried again."""
        self.now = now
        self.monotonic_s = monotonic_s
        self.poll_s = line.poll_s
        self.stack = Stack(line)

    def station(self, device: Device) -> "BacnetStation":
        """Give a device on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, BacnetProfile):
            raise MisconfiguredError(
                f"device '{device.code}' has a profile of {device.profile.protocol}, not of bacnet"
            )
        return BacnetStation(self, device, device.profile)

    async def close(self) -> None:
        """Let go of the port."""
        await self.stack.close()


class BacnetStation:
    """One device (obeys ``drivers.driver.Station``); learns how long its lists may be and what it tells by itself."""

    def __init__(self, driver: BacnetDriver, device: Device, profile: BacnetProfile) -> None:
        """Look up the measures of the points."""
        self._driver = driver
        self._device = device
        self._profile = profile
        measures = {measure.name: measure for measure in profile.measure}
        self._measures = [measures[asked.measure] for asked in device.points]
        instance, _, self._at = device.address.partition("@")
        self._instance = int(instance)
        self._to: Address | None = None
        self._lists = Lists(driver.stack, profile.max_rpm, driver.monotonic_s)
        self._factors = [Decimal(1)] * len(self._measures)  # what the device's units want beside the profile's scale
        self._scales = [self._scale(number) for number in range(len(self._measures))]
        self._wrong: dict[int, str] = {}  # points whose unit cannot be right
        self._remarks: set[str] = set()
        self._told = self._subscriptions() if profile.cov else None
        self._queue = asyncio.Lock()

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        names = [f"{measure.object} {measure.named}" for measure in self._measures]
        size = self._lists.size
        return tuple(", ".join(names[i : i + size]) for i in range(0, len(names), size))

    async def read(self) -> list[Reading]:
        """Ask all points, or with COV those that are due; each has the time of its own answer."""
        async with self._queue:
            try:
                async with asyncio.timeout(READ_S_MAX):
                    return await self._look(await self._met())
            except UnreachableError:
                self._forget()
                raise
            except TimeoutError:
                self._forget()
                raise UnreachableError(
                    f"device {self._instance} takes more than {READ_S_MAX:.0f} s for one reading; ask less of it"
                ) from None
            except DriverError as error:
                return [self._reading(n, Said(None, str(error)), None) for n in range(len(self._measures))]

    async def write(self, measure: str, value: float) -> Reading:
        """Set a measure, in its point's unit, at its profile's priority and read it back."""
        number, (low, high) = self._settable(measure)
        asked = self._device.points[number]
        wanted = unscaled(value, asked.factor)  # in the profile's unit
        if not low <= wanted <= high:
            raise RefusedError(f"'{asked.point.code}' can be set from {low} to {high}, not to {wanted:f}")
        async with self._queue:
            to = await self._met_or_lost()
            if number in self._wrong:
                raise MisconfiguredError(f"'{self._device.code}.{measure}' is not set: {self._wrong[number]}")
            return await self._set(to, number, self._raw(number, value))

    async def release(self, measure: str) -> Reading:
        """Let go of what ``write`` has set, so that the next lower priority holds, and read the measure.

        Raises as ``write`` does.
        """
        number, _ = self._settable(measure)
        async with self._queue:
            return await self._set(await self._met_or_lost(), number, None)

    def _settable(self, measure: str) -> tuple[int, tuple[Decimal, Decimal]]:
        number = next((n for n, asked in enumerate(self._device.points) if asked.measure == measure), None)
        limits = self._measures[number].writable if number is not None else None
        if number is None or limits is None:
            raise MisconfiguredError(
                f"'{self._device.code}.{measure}' cannot be set; its profile does not name it writable"
            )
        return number, limits

    def _raw(self, number: int, value: float) -> float:
        """Give the device's number for a value in the point's unit; raises RefusedError."""
        found, asked = self._measures[number], self._device.points[number]
        raw = unscaled(value, asked.factor, found.scale, self._factors[number])
        if found.whole and raw != raw.to_integral_value():
            raise RefusedError(f"'{asked.point.code}' takes whole numbers only, not {raw:f}")
        return int(raw) if found.whole else float(raw)

    async def _set(self, to: Address, number: int, raw: float | None) -> Reading:
        try:
            measure = self._measures[number]
            await self._driver.stack.write(to, _value(measure), raw, measure.write_priority)
            return (await self._read(to, [number]))[number]
        except NoError as error:
            raise RefusedError(f"'{self._device.points[number].point.code}' was not set: {error}") from None
        except UnreachableError:
            self._forget()
            raise

    async def _met_or_lost(self) -> Address:
        try:
            return await self._met()
        except UnreachableError:
            self._forget()
            raise

    async def _met(self) -> Address:
        """Give the device's address once it has shown that it is the device, and what its units are."""
        if self._to is None:
            to = await self._driver.stack.find(self._instance, self._at)
            try:
                await self._driver.stack.read(to, Wanted("device", self._instance, "object-identifier"))
            except NoError as error:
                if not error.unknown_object:
                    raise RefusedError(f"device {self._instance} does not say who it is: {error}") from None
                raise MisconfiguredError(
                    f"what answers at {to} is not device {self._instance} ({error}); check the address"
                ) from None
            await self._learn(to)
            self._to = to
        return self._to

    async def _learn(self, to: Address) -> None:
        """Compare the device's units with the profile's, and ask how much has to change before it tells."""
        asked = [n for n, m in enumerate(self._measures) if m.type in WITH_UNITS and m.named == PRESENT_VALUE]
        more = ("units", "cov-increment") if self._told is not None else ("units",)
        groups = [
            tuple(Wanted(self._measures[n].type, self._measures[n].instance, named) for named in more) for n in asked
        ]
        for number, said in zip(asked, await self._lists.ask(to, groups), strict=True):
            self._compare(number, said[0])
            if self._told is not None and said[1].number is not None and self._tells(number):
                self._told.learn(number, float(said[1].number))

    def _compare(self, number: int, said: Said) -> None:
        measure = self._measures[number]
        factor, remark = units.judged(said, measure.unit, measure.scale)
        self._wrong.pop(number, None)
        if not factor:
            self._wrong[number] = remark
        elif remark and (whole := f"point {self._device.points[number].point.code}: {remark}") not in self._remarks:
            self._remarks.add(whole)
            log.warning(whole)
        self._factors[number] = factor or Decimal(1)
        self._scales[number] = self._scale(number)

    def _scale(self, number: int) -> Scale:
        return Scale(self._measures[number].scale, self._device.points[number].factor, self._factors[number])

    def _forget(self) -> None:
        """Learn a device anew that was away: it may come back elsewhere, or other."""
        self._to = None
        self._lists.forget()
        if self._told is not None:
            self._told.forget()

    def _tells(self, number: int) -> bool:
        """Whether a point may be told: counters are money and always polled."""
        measure = self._measures[number]
        whole = measure.named == PRESENT_VALUE and measure.index is None and measure.type not in UNTOLD
        return whole and measure.kind is not Kind.COUNTER

    def _subscriptions(self) -> Subscriptions:
        return Subscriptions(
            self._driver.stack,
            self._instance,
            {n: _value(measure) for n, measure in enumerate(self._measures) if self._tells(n)},
            lifetime_s=self._profile.cov_lifetime_s,
            every_s=self._driver.poll_s,
            now=self._driver.now,
            monotonic_s=self._driver.monotonic_s,
        )

    async def _look(self, to: Address) -> list[Reading]:
        """Read all points; with COV only those that the device does not tell, and all of them now and then."""
        every = range(len(self._measures))
        if self._told is None:
            return list((await self._read(to, every)).values())
        await self._told.keep(to)
        proof = self._told.proof_due()
        stands = {} if proof else {n: last for n in every if (last := self._told.last(n)) is not None}
        polled = await self._read(to, [n for n in every if n not in stands], prove=proof)
        told = self._told.take()
        newest = {n: self._told.newest(n) or last for n, last in stands.items()}  # it may have spoken meanwhile
        now = polled | {n: self._reading(n, last.value, last.flags) for n, last in newest.items()}
        return [
            reading
            for n in every
            for reading in _in_time([*(self._of(one) for one in told if one.number == n), now[n]])
        ]

    def _of(self, told: Told) -> Reading:
        return self._reading(told.number, told.value, told.flags, told.at)

    async def _read(self, to: Address, numbers: Sequence[int], *, prove: bool = False) -> dict[int, Reading]:
        readings: dict[int, Reading] = {}
        while len(readings) < len(numbers):
            part = numbers[len(readings) : len(readings) + self._lists.size]
            said = await self._lists.part(to, [(_value(self._measures[n]), _flags(self._measures[n])) for n in part])
            for number, (value, flags) in zip(part, said, strict=True):
                readings[number] = self._reading(number, value, flags)
                if prove and self._told is not None:
                    self._told.prove(number, value)
        return readings

    def _reading(self, number: int, said: Said, flags: Said | None, at: datetime | None = None) -> Reading:
        if number in self._wrong and not said.error:
            said = Said(None, self._wrong[number])
        return judged(self._device.points[number], self._scales[number], said, flags, at or self._driver.now())


def judged(asked: Asked, scale: Scale, said: Said, flags: Said | None, at: datetime) -> Reading:
    """Give a reading of what a device said: a fault is bad, overridden and out of service uncertain, alarms neither."""
    code = asked.point.code
    if said.number is None:
        return Reading(code, at, None, Quality.BAD, error=said.error)
    _, fault, overridden, out = flags.flags if flags is not None and flags.flags is not None else (False,) * 4
    if fault:
        return Reading(code, at, None, Quality.BAD, error="the device says that its value is at fault")
    value, error = scale.value(said.number)
    if value is None:
        return Reading(code, at, None, Quality.BAD, error=error)
    if overridden or out:
        why = "overridden by hand" if overridden else "out of service"
        return Reading(code, at, value, Quality.UNCERTAIN, error=f"the device says: {why}")
    return Reading(code, at, value, Quality.GOOD)


def _in_time(readings: list[Reading]) -> list[Reading]:
    """Give the readings of a point in order of time, one for each millisecond: that is how fine a time travels."""
    by_ms = {int(reading.at.timestamp() * 1000): reading for reading in sorted(readings, key=lambda r: r.at)}
    return list(by_ms.values())


def _value(measure: BacnetMeasure) -> Wanted:
    return Wanted(measure.type, measure.instance, measure.named, measure.index)


def _flags(measure: BacnetMeasure) -> Wanted:
    return Wanted(measure.type, measure.instance, "status-flags")
