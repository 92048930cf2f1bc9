"""What people and machines draw: one daily shape per kind of use, scaled by area, weather and chance."""

from dataclasses import dataclass

import numpy as np

from simulators.noise import Counts, Numbers, key, uniform
from simulators.worldtime import BLOCK, LocalTime

COOLING_FROM_C = 24.0
HEATING_BELOW_C = 12.0
CHANCE = 0.15  # a quarter hour lies at most this share above or below its shape
WEEKDAYS = 5


@dataclass(frozen=True, slots=True)
class Use:
    """How one kind of use draws electricity (W/m²) and water (litres per hour and m²) in site time."""

    opens: float
    closes: float
    weekend: float  # occupancy of a weekend day, as a share of a weekday
    base_w: float
    busy_w: float
    climate_w: float  # per °C above COOLING_FROM_C or below HEATING_BELOW_C, when occupied
    water_base_l: float
    water_busy_l: float


OFFICE = Use(8.5, 18.5, 0.08, 3.0, 27.0, 1.2, 0.001, 0.10)
USES: dict[str, Use] = {
    "office": OFFICE,
    "law office": Use(8.5, 20.0, 0.20, 2.5, 25.0, 1.1, 0.001, 0.08),
    "restaurant": Use(9.5, 22.0, 1.15, 18.0, 92.0, 2.0, 0.02, 1.10),
    "shop": Use(10.0, 21.5, 1.20, 5.0, 38.0, 1.2, 0.002, 0.09),
    "data room": Use(8.5, 19.0, 0.15, 120.0, 12.0, 1.0, 0.001, 0.06),
    "fitness studio": Use(6.5, 22.5, 1.05, 6.0, 36.0, 1.5, 0.01, 0.75),
    "workshop": Use(7.5, 18.0, 0.15, 2.0, 52.0, 0.5, 0.002, 0.12),
    "co-working": Use(8.0, 21.0, 0.40, 4.0, 28.0, 1.2, 0.001, 0.12),
    "common": Use(6.5, 22.0, 0.70, 2.0, 6.0, 0.3, 0.0002, 0.02),
    "corridor": Use(6.5, 22.0, 0.80, 0.3, 0.7, 0.0, 0.0, 0.0),
}


def use_named(name: str) -> Use:
    """Find the use that a device's English name tells ('A-103 restaurant electricity meter'); else an office."""
    lowered = name.lower()
    return next((use for word, use in USES.items() if f" {word} " in f" {lowered} "), OFFICE)


def occupancy(use: Use, time: LocalTime) -> Numbers:
    """Give the share of people who are there, ramping over an hour at opening and closing."""
    ramp = np.clip(np.minimum(time.hour - use.opens + 0.5, use.closes + 0.5 - time.hour), 0.0, 1.0)
    return ramp * np.where(time.weekday < WEEKDAYS, 1.0, use.weekend)


def electricity_kw(use: Use, area_m2: float, time: LocalTime, outdoor_c: Numbers) -> Numbers:
    """Give the expected power in kW of every quarter."""
    degrees = np.maximum(outdoor_c - COOLING_FROM_C, 0) + np.maximum(HEATING_BELOW_C - outdoor_c, 0)
    return area_m2 / 1000 * (use.base_w + occupancy(use, time) * (use.busy_w + use.climate_w * degrees))


def water_m3h(use: Use, area_m2: float, time: LocalTime) -> Numbers:
    """Give the expected flow in m³/h of every quarter."""
    return area_m2 / 1000 * (use.water_base_l + occupancy(use, time) * use.water_busy_l)


def scatter(seed: int, name: str, block: int) -> Numbers:
    """Give the chance factor (around 1) of every quarter of a block for one named load."""
    quarters: Counts = np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.int64)
    return 1 + CHANCE * (2 * uniform(key(seed, name), quarters) - 1)
