"""Lines of BACnet devices: one port of the gateway, and one question at a time to each device.

Services and status flags are those of ASHRAE 135: ReadPropertyMultiple as long as the device can, in lists as long
as its answers fit; single ReadProperty where it cannot.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from bacpypes3.pdu import Address

from drivers.bacnet.profile import BacnetMeasure, BacnetProfile
from drivers.bacnet.stack import NoError, Said, Stack, Wanted
from drivers.driver import Asked, Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.number import scaled, unscaled
from rules.model.line import BacnetLine
from rules.model.quality import Quality
from rules.model.reading import Reading

RPM_RETRY_S = 600.0  # a device that refused ReadPropertyMultiple is asked again now and then


class BacnetDriver:
    """A port of the gateway and the devices that it reaches (obeys ``drivers.driver.Driver``)."""

    def __init__(
        self, line: BacnetLine, now: Callable[[], datetime], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare a line; ``now`` stamps the readings, ``monotonic_s`` tells when lists are tried again."""
        self.now = now
        self.monotonic_s = monotonic_s
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
    """One device (obeys ``drivers.driver.Station``); learns how long its lists may be."""

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
        self._limit = profile.max_rpm
        self._lists_from_s = 0.0
        self._queue = asyncio.Lock()

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        names = [f"{measure.object} {measure.named}" for measure in self._measures]
        if not self._listing:
            return tuple(names)
        return tuple(", ".join(names[i : i + self._limit]) for i in range(0, len(names), self._limit))

    async def read(self) -> list[Reading]:
        """Ask all points; each has the time of its own answer."""
        async with self._queue:
            try:
                to = await self._met()
                return await self._read(to, list(range(len(self._measures))))
            except UnreachableError:
                self._forget()
                raise
            except DriverError as error:
                return [self._reading(n, Said(None, str(error)), None) for n in range(len(self._measures))]

    async def write(self, measure: str, value: float) -> Reading:
        """Set a measure, in its point's unit, at its profile's priority and read it back."""
        number, limits = self._settable(measure)
        found, factor = self._measures[number], self._device.points[number].factor
        wanted = unscaled(value, factor)  # in the profile's unit
        code = self._device.points[number].point.code
        if not limits[0] <= wanted <= limits[1]:
            raise RefusedError(f"'{code}' can be set from {limits[0]} to {limits[1]}, not to {wanted:f}")
        raw = unscaled(value, factor, found.scale)
        if found.whole and raw != raw.to_integral_value():
            raise RefusedError(f"'{code}' takes whole numbers only, not {raw:f}")
        return await self._set(number, int(raw) if found.whole else float(raw))

    async def release(self, measure: str) -> Reading:
        """Let go of what ``write`` has set, so that the next lower priority holds, and read the measure.

        Raises as ``write`` does.
        """
        number, _ = self._settable(measure)
        return await self._set(number, None)

    def _settable(self, measure: str) -> tuple[int, tuple[Decimal, Decimal]]:
        number = next((n for n, asked in enumerate(self._device.points) if asked.measure == measure), None)
        limits = self._measures[number].writable if number is not None else None
        if number is None or limits is None:
            raise MisconfiguredError(
                f"'{self._device.code}.{measure}' cannot be set; its profile does not name it writable"
            )
        return number, limits

    async def _set(self, number: int, raw: float | None) -> Reading:
        async with self._queue:
            try:
                to = await self._met()
                measure = self._measures[number]
                await self._driver.stack.write(to, _value(measure), raw, measure.write_priority)
                return (await self._read(to, [number]))[0]
            except NoError as error:
                raise RefusedError(f"'{self._device.points[number].point.code}' was not set: {error}") from None
            except UnreachableError:
                self._forget()
                raise

    async def _met(self) -> Address:
        """Give the device's address once it has shown that it is the device."""
        if self._to is None:
            to = await self._driver.stack.find(self._instance, self._at)
            try:
                await self._driver.stack.read(to, Wanted("device", self._instance, "object-identifier"))
            except NoError as error:
                raise MisconfiguredError(
                    f"what answers at {to} is not device {self._instance} ({error}); check the address"
                ) from None
            self._to = to
        return self._to

    def _forget(self) -> None:
        """Learn a device anew that was away: it may come back elsewhere, or other."""
        self._to = None
        self._limit = self._profile.max_rpm
        self._lists_from_s = 0.0

    @property
    def _listing(self) -> bool:
        return self._profile.max_rpm > 1 and self._driver.monotonic_s() >= self._lists_from_s

    async def _read(self, to: Address, numbers: Sequence[int]) -> list[Reading]:
        readings: list[Reading] = []
        while len(readings) < len(numbers):
            size = self._limit if self._listing else 1
            readings += await self._read_part(to, numbers[len(readings) : len(readings) + size])
        return readings

    async def _read_part(self, to: Address, numbers: Sequence[int]) -> list[Reading]:
        """Read some points in one list; in shorter ones when the answer does not fit, singly when there are none."""
        if not self._listing:
            return [await self._read_single(to, number) for number in numbers]
        try:
            said = await self._driver.stack.read_many(
                to, [(_value(self._measures[n]), _flags(self._measures[n])) for n in numbers]
            )
        except NoError as error:
            if error.too_long and len(numbers) > 1:
                self._limit = (len(numbers) + 1) // 2
                return await self._read(to, numbers)
            if error.unknown_service:
                self._lists_from_s = self._driver.monotonic_s() + RPM_RETRY_S
            return [await self._read_single(to, number) for number in numbers]
        except MalformedError:  # one property that cannot be read spoils a list, not the others
            return [await self._read_single(to, number) for number in numbers]
        return [self._reading(n, value, flags) for n, (value, flags) in zip(numbers, said, strict=True)]

    async def _read_single(self, to: Address, number: int) -> Reading:
        measure = self._measures[number]
        try:
            value = await self._driver.stack.read(to, _value(measure))
        except (NoError, MalformedError) as error:
            return self._reading(number, Said(None, str(error)), None)
        try:
            flags = await self._driver.stack.read(to, _flags(measure))
        except (NoError, MalformedError):
            flags = None  # an object without status flags is what it says
        return self._reading(number, value, flags)

    def _reading(self, number: int, said: Said, flags: Said | None) -> Reading:
        return judged(self._device.points[number], self._measures[number], said, flags, self._driver.now())


def judged(asked: Asked, measure: BacnetMeasure, said: Said, flags: Said | None, at: datetime) -> Reading:
    """Give a reading of what a device said: a fault is bad, overridden and out of service uncertain, alarms neither."""
    code = asked.point.code
    if said.number is None:
        return Reading(code, at, None, Quality.BAD, error=said.error)
    _, fault, overridden, out = flags.flags if flags is not None and flags.flags is not None else (False,) * 4
    if fault:
        return Reading(code, at, None, Quality.BAD, error="the device says that its value is at fault")
    decoded = scaled(said.number, measure.scale, asked.factor)
    if decoded.value is None:
        return Reading(code, at, None, Quality.BAD, error=decoded.error)
    if overridden or out:
        why = "overridden by hand" if overridden else "out of service"
        return Reading(code, at, decoded.value, Quality.UNCERTAIN, error=f"the device says: {why}")
    return Reading(code, at, decoded.value, Quality.GOOD)


def _value(measure: BacnetMeasure) -> Wanted:
    return Wanted(measure.type, measure.instance, measure.named, measure.index)


def _flags(measure: BacnetMeasure) -> Wanted:
    return Wanted(measure.type, measure.instance, "status-flags")
