"""One meter of the tree: what goes through it and what its face shows because of that."""

import math
from dataclasses import dataclass
from decimal import Decimal

from rules.model.site import Commodity, Device
from simulators.course import Course
from simulators.noise import Counts
from simulators.sheet import SHEETS, Shown

TRUE_STEP = {Commodity.ELECTRICITY: Decimal("0.01"), Commodity.WATER: Decimal("0.001")}  # kWh, m³
VOLTAGE_V = 230.0
PHASE_SHARES = (0.35, 0.33, 0.32)
QUARTERS_PER_HOUR = 4
WATER_KWH_PER_M3_K = 1.163  # heat that a cubic metre of water carries per kelvin
SPREAD_K = 25.0  # between supply and return of a heat meter
_MILLION = 1_000_000
_RIPPLE = 0.005  # how far power swings around the slope of the counter
_RIPPLE_PERIOD_S = 47.0


def commodity_of(register: Shown) -> Commodity:
    """Give what a counting register counts."""
    return Commodity.WATER if register.measure == "volume" else Commodity.ELECTRICITY


@dataclass(frozen=True, slots=True)
class Node:
    """One meter.  ``own`` counts in ``grain`` true steps; the face shows one count per ``ratio`` true steps."""

    device: Device
    register: Shown
    ratio: int
    grain: int
    own: Course
    children: tuple["Node", ...]
    loss_ppm: int
    start: int  # what the face showed at the epoch, in counts
    phase: float

    def truth(self, ms: int) -> int:
        """Give the true steps that went through up to ``ms`` after the epoch."""
        through = self.through(ms)
        return through + self.lost(through) + self.fed(ms)

    def through(self, ms: int) -> int:
        """Give the true steps that reached the children."""
        return sum(child.truth(ms) for child in self.children)

    def lost(self, through: int) -> int:
        """Give the true steps lost on the way to the children."""
        return through * self.loss_ppm // _MILLION

    def fed(self, ms: int) -> int:
        """Give the true steps that the meter feeds past its children."""
        return self.own.count(ms) * self.grain

    def truths(self, first: int, past: int) -> Counts:
        """Give ``truth`` at the starts of a run of quarter hours."""
        total = self.own.counts(first, past) * self.grain
        if self.children:
            through = self.children[0].truths(first, past)
            for child in self.children[1:]:
                through = through + child.truths(first, past)
            total = total + through + through * self.loss_ppm // _MILLION
        return total

    def power(self, ms: int) -> float:
        """Give the slope of the truth in kW or m³/h; every load swings a little, on its own."""
        swing = 1 + _RIPPLE * math.sin(ms / 1000 / _RIPPLE_PERIOD_S * math.tau + self.phase)
        step = float(TRUE_STEP[commodity_of(self.register)])
        own = self.own.step(ms) * self.grain * step * QUARTERS_PER_HOUR * swing
        return own + sum(child.power(ms) for child in self.children) * (1 + self.loss_ppm / _MILLION)

    def levels(self, ms: int) -> dict[str, float]:
        """Give what the meter shows beside its counter; power and currents as the face shows them."""
        amount = self.power(ms) / float(self.device.multiplier)
        if commodity_of(self.register) is Commodity.WATER:
            levels = {"flow": amount, "status": 0.0, "valve": 0.0, "battery_low": 0.0, "settlement_volume": 0.0}
        else:
            levels = {**self._thermal(amount, ms), **self._electrical(amount, ms / 1000)}
        return {s.measure: levels[s.measure] for s in SHEETS[self.device.profile].shown if not s.counter}

    def _thermal(self, power_kw: float, ms: int) -> dict[str, float]:
        """Give what a heat meter shows beside its energy: water that gives SPREAD_K away."""
        swing = math.sin(ms / 1000 / 900 + self.phase)
        flow = power_kw / (WATER_KWH_PER_M3_K * SPREAD_K)
        through = self.truth(ms) * float(TRUE_STEP[Commodity.ELECTRICITY]) / (WATER_KWH_PER_M3_K * SPREAD_K)
        return {
            "flow": flow, "volume": through % 100_000, "supply_temp": 70.0 + swing,
            "return_temp": 70.0 + swing - SPREAD_K, "hours": ms // 3_600_000 % 100_000 * 1.0, "valve": 0.0,
            "battery_low": 0.0, "status": 0.0,
        }  # fmt: skip

    def _electrical(self, power_kw: float, seconds: float) -> dict[str, float]:
        factor = 0.93 + 0.02 * math.sin(seconds / 3600 + self.phase)
        shown = {
            "power": power_kw,
            "power_factor": factor,
            "frequency": 50.0 + 0.02 * math.sin(seconds / 60),
            "serial": float(self.start % 900_000 + 100_000),
            "energy_export": 0.0,
        }
        for phase, share in enumerate(PHASE_SHARES, 1):
            volts = VOLTAGE_V + 2.0 * math.sin(seconds / 600 + self.phase + phase)
            shown[f"voltage_l{phase}"] = volts
            shown[f"power_l{phase}"] = power_kw * share
            shown[f"current_l{phase}"] = power_kw * 1000 * share / (volts * factor)
        return shown
