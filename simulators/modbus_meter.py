"""Meters and controllers as Modbus servers: one server per line, every device of the line a unit on it.

Frames are those of Modbus TCP, or RTU through TCP where the line says so, as serial converters pass them on.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from rules.model.line import ModbusLine
from simulators.faults import FaultKind
from simulators.served import HOST, PortTakenError, ServedDevice
from simulators.sheet import ModbusSheet, Register

REGISTER_SPACE = 1000  # addresses beyond it get exception 2 from the server itself
ALL_REGISTERS = 65536
UNIT_AT = 6  # where the unit stands in a frame of Modbus TCP
READS = {3, 4}
WRITES = {6, 16}


class _Unit:
    """A device as Modbus sees it."""

    def __init__(self, served: ServedDevice, seed: int) -> None:
        self._served = served
        self._chance = random.Random(f"{seed}/{served.device.code}")
        assert isinstance(served.sheet, ModbusSheet)
        self._sheet = served.sheet
        self._registers = served.sheet.registers

    def unit(self) -> SimDevice:
        """Give the device as a unit of a server."""
        space = SimData(0, count=REGISTER_SPACE, values=0, datatype=DataType.REGISTERS)
        return SimDevice(id=int(self._served.device.address), simdata=[space], action=self._act)

    async def _act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        new: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Do one request: refresh the registers, take a write, or refuse."""
        at = self._served.now()
        faults = {injected.fault.kind: injected.fault for injected in self._served.faults(at)}
        if slow := faults.get(FaultKind.DELAY):
            await asyncio.sleep(slow.amount)
        lost = faults.get(FaultKind.DROP)
        if FaultKind.SILENT in faults or (lost and self._chance.random() < lost.amount):
            raise NoSuchIdException  # the server is told to answer nothing to units that it does not have
        if FaultKind.BUSY in faults:
            return ExcCodes.DEVICE_BUSY
        if refusing := faults.get(FaultKind.EXCEPTION):
            return ExcCodes(int(refusing.amount))
        if function in WRITES:
            return self._write(address, new, at) if new is not None else None
        if function not in READS:
            return ExcCodes.ILLEGAL_FUNCTION
        words = self._read(address, count, at) if function == self._sheet.function else None
        if words is None:
            return ExcCodes.ILLEGAL_ADDRESS
        registers[address - start : address - start + count] = words
        return None

    def _read(self, address: int, count: int, at: datetime) -> list[int] | None:
        """Give the words of a read, or None when it touches registers that do not exist."""
        wanted = range(address, address + count)
        touched = [r for r in self._registers if r.address < wanted.stop and r.address + r.size > address]
        levels = self._served.levels(at, {register.measure for register in touched})
        image: dict[int, int] = {}
        for register in touched:
            for place, word in enumerate(register.words(levels[register.measure])):
                image[register.address + place] = word
        if any(place not in image for place in wanted):
            return None
        for register in touched:
            if _covers(wanted, register):
                self._served.tell(at, register, levels[register.measure])
        return [image[place] for place in wanted]

    def _write(self, address: int, new: list[int] | list[bool], at: datetime) -> ExcCodes | None:
        """Take a new set point."""
        register = next((r for r in self._registers if r.address == address and r.writable), None)
        if register is None or register.writable is None or len(new) != register.size:
            return ExcCodes.ILLEGAL_ADDRESS
        low, high = register.writable
        if not low <= new[0] <= high:
            return ExcCodes.ILLEGAL_VALUE
        self._served.set_point(new[0] * float(register.step), at)
        return None


def _covers(wanted: range, register: Register) -> bool:
    return wanted.start <= register.address and register.address + register.size <= wanted.stop


async def _nobody(*_: object) -> ExcCodes:
    return ExcCodes.GATEWAY_NO_RESPONSE


def _bytes(devices: Sequence[ServedDevice], *, rtu: bool) -> Callable[[bool, bytes], bytes]:
    """Give what happens to the bytes of answers: faults that no register shows."""
    units = {int(device.device.address): device for device in devices}
    unit_at = 0 if rtu else UNIT_AT

    def pass_on(sending: bool, data: bytes) -> bytes:
        device = units.get(data[unit_at]) if sending and len(data) > unit_at else None
        kinds = {injected.fault.kind for injected in device.faults(device.now())} if device else set()
        if FaultKind.WRONG_CHECKSUM in kinds:
            # In TCP the head says another protocol.
            data = data[:-2] + bytes(octet ^ 0x55 for octet in data[-2:]) if rtu else data[:2] + b"\x55\x55" + data[4:]
        return data[: len(data) // 2] if FaultKind.HALF_FRAME in kinds else data

    return pass_on


async def serve_line(line: ModbusLine, devices: Sequence[ServedDevice], seed: int) -> ModbusTcpServer:
    """Listen on the line's port until ``shutdown()``; raises PortTakenError."""
    # Unit 0 stands for every unit that is not there.
    rest = SimDevice(id=0, simdata=[SimData(0, count=ALL_REGISTERS, datatype=DataType.REGISTERS)], action=_nobody)
    units = [*(_Unit(device, seed).unit() for device in devices), rest]
    rtu = line.framing == "rtu"
    server = ModbusTcpServer(
        units,
        framer=FramerType.RTU if rtu else FramerType.SOCKET,
        address=(HOST, line.port or 0),
        ignore_missing_devices=True,
        trace_packet=_bytes(devices, rtu=rtu),
    )
    try:
        await server.serve_forever(background=True)
    except RuntimeError:
        raise PortTakenError(
            f"port {line.port} of line '{line.code}' on {HOST} is taken; "
            "stop the program that listens there or change the port in the site file"
        ) from None
    return server
