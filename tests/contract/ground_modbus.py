"""A Modbus device, written from the specification alone: over TCP frames, or RTU frames through TCP."""

import asyncio
import os
import struct
import tempfile
import tty
from contextlib import suppress
from pathlib import Path
from typing import Literal

from drivers.catalogue import parse
from drivers.driver import Asked, Device
from rules.model.line import ModbusLine, Serial
from rules.model.point import Point
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.meter_ground import TIMEOUT_S, MeterGround
from tests.field import HOST

UNIT = 7
PROFILE = """
code = "ground-modbus"
title = "Device"
table = "holding"
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
address = 0
encoding = "uint32"
scale = 0.01
modulus = 42949672.96
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
address = 2
encoding = "int16"
scale = 0.1
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "kW"
address = 4
encoding = "int32"
scale = 0.1
writable = [0, 5000]
"""
READ, WRITE_ONE, WRITE_MANY, FAULT = 3, 6, 16, 0x80
CRC_START, CRC_POLYNOMIAL = 0xFFFF, 0xA001  # Modbus over Serial Line 1.02, appendix B


def crc(data: bytes) -> bytes:
    rest = CRC_START
    for octet in data:
        rest ^= octet
        for _ in range(8):
            rest = rest >> 1 ^ (CRC_POLYNOMIAL if rest & 1 else 0)
    return struct.pack("<H", rest)


class ModbusGround(MeterGround):
    """``framing`` says how its frames travel."""

    def __init__(self, framing: Literal["tcp", "rtu"]) -> None:
        super().__init__()
        self.framing = framing
        profile = parse(PROFILE, "ground-modbus")
        points = tuple(
            Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name)
            for m in profile.measures
        )
        self.device = Device("M", str(UNIT), profile, points)
        self.line = ModbusLine(
            driver="modbus", code="L", gateway="G", host=HOST, port=self.port, framing=framing, poll_s=1,
            timeout_s=TIMEOUT_S,
        )  # fmt: skip

    def split(self, data: bytes) -> tuple[bytes | None, bytes]:
        if self.framing == "tcp":
            size = 6 + int.from_bytes(data[4:6], "big")
            return (data[:size], data[size:]) if len(data) >= max(8, size) else (None, data)
        if len(data) < 8:  # the shortest question
            return None, data
        size = 1 + (8 + data[6] - 2 if data[1] == WRITE_MANY else 5) + 2
        return (data[:size], data[size:]) if len(data) >= size else (None, data)

    def _registers(self) -> list[int]:
        energy, power = round(self.values[COUNTER] * 100), round(self.values[GAUGE] * 10)
        setpoint = round(self.values[SETPOINT] * 10)
        return list(struct.unpack(">6H", struct.pack(">IhHi", energy, power, 0, setpoint)))

    def _framed(self, question: bytes, said: bytes) -> bytes:
        body = bytes([UNIT]) + said
        if self.framing == "rtu":
            return body + crc(body)
        return question[:4] + struct.pack(">H", len(body)) + body

    def answer(self, question: bytes) -> bytes:
        unit, asked = (question[6], question[7:]) if self.framing == "tcp" else (question[0], question[1:-2])
        if unit != UNIT:
            return b""
        function, address, count = struct.unpack(">BHH", asked[:5])
        if function == READ:
            if address + count > len(self._registers()):
                return self._framed(question, bytes([READ | FAULT, 2]))
            words = self._registers()[address : address + count]
            return self._framed(question, bytes([READ, 2 * count]) + struct.pack(f">{count}H", *words))
        if function == WRITE_MANY and (address, count) == (4, 2):
            if self.how is None:
                (number,) = struct.unpack(">i", asked[6:10])
                self.values[SETPOINT] = number / 10
            return self._framed(question, asked[:5])
        return self._framed(question, bytes([function | FAULT, 2]))

    def garbled(self, good: bytes) -> bytes:
        # TCP frames carry no checksum: what can be seen is a number of octets that does not fit.
        return good[:8] + bytes([good[8] + 3]) + good[9:] if self.framing == "tcp" else super().garbled(good)

    def refusal(self, question: bytes) -> bytes:
        function = question[7] if self.framing == "tcp" else question[1]
        return self._framed(question, bytes([function | FAULT, 1]))


class SerialModbusGround(ModbusGround):
    """The same device on a serial port: one end of a pseudo-terminal, under a name that outlives it."""

    def __init__(self) -> None:
        super().__init__("rtu")
        self._port = Path(tempfile.gettempdir()) / f"plantroom-tty-{os.getpid()}-{self.port}"
        self._ends: tuple[int, int] | None = None
        self._heard = b""
        serial = Serial(port=str(self._port), baud=115_200, parity="N")  # a pseudo-terminal has no parity
        self.line = ModbusLine(driver="modbus", code="L", gateway="G", serial=serial, poll_s=1, timeout_s=TIMEOUT_S)

    async def start(self) -> None:
        self._ends = os.openpty()
        tty.setraw(self._ends[1])
        os.set_blocking(self._ends[0], False)
        self._port.symlink_to(os.ttyname(self._ends[1]))
        asyncio.get_running_loop().add_reader(self._ends[0], self._take)

    async def stop(self) -> None:
        if self._ends is None:
            return
        asyncio.get_running_loop().remove_reader(self._ends[0])
        self._port.unlink()
        for end in self._ends:
            os.close(end)
        self._ends, self._heard = None, b""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self) -> None:
        assert self._ends is not None
        with suppress(OSError):
            self._heard += os.read(self._ends[0], 500)
        question, self._heard = self.split(self._heard)
        if question is not None:
            self.asked.append(question)
            task = asyncio.create_task(self._say(question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _say(self, question: bytes) -> None:
        with suppress(ConnectionError):
            await self._reply(question, self)  # type: ignore[arg-type]  # it writes as a stream does

    def write(self, data: bytes) -> None:
        if self._ends is not None:
            with suppress(BlockingIOError):  # nobody reads: what is said on a line is gone
                os.write(self._ends[0], data)

    async def drain(self) -> None:
        await asyncio.sleep(0)
        if self.how is not Trouble.HUGE and self._flooding:
            raise ConnectionError
        self._flooding = self.how is Trouble.HUGE

    _flooding = False
