"""What goes wrong on purpose: faults with a target, a start and an end, and the board that holds them."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulators.world import World

MAX_FAULTS = 1000


class FaultKind(StrEnum):
    """How a device misbehaves."""

    OFFSET = "offset"  # a measure shows ``amount`` (in its unit) too much
    FREEZE = "freeze"  # a measure, or all of them, stays as it was when the fault began
    SILENT = "silent"  # no answer
    BUSY = "busy"  # exception 6
    SENTINEL = "sentinel"  # a measure shows its "not available" value (NaN where it is a float)
    SPIKE = "spike"  # a measure is off by ``amount`` in one single answer
    OUT_OF_SERVICE = "out_of_service"  # BACnet: taken out of service by hand
    EXTRA_LOAD = "extra_load"  # the power level shows ``amount`` kW more; the counter does not follow
    ROLLOVER = "rollover"  # the counter stands ``amount`` (in its unit) before its end when the fault begins
    EXCHANGE = "exchange"  # another meter hangs there, whose counter begins at ``amount``
    DELAY = "delay"  # answers come ``amount`` seconds late
    DROP = "drop"  # a share ``amount`` (0 to 1) of the answers never comes
    EXCEPTION = "exception"  # Modbus: answers with the exception code ``amount``
    WRONG_CHECKSUM = "wrong_checksum"  # answers whose checksum, or head, is wrong
    HALF_FRAME = "half_frame"  # answers stop in the middle
    RESTART = "restart"  # the line (BACnet: the device) is gone for RESTART_S, or for ``duration_s``
    POWER_CUT = "power_cut"  # the device's cabinet has no power: the whole line is gone
    DARK = "dark"  # a camera sees next to nothing
    COVERED = "covered"  # something hangs before a camera
    MOVED = "moved"  # a camera looks elsewhere
    INTRUDER = "intruder"  # somebody walks through a camera's picture once, in ten seconds
    GARBAGE = "garbage"  # answers are nonsense


_NEED_MEASURE = {FaultKind.OFFSET, FaultKind.SENTINEL, FaultKind.SPIKE}
_NEED_AMOUNT = {
    FaultKind.OFFSET, FaultKind.SPIKE, FaultKind.EXTRA_LOAD, FaultKind.DELAY, FaultKind.DROP, FaultKind.EXCEPTION,
}  # fmt: skip
_AMOUNTS = {FaultKind.DELAY: (0.0, 60.0), FaultKind.DROP: (0.0, 1.0), FaultKind.EXCEPTION: (1.0, 11.0)}
_OF_METERS = {FaultKind.ROLLOVER, FaultKind.EXCHANGE}
LINE_DOWN = frozenset({FaultKind.RESTART, FaultKind.POWER_CUT})
RESTART_S = 1.0


class InvalidFaultError(ValueError):
    """The fault cannot be injected; the message is one sentence."""


class Fault(BaseModel):
    """One fault as somebody asks for it; without ``duration_s`` it lasts until it is cleared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: FaultKind
    device: str
    measure: str | None = None
    amount: float = 0.0
    start_s: Annotated[float, Field(ge=0, le=86400 * 366)] = 0.0
    duration_s: Annotated[float, Field(gt=0, le=86400 * 366)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind in _NEED_MEASURE and self.measure is None:
            raise ValueError(f"a fault of kind '{self.kind}' needs a measure")
        if self.kind in _NEED_AMOUNT and not self.amount:
            raise ValueError(f"a fault of kind '{self.kind}' needs an amount other than 0")
        low, high = _AMOUNTS.get(self.kind, (self.amount, self.amount))
        if not low <= self.amount <= high:
            raise ValueError(f"a fault of kind '{self.kind}' takes an amount from {low:g} to {high:g}")
        return self


@dataclass(slots=True)
class Injected:
    """A fault on the board; a spike is ``spent`` after the answer that showed it."""

    number: str
    fault: Fault
    start_at: datetime
    end_at: datetime | None
    spent: bool = False

    def active(self, at: datetime) -> bool:
        """Whether the device misbehaves at ``at``."""
        return self.start_at <= at and (self.end_at is None or at < self.end_at) and not self.spent

    def hits(self, measure: str) -> bool:
        """Whether the fault is about ``measure``."""
        return self.fault.measure in (None, measure)


class FaultBoard:
    """All faults of one running site."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._injected: dict[str, Injected] = {}
        self._numbers = count(1)

    def inject(self, fault: Fault, now: datetime) -> str:
        """Put a fault up and give its number; raises InvalidFaultError when its target does not exist."""
        self._check(fault)
        start_at = now + timedelta(seconds=fault.start_s)
        lasts_s = RESTART_S if fault.kind is FaultKind.RESTART and fault.duration_s is None else fault.duration_s
        end_at = None if lasts_s is None else start_at + timedelta(seconds=lasts_s)
        number = str(next(self._numbers))
        self._injected[number] = Injected(number, fault, start_at, end_at)
        return number

    def clear(self, number: str) -> None:
        """Take a fault down; raises InvalidFaultError when there is none of that number."""
        if self._injected.pop(number, None) is None:
            raise InvalidFaultError(f"there is no fault '{number}'; list them to see their ids")

    def active(self, device: str, at: datetime) -> list[Injected]:
        """Give the faults that a device shows at ``at``, oldest first."""
        return [i for i in self._injected.values() if i.fault.device == device and i.active(at)]

    def rows(self, at: datetime) -> list[dict[str, Any]]:
        """Give every fault on the board as plain data."""
        return [
            {"id": i.number, "active": i.active(at), **i.fault.model_dump(mode="json")} for i in self._injected.values()
        ]

    def _check(self, fault: Fault) -> None:
        if len(self._injected) >= MAX_FAULTS:
            raise InvalidFaultError(f"there are {MAX_FAULTS} faults already; clear some first")
        if fault.device not in self._world.devices:
            raise InvalidFaultError(f"the site has no device '{fault.device}'")
        sheet = self._world.sheet(fault.device)
        wanted = "power" if fault.kind is FaultKind.EXTRA_LOAD else fault.measure
        measures = [shown.measure for shown in sheet.shown]
        if wanted is not None and wanted not in measures:
            raise InvalidFaultError(f"device '{fault.device}' has no measure '{wanted}', only {', '.join(measures)}")
        if fault.kind in _OF_METERS and sheet.counter is None:
            raise InvalidFaultError(f"device '{fault.device}' counts nothing; '{fault.kind}' is for meters")


def parse_fault(data: Mapping[str, Any]) -> Fault:
    """Check one fault from outside; raises InvalidFaultError."""
    try:
        return Fault.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"'{first['loc'][0]}': " if first["loc"] else ""
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidFaultError(f"the fault cannot be used: {where}{said[0].lower()}{said[1:]}") from None


def read_faults(path: Path) -> Iterable[Fault]:
    """Read a TOML file of ``[[fault]]`` tables; raises InvalidFaultError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidFaultError(f"the faults file {path} cannot be read: {error}") from None
    rows = data.get("fault")
    if set(data) != {"fault"} or not isinstance(rows, list):
        raise InvalidFaultError(f"the faults file {path} must hold nothing but [[fault]] tables")
    return [parse_fault(row) for row in rows]
