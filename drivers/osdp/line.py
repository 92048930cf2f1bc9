"""Lines of OSDP readers and door units: the gateway is their control panel.

A reader says which card it read, and does not decide; nor does the gateway.  What became of a card is told by the
lock: when it is released within ``granted_s`` (by a command, a rule, or a controller on the same output) the card is
reported as granted, otherwise as denied.  A profile without a [door] reports every card as denied: it opened nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from osdp.constants import Command, StatusReportType

from drivers.credentials import credential
from drivers.driver import Asked, Device
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from drivers.osdp.panel import Member, Panel
from drivers.osdp.port import open_port
from drivers.osdp.profile import SETTABLE, OsdpMeasure, OsdpProfile
from drivers.osdp.states import States
from rules.model.event import Event
from rules.model.line import OsdpLine
from rules.model.quality import Quality
from rules.model.reading import Reading

KEY_BYTES = 16  # SCBK
TENTHS = 10  # timers count in 0.1 s
SETTLE_S = 1.0  # until a reader that answers no questions has told its states by itself
SETTLED_EVERY_S = 0.02
DEVICES_MAX = 32  # of one line
OUTPUT_OFF, OUTPUT_ON, OUTPUT_FOR_A_WHILE = 1, 2, 5  # IEC 60839-11-5, osdp_OUT
BUZZER_OFF, BUZZER_ON = 1, 2
_REPORTS = {
    "input": StatusReportType.Input,
    "output": StatusReportType.Output,
    "tamper": StatusReportType.Local,
    "power": StatusReportType.Local,
}


class OsdpDriver:
    """A line of readers (obeys ``drivers.driver.Driver``).  Stations are to be made before the first question."""

    def __init__(self, line: OsdpLine, now: Callable[[], datetime]) -> None:
        """Prepare a line; ``now`` stamps the readings."""
        self.now = now
        self.line = line
        self._stations: list[OsdpStation] = []
        self._seated: list[OsdpStation] = []  # at the panel, in its order
        self._panel: Panel | None = None
        self._opening = asyncio.Lock()

    def station(self, device: Device) -> "OsdpStation":
        """Give a device on this line; raises MisconfiguredError for a profile of another protocol."""
        if not isinstance(device.profile, OsdpProfile):
            raise MisconfiguredError(f"device '{device.code}' has a profile of {device.profile.protocol}, not of osdp")
        if len(self._stations) >= DEVICES_MAX:
            raise MisconfiguredError(f"line '{self.line.code}' has more than {DEVICES_MAX} devices; split it")
        station = OsdpStation(self, device, device.profile)
        self._stations.append(station)
        return station

    async def panel(self, station: "OsdpStation") -> tuple[Panel, int]:
        """Give the panel at work and a station's number there; raises UnreachableError where the line does not open.

        A station whose key cannot be used is left out, and the others go on without it.
        """
        async with self._opening:
            if self._panel is not None and (self._panel.gone or station not in self._seated):
                await self._end()
            if self._panel is None:
                members = {one: member for one in self._stations if (member := one.member()) is not None}
                port = await open_port(self.line)
                self._seated = list(members)
                self._panel = Panel(port, list(members.values()))
            return self._panel, self._seated.index(station)

    async def close(self) -> None:
        """Let go of the line: no task and no connection is left."""
        async with self._opening:
            await self._end()

    async def _end(self) -> None:
        panel, self._panel = self._panel, None
        if panel is not None:
            await panel.close()
        for station in self._stations:
            station.states.forget()


class OsdpStation:
    """One reader (obeys ``drivers.driver.Station`` and ``Telling``)."""

    def __init__(self, driver: OsdpDriver, device: Device, profile: OsdpProfile) -> None:
        """Look up the measures of the points."""
        self._driver = driver
        self._device = device
        self._profile = profile
        self._number = 0  # at the panel
        self._measures = {measure.name: measure for measure in profile.measure}
        self._asked_of: Panel | None = None  # the panel that has asked it for its states
        self._queue = asyncio.Lock()
        self.states = States(device.code, profile.door, self._measures)

    @property
    def plan(self) -> tuple[str, ...]:
        """Every request of one reading, in words: states come by themselves, after they were asked for once."""
        try:
            secured = (
                "" if self._key() is not None else f" over an open channel: there is no osdp-{self._device.code}-key"
            )
        except MisconfiguredError:
            secured = " not at all: its key cannot be used"
        return (f"what reader {self._device.address} has reported{secured}",)

    def member(self) -> Member | None:
        """Describe the device to the panel; None where its key cannot be used."""
        try:
            key = self._key()
        except MisconfiguredError:
            return None
        return Member(self._device.code, int(self._device.address), key, self._profile.install, self._take)

    def take_events(self) -> list[Event]:
        """Give what has happened since this was last asked."""
        self.states.look(self._driver.now())
        taken = list(self.states.events)
        self.states.events.clear()
        return taken

    async def read(self) -> list[Reading]:
        """Give what the reader has told; raises UnreachableError when it does not answer."""
        try:
            await self._online()
        except UnreachableError:
            self.states.forget()
            self._asked_of = None
            raise
        except DriverError as error:
            now = self._driver.now()
            return [Reading(a.point.code, now, None, Quality.BAD, error=str(error)) for a in self._device.points]
        now = self._driver.now()
        self.states.look(now)
        return [self._reading(asked, now) for asked in self._device.points]

    async def write(self, measure: str, value: float) -> Reading:
        """Set an output, a light or a buzzer; what the device has confirmed is what is read back."""
        asked = next((asked for asked in self._device.points if asked.measure == measure), None)
        found = self._measures.get(measure)
        if asked is None or found is None or found.origin not in SETTABLE:
            raise MisconfiguredError(f"'{self._device.code}.{measure}' cannot be set; it is no output, led or buzzer")
        if value not in range(found.most + 1):
            raise RefusedError(
                f"'{asked.point.code}' can be set to whole numbers from 0 to {found.most}, not {value:g}"
            )
        panel = await self._online()
        await panel.command(self._number, _command(found, int(value)), self._driver.line.timeout_s)
        now = self._driver.now()
        if found.origin == "output":
            self.states.set_output(found.number, found.momentary_s, now, on=bool(value))
            return self._reading(asked, now)
        self.states.told[measure] = int(value)
        return Reading(asked.point.code, now, value, Quality.GOOD)

    async def _online(self) -> Panel:
        """Wait until the reader answers, and ask for its states once it does."""
        self._key()
        panel, self._number = await self._driver.panel(self)
        async with self._queue:
            await panel.wait_online(self._number, self._driver.line.timeout_s)
            if self._asked_of is not panel:
                await self._ask_states(panel)
                self._asked_of = panel
        return panel

    async def _ask_states(self, panel: Panel) -> None:
        """Ask for every report that a measure needs; after a refusal, which libosdp takes for a loss, go on.

        Readers that do not answer such questions tell their states by themselves, soon after they were found.
        """
        refused = False
        for kind in sorted({_REPORTS[m.origin] for m in self._measures.values() if m.origin in _REPORTS}):
            try:
                command = {"command": Command.Status, "type": kind, "report": b""}
                await panel.command(self._number, command, self._driver.line.timeout_s)
            except RefusedError:
                refused = True
                await panel.wait_lost(self._number)
                await panel.wait_online(self._number, self._driver.line.timeout_s)
        if refused:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    while self._untold():  # noqa: ASYNC110  # libosdp tells by a call within its own turn
                        await asyncio.sleep(SETTLED_EVERY_S)

    def _untold(self) -> bool:
        now = self._driver.now()
        return any(self.states.value(asked.measure, now) is None for asked in self._device.points)

    def _take(self, event: Mapping[str, Any]) -> None:
        self.states.take(event, self._driver.now())

    def _key(self) -> bytes | None:
        """Give the key of the secure channel; raises MisconfiguredError for what is none."""
        name = f"osdp-{self._device.code}-key"
        said = credential(name)
        if said is None:
            return None
        try:
            key = bytes.fromhex(said)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise MisconfiguredError(f"the credential {name} is no key: write {2 * KEY_BYTES} hexadecimal digits")
        return key

    def _reading(self, asked: Asked, now: datetime) -> Reading:
        value = self.states.value(asked.measure, now)
        if value is None:
            return Reading(asked.point.code, now, None, Quality.BAD, error="the reader has not told it yet")
        return Reading(asked.point.code, now, float(value), Quality.GOOD)


def _command(measure: OsdpMeasure, value: int) -> dict[str, Any]:
    """Give the command that sets a measure."""
    match measure.origin:
        case "output":
            timer = round(measure.momentary_s * TENTHS) if value else 0
            on = OUTPUT_FOR_A_WHILE if timer else OUTPUT_ON
            code = on if value else OUTPUT_OFF
            return {"command": Command.Output, "output_no": measure.number, "control_code": code, "timer_count": timer}
        case "led":
            return {
                "command": Command.LED, "reader": 0, "led_number": measure.number, "control_code": 1, "on_count": 1,
                "off_count": 0, "on_color": value, "off_color": 0, "timer_count": 0, "temporary": False,
            }  # fmt: skip
        case _:
            code = BUZZER_ON if value else BUZZER_OFF
            return {
                "command": Command.Buzzer, "reader": 0, "control_code": code, "on_count": 3, "off_count": 1,
                "rep_count": 1,
            }  # fmt: skip
