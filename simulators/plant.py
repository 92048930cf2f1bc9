"""Plant: an air handling unit (temperatures around its set point, valve, filter), a leak detector with its valve."""

import math
from dataclasses import dataclass
from datetime import datetime

DEFAULT_SETPOINT_C = 18.0
SETTLING_S = 60.0  # time constant of the supply air after a new set point
VALVE_OPEN = 100.0  # %
FILTER_LIFE_S = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class SetPoint:
    """The set point in °C, the one before, and when it changed."""

    value: float = DEFAULT_SETPOINT_C
    before: float = DEFAULT_SETPOINT_C
    changed_at: datetime | None = None

    def target(self, at: datetime) -> float:
        """Give the supply temperature that the controller has reached on its way (first order lag)."""
        if self.changed_at is None:
            return self.value
        passed_s = max((at - self.changed_at).total_seconds(), 0.0)
        return self.value + (self.before - self.value) * math.exp(-passed_s / SETTLING_S)

    def change(self, value: float, at: datetime) -> "SetPoint":
        """Give the set point after somebody has written ``value``."""
        return SetPoint(value, self.target(at), at)


def values(stream: int, at: datetime, outdoor_c: float, setpoint: SetPoint | None = None) -> dict[str, float]:
    """Give what the controller shows; the supply air stays within 0.3 °C of a set point that it has reached.

    The unit runs round the clock: it also serves rooms that may not get warm at night.
    """
    wanted = setpoint or SetPoint()
    seconds = at.timestamp()
    phase = stream % 628 / 100
    return {
        "supply_temp": wanted.target(at) + 0.2 * math.sin(seconds / 70 + phase) + 0.05 * math.sin(seconds / 11),
        "supply_setpoint": wanted.value,
        "return_temp": 24.0 + 0.8 * math.sin(seconds / 5400 + phase) + 0.05 * (outdoor_c - 17.0),
        "outdoor_temp": outdoor_c,
        "fan_running": 1.0,
        "fan_command": 1.0,
        "cooling_valve": min(max(20.0 + 2.5 * (outdoor_c - wanted.value + 6.0), 5.0), 95.0),
        "freeze_trip": 0.0,
        "filter_pressure": 80.0 + 150.0 * (seconds % FILTER_LIFE_S) / FILTER_LIFE_S,
    }


def leak_values(setpoint: SetPoint | None = None) -> dict[str, float]:
    """Give what a leak detector shows: dry until a fault says otherwise, its valve as somebody has set it."""
    untouched = setpoint is None or setpoint.changed_at is None
    return {"leak": 0.0, "valve": VALVE_OPEN if untouched or setpoint is None else setpoint.value}
