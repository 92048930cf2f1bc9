"""Lines of ONVIF devices: a camera, or a controller of doors whose tokens are the addresses of its devices."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from drivers.driver import Asked, Device
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.number import scaled
from drivers.onvif.clock import happened
from drivers.onvif.device import OnvifDevice
from drivers.onvif.message import ALARMS, Told
from drivers.onvif.profile import OnvifMeasure, OnvifProfile
from drivers.onvif.states import States
from drivers.onvif.still import fetch, small, snapshot_uri
from rules.model.event import BadgeEvent, Event, Still
from rules.model.line import OnvifLine
from rules.model.quality import Quality
from rules.model.reading import Reading

EVENTS_MAX = 500  # kept until they are taken
ROUND_S = 0.15  # what one station has just pulled need not be pulled again for the others of the line
STILL_EVERY_S = 10.0

log = logging.getLogger(__name__)


class OnvifDriver:
    """One ONVIF device (obeys ``drivers.driver.Driver``); one question at a time."""

    def __init__(
        self, line: OnvifLine, now: Callable[[], datetime], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare a line; ``now`` stamps the readings, ``monotonic_s`` tells when a pull point is renewed."""
        self.device = OnvifDevice(line, now, monotonic_s)
        self.queue = asyncio.Lock()
        self.turn = 0
        self._turn_s = 0.0
        self._unheard = ""  # why there are no events
        self._stations: list[OnvifStation] = []

    def station(self, device: Device) -> "OnvifStation":
        """Give a camera, or a door by its token; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, OnvifProfile):
            raise MisconfiguredError(f"device '{device.code}' has a profile of {device.profile.protocol}, not of onvif")
        station = OnvifStation(self, device, device.profile)
        self._stations.append(station)
        return station

    async def close(self) -> None:
        """Break off what is asked and give the pull point back."""
        self.device.transport.close()
        async with self.queue:
            await self.device.unsubscribe()

    async def hear(self, seen: int) -> str:
        """Ask clock and pull point, unless another station has just done so; gives why there are no events, or ''.

        Raises UnreachableError, or what else keeps the device from being asked at all.
        """
        if seen < self.turn and self.device.monotonic_s() - self._turn_s < ROUND_S:
            return self._unheard
        await self.device.meet()
        self._unheard = ""
        try:
            told, anew = await self.device.pull()
        except DriverError as error:
            self._unheard = str(error)
        else:
            for station in self._stations if anew else ():
                station.states.begin_anew()
            for message in told:
                await self._pass_on(message)
        self.turn, self._turn_s = self.turn + 1, self.device.monotonic_s()
        return self._unheard

    async def _pass_on(self, message: Told) -> None:
        door = message.source.get("DoorToken", "")
        if not door and (access_point := message.source.get("AccessPointToken")):
            door = await self.device.door_of(access_point) or access_point
        for station in self._stations:
            station.take(message, door)


class OnvifStation:
    """One camera or door (obeys ``drivers.driver.Station`` and ``Telling``)."""

    def __init__(self, driver: OnvifDriver, device: Device, profile: OnvifProfile) -> None:
        """Look up the measures of the points; raises MisconfiguredError for a door without its token."""
        self._driver = driver
        self._device = device
        measures = {measure.name: measure for measure in profile.measure}
        self._measures = [measures[asked.measure] for asked in device.points]
        self._doorlike = any(measure.origin == "door" for measure in self._measures)
        if self._doorlike and not device.address:
            raise MisconfiguredError(f"device '{device.code}' is a door and needs its token as address")
        self.states = States(list(zip(device.points, self._measures, strict=True)), device.address)
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._seen = 0
        self._alarm: str | None = None
        self._cause: str | None = None  # of a still that is due
        self._still_s = -STILL_EVERY_S
        self._still_error = ""

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words."""
        door = (f"state of door {self._device.address}",) if self._doorlike else ()
        return ("clock", "events", *door)

    def take_events(self) -> list[Event]:
        """Give what has happened since this was last asked."""
        taken = list(self._events)
        self._events.clear()
        return taken

    def take(self, message: Told, door: str) -> None:
        """Take in a message of the line if it is about this camera or door."""
        at = happened(message.at, self._driver.device.skew, self._driver.device.now())
        if self._device.address and door not in ("", self._device.address):
            return
        if message.access and self._doorlike and door:
            self._events.append(BadgeEvent(uuid4(), self._device.code, at, message.access, message.badge))
        if door and (alarm := message.alarm) is not None:
            self._note_alarm(alarm, at)
        self._cause = self.states.take(message, at) or self._cause

    async def read(self) -> list[Reading]:
        """Ask clock, events and the door's state; raises UnreachableError."""
        async with self._driver.queue:
            try:
                unheard = await self._driver.hear(self._seen)
                self._seen = self._driver.turn
                door, said = await self._door()
            except UnreachableError:
                self._driver.device.forget()
                self.states.begin_anew()
                raise
            except DriverError as error:
                return [self._bad(asked, str(error)) for asked in self._device.points]
            await self._take_due_still()
            return [
                reading
                for asked, measure in zip(self._device.points, self._measures, strict=True)
                for reading in self._readings(asked, measure, door, said if measure.origin == "door" else unheard)
            ]

    async def write(self, measure: str, value: float) -> Reading:
        """Act on the door, or take a still; what was set is read back."""
        number = next((n for n, asked in enumerate(self._device.points) if asked.measure == measure), None)
        found = self._measures[number] if number is not None else None
        if number is None or found is None or not (found.writes or found.origin == "snapshot"):
            raise MisconfiguredError(f"'{self._device.code}.{measure}' cannot be set; its profile does not say how")
        asked = self._device.points[number]
        async with self._driver.queue:
            if found.origin == "snapshot":
                return await self._shoot(asked, value)
            return await self._act(asked, found, value)

    async def _act(self, asked: Asked, measure: OnvifMeasure, value: float) -> Reading:
        act = measure.writes.get(f"{value:g}")
        if act is None:
            raise RefusedError(f"'{asked.point.code}' can be set to {', '.join(measure.writes)}, not to {value:g}")
        await self._driver.device.meet()
        more = {"AccessTime": f"PT{measure.access_s}S"} if act == "AccessDoor" and measure.access_s else {}
        await self._driver.device.call("door", act, Token=self._device.address, **more)
        door, said = await self._door()
        return self._readings(asked, measure, door, said)[-1]

    async def _shoot(self, asked: Asked, value: float) -> Reading:
        if value != 1:
            raise RefusedError(f"'{asked.point.code}' takes a still when it is set to 1, not to {value:g}")
        await self._driver.device.meet()
        await self._take_still("asked")
        return Reading(asked.point.code, self._driver.device.now(), 1.0, Quality.GOOD)

    async def _door(self) -> tuple[dict[str, str], str]:
        """Give the items of the door's state, and why there are none."""
        if not self._doorlike:
            return {}, ""
        try:
            answer = await self._driver.device.call("door", "GetDoorState", Token=self._device.address)
        except UnreachableError:
            raise
        except DriverError as error:
            return {}, str(error)
        state = answer.first("DoorState")
        items = {item.name: item.said("State") or item.text for item in state.children} if state is not None else {}
        if "Alarm" in items:
            self._note_alarm(items["Alarm"], self._driver.device.now())
        return items, ""

    def _note_alarm(self, alarm: str, at: datetime) -> None:
        """Tell that a door was forced or held once, however it was learnt; not what was so before we looked."""
        before, self._alarm = self._alarm, alarm
        if before not in (None, alarm) and (result := ALARMS.get(alarm)) is not None:
            self._events.append(BadgeEvent(uuid4(), self._device.code, at, result))

    async def _take_due_still(self) -> None:
        cause, self._cause = self._cause, None
        monotonic_s = self._driver.device.monotonic_s()
        if cause is None or monotonic_s - self._still_s < STILL_EVERY_S:
            return
        self._still_s = monotonic_s
        try:
            await self._take_still(cause)
            self._still_error = ""
        except DriverError as error:
            if str(error) != self._still_error:
                log.warning("device %s: no still: %s", self._device.code, error)
            self._still_error = str(error)

    async def _take_still(self, cause: str) -> None:
        device = self._driver.device
        at = device.now()
        picture = await asyncio.to_thread(small, await fetch(device, await snapshot_uri(device)))
        self._events.append(Still(uuid4(), self._device.code, at, cause, picture))

    def _readings(self, asked: Asked, measure: OnvifMeasure, door: dict[str, str], error: str) -> list[Reading]:
        """Give what a point has told meanwhile and what it is now."""
        if measure.origin == "event":
            return self.states.readings(asked, self._driver.device.now(), error)
        if measure.origin == "snapshot":
            return [self._good(asked, measure, Decimal(0))]
        if measure.origin == "clock":
            return [self._good(asked, measure, Decimal(str(round(self._driver.device.skew.total_seconds(), 1))))]
        return [self._door_reading(asked, measure, door, error)]

    def _door_reading(self, asked: Asked, measure: OnvifMeasure, door: dict[str, str], error: str) -> Reading:
        word = door.get(measure.item)
        if word is None:
            return self._bad(asked, error or f"the door does not say its {measure.item}")
        if word not in measure.values:
            return self._bad(asked, f"the door says that its {measure.item} is '{word[:40]}'")
        return self._good(asked, measure, measure.values[word])

    def _good(self, asked: Asked, measure: OnvifMeasure, number: Decimal) -> Reading:
        value = scaled(number, measure.scale, asked.factor).value
        return Reading(asked.point.code, self._driver.device.now(), value, Quality.GOOD)

    def _bad(self, asked: Asked, error: str) -> Reading:
        return Reading(asked.point.code, self._driver.device.now(), None, Quality.BAD, error=error)
