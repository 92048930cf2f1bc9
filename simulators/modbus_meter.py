"""Meters and controllers as Modbus TCP servers: one server per line, every device of the line a unit on it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from rules.model.line import ModbusLine
from rules.model.site import Device
from simulators.faults import FaultBoard, FaultKind, Injected
from simulators.plant import SetPoint
from simulators.sheet import Register
from simulators.truth import TruthLog
from simulators.world import World

HOST = "127.0.0.1"
REGISTER_SPACE = 1000  # addresses beyond it get exception 2 from the server itself
ALL_REGISTERS = 65536
READS = {3, 4}
WRITES = {6, 16}

Levels = dict[str, float | None]


class PortTakenError(OSError):
    """A port of the site cannot be listened on; the message is one sentence."""


class ServedDevice:
    """One device on a line: answers from the world at the time of the request, as its faults let it."""

    def __init__(
        self,
        device: Device,
        world: World,
        faults: FaultBoard,
        clock: Callable[[], datetime],
        truth: TruthLog | None = None,
    ) -> None:
        self.device = device
        self._world = world
        self._faults = faults
        self._clock = clock
        self._truth = truth
        self._sheet = world.sheet(device.code)
        self._setpoint = SetPoint()
        self._highest = 0

    def unit(self) -> SimDevice:
        """Give the device as a unit of a server."""
        space = SimData(0, count=REGISTER_SPACE, values=0, datatype=DataType.REGISTERS)
        return SimDevice(id=int(self.device.address), simdata=[space], action=self._act)

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
        at = self._clock()
        active = self._faults.active(self.device.code, at)
        kinds = {injected.fault.kind for injected in active}
        if FaultKind.SILENT in kinds:
            raise NoSuchIdException  # the server is told to answer nothing to units that it does not have
        if FaultKind.BUSY in kinds:
            return ExcCodes.DEVICE_BUSY
        if function in WRITES:
            return self._write(address, new, at) if new is not None else None
        if function not in READS:
            return ExcCodes.ILLEGAL_FUNCTION
        words = self._read(address, count, at, active) if function == self._sheet.function else None
        if words is None:
            return ExcCodes.ILLEGAL_ADDRESS
        registers[address - start : address - start + count] = words
        return None

    def _read(self, address: int, count: int, at: datetime, active: Sequence[Injected]) -> list[int] | None:
        """Give the words of a read, or None when it touches registers that do not exist."""
        wanted = range(address, address + count)
        touched = [r for r in self._sheet.registers if r.address < wanted.stop and r.address + r.size > address]
        levels = self._levels(at, active, {register.measure for register in touched})
        image: dict[int, int] = {}
        for register in touched:
            for place, word in enumerate(register.words(levels[register.measure])):
                image[register.address + place] = word
        if any(place not in image for place in wanted):
            return None
        for register in touched:
            told = levels[register.measure]
            if register.counter and told is not None and _covers(wanted, register) and self._truth:
                self._truth.write(at, self.device.code, register.measure, int(told))
        return [image[place] for place in wanted]

    def _levels(self, at: datetime, active: Sequence[Injected], touched: set[str]) -> Levels:
        """Give what every register shows, faults included: counters in counts, the rest in their unit."""
        levels: Levels = dict(self._true_levels(at))
        counter = self._sheet.counter
        if counter is not None:
            # Wheels do not turn back, whatever is done to the clock of this machine.
            self._highest = max(self._highest, self._world.count(self.device.code, at))
            levels[counter.measure] = self._highest % counter.modulus
        for injected in active:
            fault = injected.fault
            if fault.kind is FaultKind.FREEZE:
                frozen = self._true_levels(injected.start_at)
                levels.update({m: value for m, value in frozen.items() if injected.hits(m)})
            elif fault.kind is FaultKind.EXTRA_LOAD:
                self._shift(levels, "power", fault.amount / float(self.device.multiplier))
            elif fault.measure in touched:
                if fault.kind is FaultKind.SENTINEL:
                    levels[fault.measure] = None
                else:
                    self._shift(levels, fault.measure, fault.amount)
                    injected.spent = fault.kind is FaultKind.SPIKE
        return levels

    def _shift(self, levels: Levels, measure: str, amount: float) -> None:
        value = levels[measure]
        register = next(r for r in self._sheet.registers if r.measure == measure)
        if value is not None and register.counter:
            levels[measure] = (value + round(amount / float(register.step))) % register.modulus
        elif value is not None:
            levels[measure] = value + amount

    def _true_levels(self, at: datetime) -> dict[str, float]:
        """Give what the world says for ``at``, by measure."""
        levels = self._world.values(self.device.code, at, self._setpoint)
        counter = self._sheet.counter
        if counter is not None:
            levels[counter.measure] = self._world.face(self.device.code, at)
        return levels

    def _write(self, address: int, new: list[int] | list[bool], at: datetime) -> ExcCodes | None:
        """Take a new set point."""
        register = next((r for r in self._sheet.registers if r.address == address and r.writable), None)
        if register is None or register.writable is None or len(new) != register.size:
            return ExcCodes.ILLEGAL_ADDRESS
        low, high = register.writable
        if not low <= new[0] <= high:
            return ExcCodes.ILLEGAL_VALUE
        self._setpoint = self._setpoint.change(new[0] * float(register.step), at)
        return None


def _covers(wanted: range, register: Register) -> bool:
    return wanted.start <= register.address and register.address + register.size <= wanted.stop


async def _nobody(*_: object) -> ExcCodes:
    return ExcCodes.GATEWAY_NO_RESPONSE


async def serve_line(line: ModbusLine, devices: Sequence[ServedDevice]) -> ModbusTcpServer:
    """Listen on the line's port until ``shutdown()``; raises PortTakenError."""
    # Unit 0 stands for every unit that is not there.
    rest = SimDevice(id=0, simdata=[SimData(0, count=ALL_REGISTERS, datatype=DataType.REGISTERS)], action=_nobody)
    units = [*(device.unit() for device in devices), rest]
    server = ModbusTcpServer(units, address=(HOST, line.port or 0), ignore_missing_devices=True)
    try:
        await server.serve_forever(background=True)
    except RuntimeError:
        raise PortTakenError(
            f"port {line.port} of line '{line.code}' on {HOST} is taken; "
            "stop the program that listens there or change the port in the site file"
        ) from None
    return server
