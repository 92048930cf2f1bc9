"""What the buildings used today, hour by hour, and how complete today's readings are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.assets import service as assets
from hub.assets.rows import Device, Site, Space
from hub.metering import service as metering
from hub.metering.hours import SoFar, so_far
from hub.metering.rows import Meter
from hub.readings import service as readings
from hub.store.database import Transaction
from rules.meter.rollup import bounds
from rules.model.period import Period, midnight

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
    """Give the electricity of every main meter since midnight of the site, by the rules of consumption."""
    buildings = {space.code: space for space in await assets.spaces(tx, site.id) if space.kind == "building"}
    every = await assets.devices(tx, site.id)
    mains = [d for d in every if d.role == "main" and d.commodity == "electricity"][:MAIN_METERS_MAX]
    counters: dict[str, Meter] = {}
    for meter in await metering.meters(tx, site.id):
        counters.setdefault(meter.code, meter)
    meters = [counters[d.code] for d in mains if d.code in counters]
    day = bounds(now.astimezone(site.zone).date(), site.zone)
    come = {meter.code: one for meter, one in zip(meters, await so_far(tx, meters, day, now), strict=True)}
    return [_of(d, buildings.get(d.building), counters.get(d.code), come.get(d.code)) for d in mains]


def _of(device: Device, building: Space | None, meter: Meter | None, come: SoFar | None) -> Usage:
    if meter is None or come is None:
        return Usage(building, device, "", None, ())
    total = None if come.total is None else float(come.total.quantity)
    used = [None if one is None else float(one.quantity) for one in come.hours]
    return Usage(building, device, meter.point, total, bars(used))


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
