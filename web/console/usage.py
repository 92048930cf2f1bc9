"""What the buildings used today, hour by hour, and how complete today's readings are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hub.assets import service as assets
from hub.assets.rows import Device, Site, Space
from hub.readings import service as readings
from hub.readings.rows import Bucket
from hub.store.database import Transaction
from rules.model.period import Period, midnight

HOUR = timedelta(hours=1)
MAIN_METERS_MAX = 12  # more belong on a page of their own


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour: its share of the highest bar (0 to 1, None: not known), what it was."""

    hour: int
    share: float | None
    kwh: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """One main meter today; ``total_kwh`` None: no reading today."""

    building: Space | None
    device: Device
    point: str
    total_kwh: float | None
    bars: tuple[Bar, ...]


async def today(tx: Transaction, site: Site, now: datetime) -> list[Usage]:
    """Give the electricity of every main meter since midnight of the site."""
    buildings = {space.code: space for space in await assets.spaces(tx, site.id) if space.kind == "building"}
    mains = [d for d in await assets.devices(tx, site.id) if d.role == "main" and d.commodity == "electricity"]
    return [await _of(tx, device, buildings.get(device.building), now, site.zone) for device in mains[:MAIN_METERS_MAX]]


async def _of(tx: Transaction, device: Device, building: Space | None, now: datetime, zone: ZoneInfo) -> Usage:
    counters = [point for point in await assets.points(tx, device.id) if point.kind == "counter"]
    if not counters:
        return Usage(building, device, "", None, ())
    point = await readings.point(tx, counters[0].code)
    day = now.astimezone(zone).date()
    start, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    hours = round((end - start) / HOUR)
    found = await readings.chart(tx, point, Period(start - HOUR, end), hours + 1)
    used = hourly(found, start - HOUR, hours, float(point.modulus) if point.modulus else None)
    scaled = [None if kwh is None else kwh * float(device.multiplier) for kwh in used]
    total = total_of(found, float(point.modulus) if point.modulus else None)
    return Usage(
        building, device, point.code, None if total is None else total * float(device.multiplier), bars(scaled)
    )


def hourly(buckets: Sequence[Bucket], start: datetime, hours: int, modulus: float | None) -> list[float | None]:
    """Give what a counter counted in each hour after the first; None where an hour or the one before has no reading."""
    lasts = {round((bucket.at - start) / HOUR): bucket.last for bucket in buckets}
    steps: list[float | None] = []
    for hour in range(1, hours + 1):
        before, here = lasts.get(hour - 1), lasts.get(hour)
        steps.append(None if before is None or here is None else _grown(before, here, modulus))
    return steps


def total_of(buckets: Sequence[Bucket], modulus: float | None) -> float | None:
    """Give what a counter counted from the first to the last bucket; None when it was not read twice."""
    lasts = [bucket.last for bucket in buckets if bucket.last is not None]
    if len(lasts) <= 1:
        return None
    return sum(_grown(before, here, modulus) for before, here in pairwise(lasts))


def _grown(before: float, here: float, modulus: float | None) -> float:
    return here - before if here >= before or modulus is None else here - before + modulus


def bars(used: Sequence[float | None]) -> tuple[Bar, ...]:
    """Give the bars of a small chart."""
    most = max((kwh for kwh in used if kwh is not None), default=0.0) or 1.0
    return tuple(Bar(hour, None if kwh is None else kwh / most, kwh) for hour, kwh in enumerate(used))


@dataclass(frozen=True, slots=True)
class Complete:
    """How many of today's whole hours of all counters, ``of`` together, have a good reading."""

    counters: int
    good: int
    of: int

    @property
    def percent(self) -> float:
        """The share in per cent, rounded down: 100 only when nothing is missing."""
        return self.good * 1000 // self.of / 10


async def completeness(tx: Transaction, site: Site, now: datetime) -> Complete | None:
    """Give how complete the counters' readings are today; None before the first hour is over.

    Counters only: what is billed stands on them, and they report even when nothing changes.
    """
    start = midnight(now.astimezone(site.zone).date(), site.zone)
    end = now.replace(minute=0, second=0, microsecond=0)
    if end <= start:
        return None
    counters = {point.id for point in await assets.points(tx) if point.kind == "counter"}
    found = [one for one in await readings.completeness(tx, Period(start, end), site.id) if one.point_id in counters]
    hours = sum(one.hours for one in found)
    return Complete(len(found), sum(one.hours_good for one in found), hours) if hours else None
