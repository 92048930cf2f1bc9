"""Lines of OPC UA servers: one session each, values read in lists as long as the server takes, or told by itself.

Services are those of OPC 10000-4.  How good a value is the server says with every one of them (``status``), when it
was so with its source time (``value.Told``).
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from asyncua import ua

from drivers.driver import Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.number import Scale, unscaled
from drivers.opcua import command
from drivers.opcua.lists import Lists
from drivers.opcua.profile import OpcuaProfile
from drivers.opcua.session import Connection, Session
from drivers.opcua.status import GONE, SaidNoError
from drivers.opcua.subscription import Change, Subscription
from drivers.opcua.value import Told
from rules.model.line import OpcuaLine
from rules.model.reading import Reading

RESUBSCRIBE_S = 60.0  # a server that takes no subscription is asked again now and then

log = logging.getLogger(__name__)


class OpcuaDriver:
    """The way to one server (obeys ``drivers.driver.Driver``)."""

    def __init__(
        self, line: OpcuaLine, now: Callable[[], datetime], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare a line; ``now`` stamps the readings, ``monotonic_s`` tells when something is tried again."""
        self.now = now
        self.line = line
        self.monotonic_s = monotonic_s
        self.session = Session(line, now, monotonic_s)
        self.subscriptions: list[Subscription] = []

    @property
    def cautions(self) -> tuple[str, ...]:
        """What will need somebody's hands soon, in words: certificates that end."""
        return tuple(self.session.door.cautions.values())

    def station(self, device: Device) -> "OpcuaStation":
        """Give the device on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, OpcuaProfile):
            raise MisconfiguredError(f"device '{device.code}' has a profile of {device.profile.protocol}, not of opcua")
        return OpcuaStation(self, device, device.profile)

    async def close(self) -> None:
        """Close the session and let go of the connection."""
        for subscription in self.subscriptions:
            await subscription.close()
        await self.session.close()


class OpcuaStation:
    """The device behind a server (obeys ``drivers.driver.Station``); learns how long its lists may be."""

    def __init__(self, driver: OpcuaDriver, device: Device, profile: OpcuaProfile) -> None:
        """Look up the measures of the points."""
        self._driver = driver
        self._device = device
        self._profile = profile
        measures = {measure.name: measure for measure in profile.measure}
        self._told = [
            Told(asked, measures[asked.measure], Scale(measures[asked.measure].scale, asked.factor))
            for asked in device.points
        ]
        self._lists = Lists([told.measure for told in self._told], profile, driver.monotonic_s)
        self._subscription: Subscription | None = None
        self._subscribe_s = 0.0
        self._current: dict[int, ua.DataValue] = {}

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        names = [told.measure.node for told in self._told]
        if self._profile.subscribe:
            return (f"told by the server: {', '.join(names)}",)
        size = self._lists.limit
        return tuple(", ".join(names[i : i + size]) for i in range(0, len(names), size))

    async def read(self) -> list[Reading]:
        """Ask all points, or give what the server has told since this was last asked."""
        try:
            return await self._driver.session.run(self._followed if self._profile.subscribe else self._polled)
        except UnreachableError:
            raise
        except DriverError as error:
            return [told.bad(str(error), self._driver.now()) for told in self._told]

    async def write(self, measure: str, value: float) -> Reading:
        """Set a measure, in its point's unit, as the type that its node holds, and read it back."""
        number, limits = self._settable(measure)
        told = self._told[number]
        code, factor = told.asked.point.code, told.asked.factor
        wanted = unscaled(value, factor)  # in the profile's unit
        if not limits[0] <= wanted <= limits[1]:
            raise RefusedError(f"'{code}' can be set from {limits[0]} to {limits[1]}, not to {wanted:f}")
        raw = unscaled(value, factor, told.measure.scale)

        async def written(connection: Connection) -> bool:
            self._lists.meet(connection)
            return await command.write(connection, self._lists.nodes[number], told, raw)

        held_now = await self._driver.session.run(written)  # on its own: what has been done is never done again
        return await self._read_back(number, value, held_now=held_now)

    def _settable(self, measure: str) -> tuple[int, tuple[Decimal, Decimal]]:
        number = next((n for n, told in enumerate(self._told) if told.measure.name == measure), None)
        limits = self._told[number].measure.writable if number is not None else None
        if number is None or limits is None:
            raise MisconfiguredError(
                f"'{self._device.code}.{measure}' cannot be set; its profile does not name it writable"
            )
        return number, limits

    async def _read_back(self, number: int, value: float, *, held_now: bool) -> Reading:
        told = self._told[number]
        code = told.asked.point.code
        try:
            (held,) = await self._driver.session.run(lambda connection: self._lists.values(connection, [number]))
        except UnreachableError as error:
            raise UnreachableError(f"'{code}' was set to {value:g} and could not be read back: {error}") from None
        reading = _judged(told, held, self._driver.now())
        step = float(told.asked.point.resolution)
        if held_now and reading.value is not None and abs(reading.value - value) > step:
            raise RefusedError(f"'{code}' was set to {value:g}, but the server holds {reading.value:g}")
        return reading

    async def _polled(self, connection: Connection) -> list[Reading]:
        values = await self._lists.values(connection, range(len(self._told)))
        now = self._driver.now()
        return [_judged(told, value, now) for told, value in zip(self._told, values, strict=True)]

    async def _followed(self, connection: Connection) -> list[Reading]:
        """Give the changes, and of the points without one what they still are; poll what nobody tells."""
        self._lists.meet(connection)
        subscribed = await self._subscribed(connection)
        pending = subscribed.pending
        if subscribed.heard:
            self._current.update((change.number, change.value) for change in pending)
        silent = [n for n in range(len(self._told)) if n not in self._current]
        polled = dict(zip(silent, await self._lists.values(connection, silent), strict=True))
        changes: dict[int, list[Change]] = {}
        for change in subscribed.take(len(pending)):  # now: what is taken is given
            changes.setdefault(change.number, []).append(change)
        if subscribed.lost:
            log.warning("device %s: %d changes were lost, for they came faster than they are read; poll it oftener "
                        "or publish slower", self._device.code, subscribed.lost)  # fmt: skip
            subscribed.lost = 0
        now = self._driver.now()
        readings: list[Reading] = []
        for number, told in enumerate(self._told):
            new = changes.get(number, [])
            readings += [told.reading(change.value, change.at) for change in new]
            if number in polled:
                readings.append(_judged(told, polled[number], now))
            elif not new:
                readings.append(told.reading(self._current[number], now, fresh=False))
        return readings

    async def _subscribed(self, connection: Connection) -> Subscription:
        """Give the subscription, renewed where it is dead."""
        driver = self._driver
        if self._subscription is None:
            self._subscription = Subscription(
                self._device.code, driver.line.publish_s, driver.line.poll_s, driver.now, driver.monotonic_s
            )
            driver.subscriptions.append(self._subscription)
        subscription = self._subscription
        if subscription.alive(connection, driver.line.timeout_s):
            return subscription
        self._current.clear()  # polled until the new one has spoken
        if driver.monotonic_s() < self._subscribe_s:
            return subscription
        nodes = [(n, node) for n, node in enumerate(self._lists.nodes) if not isinstance(node, str)]
        try:
            await subscription.open(connection, nodes)
        except (SaidNoError, MalformedError) as error:
            if isinstance(error, SaidNoError) and error.code in GONE:
                raise
            self._subscribe_s = driver.monotonic_s() + RESUBSCRIBE_S
            log.warning("device %s is polled, for its server takes no subscription: %s", self._device.code, error)
        for number, why in subscription.refused.items():
            log.warning("point %s is polled, for its server does not watch it: %s",
                        self._told[number].asked.point.code, why)  # fmt: skip
        return subscription


def _judged(told: Told, value: ua.DataValue | str, now: datetime) -> Reading:
    return told.bad(value, now) if isinstance(value, str) else told.reading(value, now)
