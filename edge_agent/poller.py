"""The poller: asks every device of one line at a fixed rate and spools what is worth sending."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from drivers.driver import Columnar, Device, Driver, Parallel, Station, Telling
from drivers.errors import UnreachableError
from edge_agent.actuator import Actuator
from edge_agent.change import News
from edge_agent.config import PolledLine
from edge_agent.frame import FRAME_READINGS_MAX, Frame
from edge_agent.health import Health
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool, SpoolFullError
from rules.model.event import Event
from rules.model.poll import Poll
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.wire.event import head, joined, picture
from rules.wire.sparkplug import MalformedPayloadError

BACKOFF_FIRST_S = 1.0
DEVICE_BACKOFF_MAX_S = 60.0
TOLD_MAX = 100  # events of one device that wait for the spool to take them
LINK_BACKOFF_MAX_S = 15.0
ABREAST_PART = 0.5  # of a cycle that is waited for devices asked side by side; slower ones outlast it
WAITING_READINGS_MAX = 10_000  # not on disk yet; more and the line waits for the disk

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """One device and what we know of it."""

    device: Device
    station: Station
    news: News
    alive: bool | None = None  # None until the first poll
    gone: bool = False  # the site file no longer has it so
    loss_spooled: bool = False
    backoff_s: float = BACKOFF_FIRST_S
    retry_s: float = 0.0
    errors: dict[str, str] = field(default_factory=dict)
    told: deque[Event] = field(default_factory=lambda: deque(maxlen=TOLD_MAX))
    asking: asyncio.Task[None] | None = None  # a poll that has outlasted its cycle


class LinePoller:
    """Polls one line for ever.  ``now`` is the gateway's clock, ``monotonic_s`` paces, ``heed`` hears every reading."""

    def __init__(
        self,
        line: PolledLine,
        driver: Driver,
        *,
        spool: Spool,
        publisher: Publisher,
        roster: Roster,
        health: Health,
        now: Callable[[], datetime],
        actuator: Actuator | None = None,
        heed: Callable[[Iterable[Reading]], None] = lambda _: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._driver = driver
        self._spool = spool
        self._publisher = publisher
        self._roster = roster
        self._health = health
        self._now = now
        self._actuator = actuator
        self._heed = heed
        self._changed = asyncio.Event()
        self._monotonic_s = monotonic_s
        self._devices = [self._watched(device) for device in line.devices]
        self._link_backoff_s = BACKOFF_FIRST_S
        self._link_retry_s = 0.0
        self._lanes = asyncio.Semaphore(driver.together) if isinstance(driver, Parallel) else None
        self._waiting: list[tuple[_Watched, list[Reading]]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._disk = asyncio.Lock()  # one bite after the other, in the order of asking

    def _watched(self, device: Device) -> _Watched:
        return _Watched(device, self._driver.station(device), News(asked.point for asked in device.points))

    async def run(self) -> None:
        """Poll at start + k * poll_s; a cycle that takes too long skips turns and never bunches them."""
        start_s, cycle = self._monotonic_s(), 0
        if self._actuator is not None:
            for watched in self._devices:
                self._actuator.seat(watched.device, watched.station)
        try:
            while True:
                await self.cycle()
                turn = int((self._monotonic_s() - start_s) // self._line.line.poll_s) + 1
                self._health.missed += turn - cycle - 1
                cycle = turn
                await self._rest(start_s + cycle * self._line.line.poll_s)
        finally:
            await self._stop_asking()
            if self._actuator is not None:
                self._actuator.unseat([watched.station for watched in self._devices])
            await self._driver.close()
            await self.settle()

    async def _rest(self, until_s: float) -> None:
        """Wait for the next cycle; a device that is new meanwhile is asked at once."""
        while (left_s := until_s - self._monotonic_s()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                return
            self._changed.clear()
            await self._poll([watched for watched in self._devices if watched.alive is None])
        await asyncio.sleep(0)

    def apply(self, line: PolledLine) -> None:
        """Go by other devices on the same line; those that are as before keep what was learnt, and miss no cycle."""
        known = {watched.device.code: watched for watched in self._devices if watched.device in line.devices}
        before, self._line = self._devices, line
        self._devices = [known.get(device.code) or self._watched(device) for device in line.devices]
        gone = [watched for watched in before if watched.device.code not in known]
        for watched in gone:
            watched.gone = True
            if watched.asking is not None:
                watched.asking.cancel()
        if self._actuator is not None:
            self._actuator.unseat([watched.station for watched in gone])
            for watched in self._devices:
                if watched.device.code not in known:
                    self._actuator.seat(watched.device, watched.station)
        self._changed.set()

    @property
    def answering(self) -> set[str]:
        """Devices whose last poll was answered."""
        return {watched.device.code for watched in self._devices if watched.alive}

    async def poll(self) -> None:
        """One cycle, down to the disk: every device that is not backing off."""
        await self.cycle()
        await self.settle()

    async def cycle(self) -> None:
        """Ask every device that is not backing off; the disk writes what they said while others are asked."""
        await self._poll(self._devices)

    async def _poll(self, devices: Sequence[_Watched]) -> None:
        if self._keeping is not None and self._keeping.done():
            await self.settle()  # whatever went wrong is told
        if self._monotonic_s() < self._link_retry_s:
            return
        if self._lanes is not None:
            await self._poll_abreast(devices, self._lanes)
            return
        for watched in devices:
            await self._ask(watched)

    async def _poll_abreast(self, devices: Sequence[_Watched], lanes: asyncio.Semaphore) -> None:
        """Ask devices side by side; slow ones go on by themselves and hold up no cycle of the others."""
        for watched in devices:
            if watched.asking is None and self._monotonic_s() >= watched.retry_s:
                watched.asking = asyncio.create_task(self._ask_in_lane(watched, lanes))
        asking = [watched.asking for watched in devices if watched.asking is not None]
        if asking:
            await asyncio.wait(asking, timeout=ABREAST_PART * self._line.line.poll_s)
        for watched in devices:
            if watched.asking is not None and watched.asking.done():
                done, watched.asking = watched.asking, None
                if not done.cancelled():  # its device has left meanwhile
                    done.result()

    async def _ask_in_lane(self, watched: _Watched, lanes: asyncio.Semaphore) -> None:
        async with lanes:
            await self._ask(watched)

    async def _stop_asking(self) -> None:
        asking = [watched.asking for watched in self._devices if watched.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, watched: _Watched) -> None:
        """Poll one device unless it, or its line, is backing off."""
        _end_if_asked()
        if watched.gone or self._monotonic_s() < max(watched.retry_s, self._link_retry_s):
            return
        try:
            await self._poll_device(watched)
            self._link_backoff_s = BACKOFF_FIRST_S
            await self._listen(watched)
        except UnreachableError as error:
            self._health.failures += 1
            if error.link:
                await self._lose_link(str(error))
                return
            watched.retry_s = self._monotonic_s() + watched.backoff_s
            watched.backoff_s = min(2 * watched.backoff_s, DEVICE_BACKOFF_MAX_S)
            await self._lose([watched], str(error))

    async def _poll_device(self, watched: _Watched) -> None:
        self._health.polls += 1
        station = watched.station
        said = await station.poll() if isinstance(station, Columnar) else await station.read()
        if watched.gone:
            return
        if watched.alive is False:
            back = {"event": "device.back", "device": watched.device.code}
            log.warning("device %s is back", watched.device.code, extra=back)
            self._publisher.announce(watched.device.code, alive=True)
        watched.alive, watched.loss_spooled = True, False
        watched.backoff_s, watched.retry_s = BACKOFF_FIRST_S, 0.0
        _log_errors(watched, said)
        self._heed(said)
        await self._take(watched, watched.news.of(said))

    async def _take(self, watched: _Watched, fresh: list[Reading]) -> None:
        """Put readings before the keeper; the next device is asked meanwhile, unless too much waits already."""
        if not fresh:
            return
        self._waiting.append((watched, fresh))
        if self._keeping is not None and (self._keeping.done() or self._too_much()):
            await self.settle()
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_waiting())

    def _too_much(self) -> bool:
        return sum(len(fresh) for _, fresh in self._waiting) > WAITING_READINGS_MAX

    async def _keep_waiting(self) -> None:
        """Spool what waits, and what has come to wait meanwhile: a slow disk makes larger bites, not a slower line."""
        while self._waiting:
            taken, self._waiting = self._waiting, []
            await self._keep(taken)

    async def settle(self) -> None:
        """Wait until the last readings are on disk; raises what went wrong there."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            await keeping
        if self._waiting:
            await self._keep_waiting()

    async def _listen(self, watched: _Watched) -> None:
        """Spool what a door or a camera has told, a frame each; what finds no room waits for the next poll."""
        if isinstance(watched.station, Telling):
            watched.told.extend(event for event in watched.station.take_events() if _well_formed(event))
        while watched.told:
            try:
                await asyncio.to_thread(self._spool.append, [Frame(watched.device.code, (), event=watched.told[0])])
            except SpoolFullError:
                return
            watched.told.popleft()
            self._publisher.nudge()

    async def _lose_link(self, reason: str) -> None:
        """Take all devices of the line as lost; the line is tried again after a while."""
        if self._monotonic_s() < self._link_retry_s:
            return  # another device of the line has said so already
        self._link_retry_s = self._monotonic_s() + self._link_backoff_s
        self._link_backoff_s = min(2 * self._link_backoff_s, LINK_BACKOFF_MAX_S)
        for watched in self._devices:
            watched.retry_s = 0.0
        await self._lose(self._devices, reason)

    async def _lose(self, lost: Sequence[_Watched], reason: str) -> None:
        """Say once that devices are lost: in the log, and as readings of bad quality without a value."""
        at = self._now()
        lost = [watched for watched in lost if not watched.gone]
        silent = [watched for watched in lost if not watched.loss_spooled]
        for watched in lost:
            if watched.alive is not False:
                gone = {"event": "device.lost", "device": watched.device.code, "reason": reason}
                log.warning("device %s is lost: %s", watched.device.code, reason, extra=gone)
                watched.alive = False
        await self.settle()
        losses = [
            (watched, [Reading(p.point.code, at, None, Quality.BAD, error=reason) for p in watched.device.points])
            for watched in silent
        ]
        for watched, readings in losses:
            watched.news.note(readings)
            self._heed(readings)
        kept = await self._keep(losses)
        for watched in silent if kept else ():
            watched.loss_spooled = True
            self._publisher.announce(watched.device.code, alive=False)

    async def _keep(self, taken: Sequence[tuple[_Watched, list[Reading]]]) -> bool:
        """Spool readings; a full spool skips them and polling goes on (the spool says so itself)."""
        frames = [
            Frame(watched.device.code, tuple(readings[first : first + FRAME_READINGS_MAX]))
            for watched, readings in taken
            for first in range(0, len(readings), FRAME_READINGS_MAX)
        ]
        if not frames:
            return True
        try:
            async with self._disk:
                last = await asyncio.to_thread(self._spool.append, frames)
        except SpoolFullError:
            for watched, readings in taken:
                watched.news.forget(readings)
            self._publisher.fresh(frames)  # so that they are seen at least
            return False
        for watched, readings in taken:
            self._roster.note(watched.device.code, readings)
            self._health.readings += len(readings)
        first = last - len(frames) + 1
        self._publisher.fresh([replace(frame, number=number) for number, frame in enumerate(frames, first)])
        return True


def _well_formed(event: Event) -> bool:
    """Whether the hub would know what to do with an event."""
    try:
        joined(head(event), picture(event))
    except MalformedPayloadError as error:
        log.warning("device %s: %s", event.device, error)
        return False
    return True


def _end_if_asked() -> None:
    """Raise CancelledError where a library has swallowed one: asyncio.wait_for of Python 3.11 does when it is late."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _log_errors(watched: _Watched, said: Poll | Sequence[Reading]) -> None:
    """Log a point's trouble once when it begins and once when it ends."""
    errors = said.troubles if isinstance(said, Poll) else {one.point: one.error for one in said if one.error}
    for point, error in errors.items():
        if watched.errors.get(point) != error:
            log.warning("point %s: %s", point, error, extra={"event": "point.bad", "point": point, "reason": error})
    for point in watched.errors.keys() - errors.keys():
        log.info("point %s is good again", point, extra={"event": "point.good", "point": point})
    watched.errors = errors
