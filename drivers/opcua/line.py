"""Lines of OPC UA servers: one session each, values read in lists as long as the server takes, or told by itself.

Services are those of OPC 10000-4.  How good a value is the server says with every one of them (``status``), when it
was so with its source time (``value.Told``).
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.driver import Device
from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.number import Scale, unscaled
from drivers.opcua.nodes import NoNodeError, node_of
from drivers.opcua.profile import OpcuaProfile
from drivers.opcua.session import AgainError, Connection, Session
from drivers.opcua.status import GONE, TOO_MUCH, SaidNoError, quality, words
from drivers.opcua.subscription import Change, Subscription
from drivers.opcua.value import Told, variant_of
from rules.model.line import OpcuaLine
from rules.model.quality import Quality
from rules.model.reading import Reading

TOO_LONG_RETRY_S = 600.0  # a node whose value is longer than any answer is left out for so long
RESUBSCRIBE_S = 60.0  # a server that takes no subscription is asked again now and then
_PER_READ = ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead
_BUILT_IN_MAX = 25  # data types up to it are the built-in ones (OPC 10000-6, 5.1.2)

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
        self._limit = profile.max_read
        self._too_long: dict[int, float] = {}  # points left out until then
        self._met: Connection | None = None  # whose nodes these are
        self._nodes: list[ua.NodeId | str] = []  # or why there is none
        self._subscription: Subscription | None = None
        self._subscribe_s = 0.0
        self._current: dict[int, ua.DataValue] = {}

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        names = [told.measure.node for told in self._told]
        if self._profile.subscribe:
            return (f"told by the server: {', '.join(names)}",)
        return tuple(", ".join(names[i : i + self._limit]) for i in range(0, len(names), self._limit))

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
        return await self._driver.session.run(lambda connection: self._set(connection, number, value, raw))

    def _settable(self, measure: str) -> tuple[int, tuple[Decimal, Decimal]]:
        number = next((n for n, told in enumerate(self._told) if told.measure.name == measure), None)
        limits = self._told[number].measure.writable if number is not None else None
        if number is None or limits is None:
            raise MisconfiguredError(
                f"'{self._device.code}.{measure}' cannot be set; its profile does not name it writable"
            )
        return number, limits

    async def _set(self, connection: Connection, number: int, value: float, raw: Decimal) -> Reading:
        self._meet(connection)
        node, told = self._nodes[number], self._told[number]
        code = told.asked.point.code
        if isinstance(node, str):
            raise MisconfiguredError(node)
        kind = await self._kind(connection, node, code)
        variant = variant_of(raw, kind, told.measure, code)
        answers = await connection.ask(connection.session.write_attributes([node], [ua.DataValue(Value=variant)]))
        said = answers[0].value if answers else StatusCodes.BadUnexpectedError
        if quality(said) is Quality.BAD:
            raise RefusedError(f"'{code}' was not set: {connection.place} says {words(said)}")
        (held,) = await self._values(connection, [number])
        reading = _judged(told, held, self._driver.now())
        step = float(told.asked.point.resolution)
        later = said == StatusCodes.GoodCompletesAsynchronously
        if not later and reading.value is not None and abs(reading.value - value) > step:
            raise RefusedError(f"'{code}' was set to {value:g}, but the server holds {reading.value:g}")
        return reading

    async def _kind(self, connection: Connection, node: ua.NodeId, code: str) -> ua.VariantType:
        """Give the type that a node holds: that of its value, or where it has none yet its data type."""
        wanted = [
            ua.ReadValueId(NodeId=node, AttributeId=attribute)
            for attribute in (AttributeIds.Value, AttributeIds.DataType)
        ]
        value, declared = await connection.read(ua.ReadParameters(NodesToRead=wanted))
        if value.Value is not None and isinstance(value.Value.VariantType, ua.VariantType):
            if value.Value.is_array:
                raise RefusedError(f"'{code}' is an array, which cannot be set")
            if value.Value.VariantType is not ua.VariantType.Null:
                return value.Value.VariantType
        name = declared.Value.Value if declared.Value is not None else None
        built_in = name.Identifier if isinstance(name, ua.NodeId) and name.NamespaceIndex == 0 else None
        if isinstance(built_in, int) and 0 < built_in <= _BUILT_IN_MAX:
            return ua.VariantType(built_in)
        status = value.StatusCode.value if value.StatusCode is not None else StatusCodes.BadTypeMismatch
        raise RefusedError(f"'{code}' was not set, for its type is not known: {connection.place} says {words(status)}")

    def _meet(self, connection: Connection) -> None:
        """Find the nodes of this connection."""
        if self._met is connection:
            return
        self._nodes = []
        for told in self._told:
            try:
                namespace = self._profile.namespace_of(told.measure)
                self._nodes.append(node_of(told.measure.node, namespace, connection))
            except NoNodeError as error:
                self._nodes.append(str(error))
        self._met = connection

    async def _polled(self, connection: Connection) -> list[Reading]:
        self._meet(connection)
        values = await self._values(connection, range(len(self._told)))
        now = self._driver.now()
        return [_judged(told, value, now) for told, value in zip(self._told, values, strict=True)]

    async def _values(self, connection: Connection, numbers: Sequence[int]) -> list[ua.DataValue | str]:
        """Read points; a value, or why there is none, for each number in order."""
        found: dict[int, ua.DataValue | str] = {}
        asked: list[int] = []
        for number in numbers:
            node = self._nodes[number]
            if isinstance(node, str):
                found[number] = node
            elif self._too_long.get(number, 0.0) > self._driver.monotonic_s():
                found[number] = "its value is longer than any answer of a server may be"
            else:
                asked.append(number)
        while asked:
            size = connection.at_most(_PER_READ, self._limit)
            part, rest = asked[:size], asked[size:]
            values = await self._part(connection, part)
            if values is None:
                continue  # in shorter lists
            found.update(zip(part, values, strict=True))
            asked = rest
        return [found[number] for number in numbers]

    async def _part(self, connection: Connection, numbers: Sequence[int]) -> Sequence[ua.DataValue | str] | None:
        """Read some points in one list; None when the list was too long and the next is to be shorter."""
        wanted = [
            ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value)
            for node in (self._nodes[number] for number in numbers)
            if not isinstance(node, str)
        ]
        try:
            return await connection.read(ua.ReadParameters(NodesToRead=wanted))
        except SaidNoError as error:
            if error.code in GONE:
                raise
            if error.code not in TOO_MUCH:
                return [f"{connection.place} says {error}"] * len(numbers)
            if len(numbers) > 1:
                self._limit = (len(numbers) + 1) // 2
            else:
                self._too_long[numbers[0]] = self._driver.monotonic_s() + TOO_LONG_RETRY_S
                self._limit = self._profile.max_read  # the one is out, the others were not to blame
            if not connection.client.connected:  # it was we who found it too long
                raise AgainError(f"{connection.place} sends answers longer than we take") from None
            return None if len(numbers) > 1 else ["its value is longer than any answer of a server may be"]

    async def _followed(self, connection: Connection) -> list[Reading]:
        """Give the changes, and of the points without one what they still are; poll what nobody tells."""
        self._meet(connection)
        subscribed = await self._subscribed(connection)
        pending = subscribed.pending
        if subscribed.heard:
            self._current.update((change.number, change.value) for change in pending)
        silent = [n for n in range(len(self._told)) if n not in self._current]
        polled = dict(zip(silent, await self._values(connection, silent), strict=True))
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
        nodes = [(n, node) for n, node in enumerate(self._nodes) if not isinstance(node, str)]
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
