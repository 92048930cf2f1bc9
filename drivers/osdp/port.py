"""The bytes of an OSDP line: a serial port or a TCP converter, read and written without ever waiting.

libosdp asks for bytes when it likes: it gets what has arrived, and its writes go into the transport's buffer.  A write
that cannot be done is -1: an exception would end in C code that has nobody to tell.
"""

import asyncio
import termios

from osdp.channel import Channel
from serial_asyncio_fast import create_serial_connection

from drivers.errors import UnreachableError
from drivers.osdp.frame import Listener
from rules.model.line import OsdpLine

BUFFER_BYTES_MAX = 16_384  # an answer has at most 1,440 bytes; who sends more between two looks never stops
UNSENT_BYTES_MAX = 16_384
NOT_WRITTEN = -1


class Port(asyncio.Protocol):
    """The open end of the line."""

    def __init__(self) -> None:
        """Wait for the connection."""
        self.transport: asyncio.Transport | None = None
        self.data = bytearray()
        self.gone = asyncio.Event()
        self.heard_s: dict[int, float] = {}  # by address: when it last answered
        self._listener = Listener()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection up."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came; hang up on whoever does not stop."""
        self._hear(data[:BUFFER_BYTES_MAX])
        self.data += data[:BUFFER_BYTES_MAX]
        if len(self.data) > BUFFER_BYTES_MAX:
            self.abort()

    def _hear(self, data: bytes) -> None:
        """Note who has answered."""
        now_s = asyncio.get_running_loop().time()
        self.heard_s.update(dict.fromkeys(self._listener.hear(data), now_s))

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note the end."""
        self.gone.set()

    def abort(self) -> None:
        """Hang up."""
        self.data.clear()
        if self.transport is not None:
            self.transport.abort()


class PortChannel(Channel):  # type: ignore[misc]  # libosdp is not typed
    """What libosdp reads and writes."""

    def __init__(self, port: Port) -> None:
        """Take an open port."""
        super().__init__()
        self._port = port

    def read(self, max_bytes: int) -> bytes:
        """Give what has arrived."""
        taken = bytes(self._port.data[:max_bytes])
        del self._port.data[: len(taken)]
        return taken

    def write(self, buf: bytes) -> int:
        """Send; -1 where the line is gone or takes nothing more."""
        transport = self._port.transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            return NOT_WRITTEN
        transport.write(buf)
        return len(buf)

    def flush(self) -> None:
        """Drop what came too late."""
        self._port.data.clear()


async def open_port(line: OsdpLine) -> Port:
    """Open the line; raises UnreachableError."""
    loop, serial = asyncio.get_running_loop(), line.serial
    try:
        async with asyncio.timeout(line.timeout_s):
            if serial is None:
                _, port = await loop.create_connection(Port, line.host or "", line.port or 0)
                return port
            _, opened = await create_serial_connection(
                loop,
                Port,
                serial.port,
                baudrate=serial.baud,
                parity=serial.parity,
                bytesize=serial.data_bits,
                stopbits=serial.stop_bits,
                exclusive=True,
            )
    except TimeoutError:
        raise UnreachableError(f"{line.place} cannot be opened (no answer)", link=True) from None
    except ConnectionRefusedError:
        raise UnreachableError(f"{line.place} cannot be opened (it refuses the connection)", link=True) from None
    except (OSError, ValueError, termios.error) as error:
        raise UnreachableError(f"{line.place} cannot be opened ({error})", link=True) from None
    assert isinstance(opened, Port)
    return opened
