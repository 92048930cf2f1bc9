"""The control panel of one line: libosdp, kept going by a task of the event loop.

libosdp wants to be called every few milliseconds and comes back at once (10 to 60 µs, measured), so it needs no thread.
Where it would leave a device alone for up to 300 s after a failure, it is told to begin anew as soon as somebody asks.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import osdp_sys
from osdp.constants import Command, Event, LibFlag, LogLevel
from osdp.helpers import PDInfo

from drivers.errors import RefusedError, UnreachableError
from drivers.osdp.port import Port, PortChannel

REFRESH_S = 0.01
REST_TURNS = 4  # refreshes between switching a device off and on
COMMANDS_MAX = 16  # under way for one device


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
    rest: int | None = None  # turns until it is switched on again
    news: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: list[tuple[int, asyncio.Future[bool]]] = field(default_factory=list)


class Panel:
    """Speaks to the devices on an open port until it is gone."""

    def __init__(self, port: Port, members: Sequence[Member]) -> None:
        """Begin; needs a running event loop."""
        self._port = port
        self._members = members
        self._states = [_State() for _ in members]
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
        if not state.online and state.rest is None:
            self._context.disable_pd(number)
            state.rest = REST_TURNS
        try:
            async with asyncio.timeout(timeout_s):
                while not state.online:
                    if self.gone:
                        raise UnreachableError(f"the line of '{name}' was closed at the other end", link=True)
                    state.news.clear()
                    await state.news.wait()
        except TimeoutError:
            why = "" if self._members[number].key is None else " over its secure channel; is its key the right one"
            raise UnreachableError(f"'{name}' does not answer{why}") from None

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
        online, secure = self._context.status(), self._context.sc_status()
        for number, (member, state) in enumerate(zip(self._members, self._states, strict=True)):
            if state.rest is not None:
                state.rest -= 1
                if state.rest <= 0:
                    state.rest = None
                    self._context.enable_pd(number)
                continue
            mask = online & secure if member.key is not None else online
            now = bool(mask >> number & 1)
            if now != state.online:
                state.online = now
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


STATUS = int(Command.Status)
