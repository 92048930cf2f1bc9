"""The connection of a line: made when it is needed, and every failure on it one of ours.

pymodbus returns exceptions and raises time-outs; what it cannot do at all becomes ``drivers.errors`` here.
"""

import asyncio
import logging
import termios
from collections.abc import Awaitable, Callable

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from drivers.errors import MalformedError, UnreachableError
from drivers.modbus.framing import TcpFramer
from drivers.modbus.pdu import ANSWERS
from rules.model.line import ModbusLine

Client = AsyncModbusTcpClient | AsyncModbusSerialClient


async def _opened(client: Client) -> bool:
    try:
        return await client.connect()
    except (OSError, termios.error):  # a serial port that does not take its settings, or has just been pulled out
        return False


class Link:
    """One connection to a line; ``made`` counts how often it was made."""

    def __init__(self, line: ModbusLine) -> None:
        """Prepare; nothing is opened before the first question."""
        self.place = line.place
        self.made = 0
        self._line = line
        self._client: Client | None = None
        self._framer: TcpFramer | None = None

    async def exchange(self, unit: int, ask: Callable[[Client], Awaitable[ModbusPDU]]) -> ModbusPDU:
        """Send one question after the line's silence and give the answer to it.

        Raises UnreachableError or MalformedError; the connection then starts afresh, so that no late or half answer
        meets the next question.
        """
        client = await self._connected()
        if self._line.delay_s:
            await asyncio.sleep(self._line.delay_s)
        if self._framer is not None:
            self._framer.strange = ""
        try:
            return await ask(client)
        except ModbusException as error:
            self.drop()
            raise self._failure(unit, error) from None
        except asyncio.CancelledError:
            self.drop()
            raise

    async def _connected(self) -> Client:
        if self._client is not None and self._client.connected:
            return self._client
        self.drop()
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # its failures come back as our errors
        client = self._made()
        if not await _opened(client):
            client.close()
            raise UnreachableError(f"{self.place} refused the connection or did not answer", link=True)
        for answer in ANSWERS:
            client.register(answer)
        self._client = client
        self.made += 1
        if self._line.connect_delay_s:
            await asyncio.sleep(self._line.connect_delay_s)
        return client

    def _made(self) -> Client:
        line = self._line
        if (serial := line.serial) is not None:
            return AsyncModbusSerialClient(
                serial.port, baudrate=serial.baud, parity=serial.parity, bytesize=serial.data_bits,
                stopbits=serial.stop_bits, timeout=line.timeout_s, retries=0, reconnect_delay=0,
            )  # fmt: skip
        framer = FramerType.RTU if line.rtu else FramerType.SOCKET
        client = AsyncModbusTcpClient(
            line.host or "", port=line.port or 0, framer=framer, timeout=line.timeout_s, retries=0, reconnect_delay=0
        )
        if not line.rtu:
            client.ctx.framer = self._framer = TcpFramer(client.ctx.framer.decoder, echoes=line.echoes)
        return client

    def drop(self) -> None:
        """Close the connection; the next question makes another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _failure(self, unit: int, error: ModbusException) -> UnreachableError | MalformedError:
        if self._framer is not None and self._framer.strange:
            return MalformedError(f"address {unit} on {self.place} cannot be understood: {self._framer.strange}")
        silent = isinstance(error, ConnectionException) or "No response" in str(error)
        if silent or not isinstance(error, ModbusIOException):
            return UnreachableError(f"no answer from address {unit} on {self.place}")
        return MalformedError(f"address {unit} on {self.place} sent an answer that cannot be read")
