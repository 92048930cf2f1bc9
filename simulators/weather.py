"""Outdoor temperature of the simulated world: season, time of day and days that differ."""

import numpy as np

from simulators.noise import Counts, Numbers, key, uniform
from simulators.worldtime import LocalTime

MEAN_C = 17.0
SEASON_C = 11.5  # half the distance between midwinter and midsummer
DAY_C = 3.8  # half the distance between night and afternoon
SPREAD_C = 5.0  # how far one day may lie from its neighbours
WARMEST_DAY = 206.0  # 25 July
WARMEST_HOUR = 15.0
YEAR_DAYS = 365.25


def outdoor(seed: int, time: LocalTime) -> Numbers:
    """Give the outdoor temperature in °C for every quarter of ``time``."""
    season = np.cos((time.day - WARMEST_DAY) * (2 * np.pi / YEAR_DAYS))
    clock = np.cos((time.hour - WARMEST_HOUR) * (2 * np.pi / 24))
    return MEAN_C + SEASON_C * season + DAY_C * clock + SPREAD_C * _spell(seed, time.day)


def _spell(seed: int, day: Numbers) -> Numbers:
    """Warm and cold spells in [-1, 1]: one number a day, joined by straight lines."""
    whole = np.floor(day).astype(np.int64)
    return _daily(seed, whole) + (day - whole) * (_daily(seed, whole + 1) - _daily(seed, whole))


def _daily(seed: int, days: Counts) -> Numbers:
    return 2 * uniform(key(seed, "weather"), days) - 1
