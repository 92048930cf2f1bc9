"""The control panel of one line: libosdp, kept going by a task of the event loop.

libosdp wants to be called every few milliseconds and comes back at once (10 to 60 µs, measured), so it needs no thread.
Where it would leave a device alone for up to 300 s after a failure, it is told to begin anew as soon as somebody asks.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import osdp_sys
from osdp.constants import Event, LibFlag, LogLevel
from osdp.helpers import PDInfo

from drivers.errors import RefusedError, UnreachableError
from drivers.osdp.port import Port, PortChannel

REFRESH_S = 0.01
SILENCE_S = 1.5  # a device that is asked every 50 ms and says nothing for so long is lost
COMMANDS_MAX = 16  # under way for one device
LOST_S = 0.2  # libosdp hangs up on a refusal within a turn or two
MEET_S = 3.0  # from the opening of the line all have so long at least, whatever the line's time-out
WAKE_S = 3.0  # a device that has begun to answer is given so long to finish (at 9,600 baud it takes about 1 s)
KNOCK_S = 0.5  # one that says nothing is begun with anew, when somebody asks, after so long


@dataclass(frozen=True, slots=True)
class Member:
    """One device of the line.  Events are told while libosdp is called: ``tell`` must be quick and never fail."""

    name: str
    address: int
    key: bytes | None
    install: bool
    tell: Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class _State:
    online: bool = False
    given_up: bool = False  # it answered once and does not any more: libosdp leaves it alone
    woken_s: float = 0.0
    resting: bool = False  # it is being switched off, to be switched on again
    news: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: list[tuple[int, asyncio.Future[bool]]] = field(default_factory=list)


class Panel:
    """Speaks to the devices on an open port until it is gone."""

    def __init__(self, port: Port, members: Sequence[Member]) -> None:
        """Begin; needs a running event loop."""
        self._port = port
        self._members = members
        self._time_s = asyncio.get_running_loop().time
        self._opened_s = self._time_s()
        self._states = [_State(woken_s=self._opened_s) for _ in members]
        osdp_sys.set_loglevel(LogLevel.Emergency)  # it writes to stderr by itself; its failures come as our errors
        channel = PortChannel(port)
        self._context = osdp_sys.ControlPanel([_info(member, channel) for member in members])
        self._context.set_event_callback(self._take_event)
        self._context.set_command_completion_callback(self._take_completion)
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def gone(self) -> bool:
        """Whether the line is lost."""
        return self._port.gone.is_set() or self._task.done()

    async def close(self) -> None:
        """End; nothing is left over."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._port.abort()
        self._fail_all()

    def is_online(self, number: int) -> bool:
        """Whether a device answers, over its secure channel where it has a key."""
        return self._states[number].online

    async def wait_online(self, number: int, timeout_s: float) -> None:
        """Wait until a device answers, waking it if it was given up; raises UnreachableError."""
        state, name = self._states[number], self._members[number].name
        if not state.online:
            spoke = self._port.heard_s.get(self._members[number].address, 0.0) > state.woken_s
            patience_s = WAKE_S if spoke else KNOCK_S
            if state.given_up or self._time_s() - state.woken_s > patience_s:
                self._wake(number)
        left_s = self._opened_s + MEET_S - self._time_s()
        try:
            async with asyncio.timeout(max(timeout_s, left_s)):
                while not state.online:
                    if self.gone:
                        raise UnreachableError(f"the line of '{name}' was closed at the other end", link=True)
                    state.news.clear()
                    await state.news.wait()
        except TimeoutError:
            why = "" if self._members[number].key is None else " over its secure channel; is its key the right one"
            raise UnreachableError(f"'{name}' does not answer{why}") from None

    async def wait_lost(self, number: int) -> None:
        """Wait, shortly, until a device that refused something is given up by libosdp."""
        state = self._states[number]
        with suppress(TimeoutError):
            async with asyncio.timeout(LOST_S):
                while state.online:
                    state.news.clear()
                    await state.news.wait()

    async def command(self, number: int, command: Mapping[str, Any], timeout_s: float) -> None:
        """Give a command and wait for the device's yes; raises RefusedError or UnreachableError."""
        state, name = self._states[number], self._members[number].name
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if len(state.waiting) >= COMMANDS_MAX or not self._context.submit_command(number, dict(command)):
            raise UnreachableError(f"'{name}' takes no command now")
        entry = (int(command["command"]), done)
        state.waiting.append(entry)
        try:
            async with asyncio.timeout(timeout_s):
                if not await done:
                    raise RefusedError(f"'{name}' refuses the command")
        except TimeoutError:
            raise UnreachableError(f"'{name}' did not confirm the command; it may have been done") from None
        finally:
            if entry in state.waiting:
                state.waiting.remove(entry)

    def _wake(self, number: int) -> None:
        """Have a device begun with anew, at once."""
        state = self._states[number]
        state.woken_s, state.given_up = self._time_s(), False
        if not state.resting:
            state.resting = True
            self._context.disable_pd(number)

    async def _run(self) -> None:
        try:
            while not self._port.gone.is_set():
                self._context.refresh()
                self._look()
                await asyncio.sleep(REFRESH_S)
        finally:
            self._fail_all()

    def _look(self) -> None:
        """Note who has come and gone, and switch on who has rested."""
        now_s, online, secure = self._time_s(), self._context.status(), self._context.sc_status()
        for number, (member, state) in enumerate(zip(self._members, self._states, strict=True)):
            if state.resting and not self._context.is_pd_enabled(number):  # what was under way has ended
                state.resting = not self._context.enable_pd(number)
            mask = online & secure if member.key is not None else online
            heard = now_s - self._port.heard_s.get(member.address, 0.0) < SILENCE_S
            now = heard and not state.resting and bool(mask >> number & 1)
            if now != state.online:
                state.online, state.given_up = now, not now
                state.news.set()

    def _fail_all(self) -> None:
        for state in self._states:
            state.online = False
            state.news.set()
            for _, done in state.waiting:
                if not done.done():
                    done.set_result(False)

    def _take_event(self, number: int, event: Mapping[str, Any]) -> int:
        if event["event"] != Event.Notification:
            self._members[number].tell(event)
        return 0

    def _take_completion(self, number: int, command: Mapping[str, Any], status: int) -> None:
        kind = int(command["command"])
        for given, done in self._states[number].waiting:
            if given == kind and not done.done():
                done.set_result(status == 0)
                return


def _info(member: Member, channel: PortChannel) -> dict[str, Any]:
    """Describe a device to libosdp; without a key its channel is open, and then nothing is enforced."""
    flags = [LibFlag.EnableNotification]
    if member.key is not None and not member.install:
        flags.append(LibFlag.EnforceSecure)
    if member.install:
        flags.append(LibFlag.InstallMode)
    info: dict[str, Any] = PDInfo(member.address, channel, scbk=member.key, name=member.name, flags=flags).get()
    return info
