"""A simulated device, whatever protocol it speaks: what it shows at a moment, its faults, and what it is told."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from rules.model.site import Device
from simulators.faults import FaultBoard, FaultKind, Injected
from simulators.plant import SetPoint
from simulators.sheet import Sheet, Shown
from simulators.truth import TruthLog
from simulators.world import World

HOST = "127.0.0.1"

Levels = dict[str, float | None]


class PortTakenError(OSError):
    """A port of the site cannot be listened on; the message is one sentence."""


class ServedDevice:
    """One device on a line: shows the world at the time of the request, as its faults let it."""

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
        self._setpoint = SetPoint()
        self._highest = 0

    @property
    def sheet(self) -> Sheet:
        """The data sheet of its model."""
        return self._world.sheet(self.device.code)

    def now(self) -> datetime:
        """Give the time of the world, UTC."""
        return self._clock()

    def faults(self, at: datetime) -> list[Injected]:
        """Give what is wrong with it, oldest first."""
        return self._faults.active(self.device.code, at)

    def levels(self, at: datetime, touched: Collection[str]) -> Levels:
        """Give what it shows, faults included: counters in counts of their step, the rest in their unit.

        ``touched`` are the measures that are asked for: a spike is spent by the answer that shows it.
        """
        return self._levels(at, self.faults(at), touched)

    def tell(self, at: datetime, register: Shown, count: float | None) -> None:
        """Note what a counter has just told; a reader can be checked against it."""
        if register.counter and count is not None and self._truth:
            self._truth.write(at, self.device.code, register.measure, int(count))

    def set_point(self, value: float, at: datetime) -> None:
        """Take a new set point, in its unit; its limits are the caller's."""
        self._setpoint = self._setpoint.change(value, at)

    def _levels(self, at: datetime, active: Sequence[Injected], touched: Collection[str]) -> Levels:
        """Give what every register shows, faults included: counters in counts, the rest in their unit."""
        levels: Levels = dict(self._true_levels(at))
        counter = self.sheet.counter
        if counter is not None:
            # Wheels do not turn back, whatever is done to the clock of this machine.
            self._highest = max(self._highest, self._world.count(self.device.code, at))
            levels[counter.measure] = self._highest % counter.modulus
        for injected in active:
            fault = injected.fault
            if fault.kind is FaultKind.FREEZE:
                frozen = self._true_levels(injected.start_at)
                levels.update({m: value for m, value in frozen.items() if injected.hits(m)})
            elif fault.kind in (FaultKind.ROLLOVER, FaultKind.EXCHANGE):
                self._reset(levels, injected)
            elif fault.kind is FaultKind.EXTRA_LOAD:
                self._shift(levels, "power", fault.amount / float(self.device.multiplier))
            elif fault.measure is not None and fault.measure in touched:
                if fault.kind is FaultKind.SENTINEL:
                    levels[fault.measure] = None
                elif fault.kind in (FaultKind.OFFSET, FaultKind.SPIKE):
                    self._shift(levels, fault.measure, fault.amount)
                    injected.spent = fault.kind is FaultKind.SPIKE
        return levels

    def _reset(self, levels: Levels, injected: Injected) -> None:
        """Let the counter have stood elsewhere when the fault began: shortly before its end, or anew."""
        counter = self.sheet.counter
        assert counter is not None
        shown, steps = levels[counter.measure], round(injected.fault.amount / float(counter.step))
        if shown is None:
            return
        began = counter.modulus - steps if injected.fault.kind is FaultKind.ROLLOVER else steps
        stood = self._world.face(self.device.code, injected.start_at)
        levels[counter.measure] = (began + int(shown) - stood) % counter.modulus

    def _shift(self, levels: Levels, measure: str, amount: float) -> None:
        value = levels[measure]
        register = self.sheet.named(measure)
        assert register is not None
        if value is not None and register.counter:
            levels[measure] = (value + round(amount / float(register.step))) % register.modulus
        elif value is not None:
            levels[measure] = value + amount

    def _true_levels(self, at: datetime) -> dict[str, float]:
        """Give what the world says for ``at``, by measure."""
        levels = self._world.values(self.device.code, at, self._setpoint)
        counter = self.sheet.counter
        if counter is not None:
            levels[counter.measure] = self._world.face(self.device.code, at)
        return levels
