"""A camera's stream, watched by a process of its own; readings are what it has judged last."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from drivers.camera.message import Lost, Seen, Settings
from drivers.camera.process import Watcher
from drivers.camera.profile import CameraProfile, Sight
from drivers.credentials import credential
from drivers.driver import Device
from drivers.errors import MisconfiguredError, UnreachableError
from rules.model.event import Event, Still
from rules.model.line import CameraLine
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.model.watch import Watch

PATIENCES = 4.0  # time-outs that a first reading waits: the process starts, greets, opens and judges


class CameraDriver:
    """A line to one camera (obeys ``drivers.driver.Driver``).

    ``keep`` is the folder in which each camera has one of its own for clips; None: none are kept.
    """

    def __init__(self, line: CameraLine, now: Callable[[], datetime], keep: Path | None = None) -> None:
        """Prepare a line; ``now`` stamps the readings."""
        self.line = line
        self.now = now
        self.keep = keep
        self._stations: list[CameraStation] = []

    def station(self, device: Device) -> "CameraStation":
        """Give the camera on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, CameraProfile):
            raise MisconfiguredError(
                f"device '{device.code}' has a profile of {device.profile.protocol}, not of camera"
            )
        made = CameraStation(self, device, device.profile)
        self._stations.append(made)
        return made

    async def close(self) -> None:
        """End the processes."""
        for station in self._stations:
            await station.watcher.close()


class CameraStation:
    """One camera (obeys ``drivers.driver.Station`` and ``Telling``).

    The first reading starts the process that watches it; a later one gives what holds now, and has a lost stream tried
    again.  A camera that answers but gives no picture is read as not online, all else bad; one that does not answer is
    unreachable.
    """

    def __init__(self, driver: CameraDriver, device: Device, profile: CameraProfile) -> None:
        """Prepare; nothing starts yet."""
        shows = {measure.name: measure.shows for measure in profile.measures}
        self._driver = driver
        self._device = device
        self._sights = tuple(shows[asked.measure] for asked in device.points)
        self._watch = device.watch or Watch()
        self.watcher = Watcher(self._settings, driver.line.timeout_s)
        self.plan = (f"{self._watch.analyse_per_s:g} pictures a second of its stream",)

    async def read(self) -> list[Reading]:
        """Give a reading for every point; raises UnreachableError when the camera does not answer."""
        said = self._fresh() or await self._wait()
        if isinstance(said, Lost) and not said.answers:
            raise UnreachableError(said.reason, link=True)
        at = self._driver.now()
        return [
            self._reading(asked.point.code, sight, said, at)
            for asked, sight in zip(self._device.points, self._sights, strict=True)
        ]

    async def write(self, measure: str, value: float) -> Reading:
        """Refuse: raises MisconfiguredError."""
        raise MisconfiguredError(f"'{measure}' of {self._device.code} cannot be set to {value:g}: a camera only looks")

    def take_events(self) -> list[Event]:
        """Give the stills since this was last asked, oldest first."""
        taken: list[Event] = []
        while self.watcher.stills:
            told = self.watcher.stills.popleft()
            taken.append(Still(told.id, self._device.code, told.at.astimezone(UTC), told.cause, told.jpeg))
        return taken

    def _fresh(self) -> Seen | None:
        said, loop = self.watcher.said, asyncio.get_running_loop()
        fresh = isinstance(said, Seen) and loop.time() - self.watcher.said_s <= self._driver.line.timeout_s
        return said if fresh and isinstance(said, Seen) else None

    async def _wait(self) -> Seen | Lost:
        """Start or try again; gives the next picture, or how it stands when none comes in time."""
        watcher, timeout_s = self.watcher, self._driver.line.timeout_s
        watcher.start()
        watcher.ask()
        lost = Lost(reason=f"{self._driver.line.place} has given no picture yet", answers=False, wait_s=0)
        try:
            async with asyncio.timeout(timeout_s if watcher.said is not None else PATIENCES * timeout_s):
                while True:
                    watcher.heard.clear()
                    await watcher.heard.wait()
                    if isinstance(watcher.said, Seen):
                        return watcher.said
                    if watcher.said is not None:
                        return watcher.said
        except TimeoutError:
            return watcher.said if isinstance(watcher.said, Lost) else lost

    def _reading(self, point: str, sight: Sight, said: Seen | Lost, at: datetime) -> Reading:
        if isinstance(said, Lost):
            if sight is Sight.ONLINE:
                return Reading(point, at, 0.0, Quality.GOOD)
            return Reading(point, at, None, Quality.BAD, error=said.reason)
        value = {
            Sight.ONLINE: 1.0, Sight.RATE: said.per_s, Sight.FROZEN: said.frozen, Sight.DARK: said.dark,
            Sight.COVERED: said.covered, Sight.MOVED: said.moved, Sight.MOTION: said.motion, Sight.LINE: said.line,
            Sight.INTRUSION: said.intrusion,
        }[sight]  # fmt: skip
        return Reading(point, at, float(value), Quality.GOOD)

    def _settings(self) -> Settings:
        line, keep = self._driver.line, self._driver.keep
        return Settings(
            camera=self._device.code,
            place=line.url,
            user=line.user,
            password=credential(f"camera-{line.code}-password"),
            timeout_s=line.timeout_s,
            watch=self._watch,
            timezone=self._device.timezone,
            clips=None if keep is None else keep / self._device.code,
            ahead_s=(self._driver.now() - datetime.now(UTC)).total_seconds(),
        )
