"""OSDP readers behind a TCP converter: libosdp's own devices, each with a door, a strike and a box to be opened.

They push their states when the panel has found them, as readers do, and answer no direct question for them: libosdp's
Python side cannot.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import osdp_sys
from osdp.channel import Channel
from osdp.constants import Capability, CardFormat, Command, Event, LibFlag, LogLevel, StatusReportType
from osdp.helpers import PDCapabilities, PDInfo

HOST = "127.0.0.1"
REFRESH_S = 0.005
INPUTS, OUTPUTS = 4, 2
CONTACT, EXIT = 0, 1
CARD_BITS = 32
BUFFER_BYTES_MAX = 65_536


class _Nothing:
    """What a command gives back beside its yes or no."""


# libosdp gives back one reference too many for each command: these can be spared.
_ANSWERS = {yes: (0 if yes else -1, _Nothing()) for yes in (True, False)}
_SPARED = [answer[1] for answer in _ANSWERS.values()] * 500_000


class _Socket(Channel):  # type: ignore[misc]  # libosdp is not typed
    """The bytes that came and those to send; ``how`` turns what is sent into something else."""

    def __init__(self, reader: "OsdpReader") -> None:
        super().__init__()
        self._reader = reader

    def read(self, max_bytes: int) -> bytes:
        taken = bytes(self._reader.received[:max_bytes])
        del self._reader.received[: len(taken)]
        return taken

    def write(self, buf: bytes) -> int:
        self._reader.send(bytes(buf))
        return len(buf)

    def flush(self) -> None:
        self._reader.received.clear()


class OsdpReader:
    """One reader at one address; its converter says when it has power, and carries its bytes."""

    def __init__(self, address: int, key: bytes | None = None, *, new: bool = False) -> None:
        self.address = address
        self.received = bytearray()
        self.silent = False
        self.commands: list[Mapping[str, Any]] = []
        self.outputs = [False] * OUTPUTS
        self._inputs = [False] * INPUTS
        self._local = [False, False]  # tamper, power lost
        self._key = key
        self._new = new  # from the factory: takes the key that it is given
        self._device: Any = None
        self._send: Callable[[bytes], None] | None = None
        self._told = False

    def power_on(self, send: Callable[[bytes], None]) -> None:
        """Begin to listen."""
        osdp_sys.set_loglevel(LogLevel.Emergency)
        self._device, self._told, self._send = self._made(), False, send

    def power_off(self) -> None:
        """Forget who spoke."""
        self._device = self._send = None
        self.received.clear()
        self.outputs = [False] * OUTPUTS

    # --- what happens in front of it

    def badge(self, card: int) -> None:
        """Hold a card of 32 bits before the reader."""
        self._tell({"event": Event.CardRead, "reader_no": 0, "direction": 0, "format": CardFormat.Wiegand,
                    "length": CARD_BITS, "data": card.to_bytes(CARD_BITS // 8, "big")})  # fmt: skip

    def open(self, *, on: bool) -> None:
        """Open or close the door."""
        self._inputs[CONTACT] = on
        self._tell_inputs()

    def press_exit(self, *, on: bool) -> None:
        """Press or let go of the button inside."""
        self._inputs[EXIT] = on
        self._tell_inputs()

    def tamper(self, *, on: bool) -> None:
        """Take the reader off the wall, or put it back."""
        self._local[0] = on
        self._tell_local()

    def send(self, data: bytes) -> None:
        """Send what the reader says; faults override this."""
        if self._send is not None and not self.silent:
            self._send(data)

    def _tell(self, event: Mapping[str, Any]) -> None:
        if self._device is not None:
            self._device.submit_event(dict(event))

    def _tell_inputs(self) -> None:
        report = bytes(self._inputs)
        self._tell({"event": Event.Status, "type": StatusReportType.Input, "report": report})

    def _tell_local(self) -> None:
        self._tell({"event": Event.Status, "type": StatusReportType.Local, "report": bytes(self._local)})

    # --- what it does

    def _made(self) -> Any:
        abilities = PDCapabilities(
            [(Capability.OutputControl, 1, OUTPUTS), (Capability.ContactStatusMonitoring, 1, INPUTS),
             (Capability.LEDControl, 1, 1), (Capability.AudibleControl, 1, 1),
             (Capability.CommunicationSecurity, 1, 1)]
        )  # fmt: skip
        flags = [LibFlag.EnforceSecure] if self._key is not None else []
        flags += [LibFlag.InstallMode] if self._new else []
        info = PDInfo(self.address, _Socket(self), scbk=self._key, flags=flags, name=f"reader-{self.address}")
        device = osdp_sys.PeripheralDevice(info.get(), capabilities=abilities.get())
        device.set_command_callback(self._command)
        return device

    def _command(self, command: Mapping[str, Any]) -> tuple[int, _Nothing]:
        self.commands.append(command)
        if command["command"] == Command.Status:
            self._told = False
            return _ANSWERS[False]
        if command["command"] == Command.Output:
            self.outputs[command["output_no"]] = command["control_code"] in (2, 4, 5)
        return _ANSWERS[True]

    def refresh(self) -> None:
        """Answer what came, and tell the states to a panel that has just found the reader."""
        self._device.refresh()
        found = bool(self._device.is_sc_active() if self._key is not None else self._device.is_online())
        if found and not self._told:
            self._device.flush_events()  # what was said to a panel that has gone since
            self._tell_inputs()
            self._tell_local()
            report = bytes(self.outputs)
            self._tell({"event": Event.Status, "type": StatusReportType.Output, "report": report})
        self._told = found


class Converter:
    """A TCP converter with readers on its bus: what comes goes to all of them, what any says goes out."""

    def __init__(self, port: int, readers: Sequence[OsdpReader], host: str = HOST) -> None:
        self._readers = readers
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Serve; raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._talk, self._host, self._port)
        for reader in self._readers:
            reader.power_on(self._write)
        self._tasks.add(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        """Cut the power of all."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._writer is not None:
            self._writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for reader in self._readers:
            reader.power_off()
        await server.wait_closed()

    def _write(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.transport.is_closing():
            self._writer.write(data)

    async def _run(self) -> None:
        while True:
            for reader in self._readers:
                reader.refresh()
            await asyncio.sleep(REFRESH_S)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            self._writer.transport.abort()  # a converter has one client
        self._writer = writer
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while data := await reader.read(BUFFER_BYTES_MAX):
                for one in self._readers:
                    one.received += data
        except (ConnectionError, asyncio.CancelledError):
            pass  # the panel has gone, or the power has
        finally:
            self._tasks.discard(task)
            with suppress(ConnectionError):
                writer.transport.abort()
