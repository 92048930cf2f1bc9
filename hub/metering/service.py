"""Ask for consumption: meters, facts, changes, balances and demand; register what a site file says of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.audit import service as audit
from hub.metering.course import series
from hub.metering.days import Grain
from hub.metering.rows import Change, Meter, Stored, Virtual
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.balance import LOSS_LIMIT_PERCENT, Balance, balance
from rules.meter.demand import QUARTER, Block, demand
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.site import SiteFile

SQL = queries(__package__)

METERS_MAX = 5_000
FACTS_MAX = 100_000
CHANGES_MAX = 500


async def register(tx: Transaction, site_id: UUID, file: SiteFile) -> None:
    """Enter the virtual meters and ratings of a site file; what is there already is brought up to date."""
    before = {virtual.code: virtual for virtual in await virtual_meters(tx, site_id)}
    rows = [
        {
            **meter.model_dump(include={"code", "name_zh", "name_en", "commodity", "unit"}),
            "site": site_id,
            "versions": Jsonb(meter.model_dump(mode="json")["version"]),
        }
        for meter in file.virtual_meter
    ]
    await tx.run_many(SQL["put_virtual"], rows)
    await tx.run(SQL["withdraw_virtual"], {"site": site_id, "codes": [row["code"] for row in rows]})
    for virtual in await virtual_meters(tx, site_id):
        old = before.get(virtual.code)
        if old != virtual:
            details = {"code": virtual.code, "versions": virtual.versions, "withdrawn": virtual.withdrawn}
            await audit.record(tx, "registered" if old is None else "changed", "virtual meter", virtual.id, details)
    for device in file.device:
        said = {"site": site_id, "code": device.code, "hourly_max": device.hourly_max}
        if await tx.run(SQL["set_hourly_max"], said):
            await audit.record(tx, "changed", "device", device.code, {"hourly_max": str(device.hourly_max or "")})


async def meters(
    tx: Transaction,
    site_id: UUID | None = None,
    points: Sequence[int] | None = None,
    code: str | None = None,
) -> list[Meter]:
    """Give the counters of devices that count a commodity (of a site, of some points, of a device)."""
    asked = {"site": site_id, "points": None if points is None else list(points), "code": code, "most": METERS_MAX}
    return await tx.all(Meter, SQL["meters"], asked, afresh=True)


async def virtual_meters(tx: Transaction, site_id: UUID | None = None) -> list[Virtual]:
    """Give the virtual meters (of a site), those that were withdrawn as well."""
    return await tx.all(Virtual, SQL["virtual_meters"], {"site": site_id, "most": METERS_MAX})


async def facts(tx: Transaction, grain: Grain, first: date, past: date, site_id: UUID | None = None) -> list[Stored]:
    """Give what is stored for the days or months that begin from ``first`` to ``past`` (excluded), by code."""
    return await _facts(tx, grain, first, past, site=site_id)


async def facts_of(
    tx: Transaction, meter: Meter | Virtual, grain: Grain, first: date, past: date
) -> dict[date, Stored]:
    """Give the facts of one meter by the first day of their period."""
    if isinstance(meter, Meter):
        found = await _facts(tx, grain, first, past, points=[meter.point_id])
    else:
        found = await _facts(tx, grain, first, past, virtuals=[meter.id])
    return {one.first: one for one in found}


async def _facts(
    tx: Transaction,
    grain: Grain,
    first: date,
    past: date,
    *,
    site: UUID | None = None,
    points: list[int] | None = None,
    virtuals: list[UUID] | None = None,
) -> list[Stored]:
    only = {"site": site, "points": points, "virtuals": virtuals}
    asked = {"grain": grain.value, "first": first, "past": past, **only, "most": FACTS_MAX}
    return await tx.all(Stored, SQL["facts"], asked, afresh=True)


async def fact(tx: Transaction, fact_id: UUID) -> Stored:
    """Give one fact; raises NotFoundError."""
    return await tx.one(Stored, SQL["fact"], {"id": fact_id}, what="consumption")


async def changes(tx: Transaction, fact_ids: Sequence[UUID]) -> list[Change]:
    """Give what recomputations changed of some facts, the newest first."""
    return await _changes(tx, consumptions=list(fact_ids))


async def changed_after_final(tx: Transaction, site_id: UUID | None = None) -> list[Change]:
    """Give the changes of facts that were final or billed, with the invoices on them: a correction may be due."""
    return await _changes(tx, site=site_id, late=True)


async def _changes(
    tx: Transaction, *, consumptions: list[UUID] | None = None, site: UUID | None = None, late: bool = False
) -> list[Change]:
    asked = {"consumptions": consumptions, "site": site, "late": late, "most": CHANGES_MAX}
    return await tx.all(Change, SQL["changes"], asked)


def balances(
    of: Iterable[Meter], used: Mapping[int | None, Decimal | None], limit_percent: Decimal = LOSS_LIMIT_PERCENT
) -> dict[str, Balance]:
    """Compare each meter that has sub-meters of its commodity and unit with them, for one period; by its code.

    ``used`` is what each counter counted, by its point; what is not there is missing.
    """
    every = list(of)
    found: dict[str, Balance] = {}
    for main in every:
        below = [
            m for m in every if m.parent_id == main.device_id and (m.commodity, m.unit) == (main.commodity, main.unit)
        ]
        if below:
            known = {sub.code: used.get(sub.point_id) for sub in below}
            found[main.code] = balance((main.code, used.get(main.point_id)), known, limit_percent, _coarse(main, below))
    return found


def _coarse(main: Meter, below: Sequence[Meter]) -> Decimal:
    """Give what the steps of the faces alone may make of a difference."""
    return sum((one.resolution * one.multiplier for one in (main, *below)), Decimal(0))


async def demands(
    tx: Transaction, meter: Meter, period: Period, step: timedelta = QUARTER, every: timedelta | None = None
) -> list[Block]:
    """Give a meter's demand block by block; none where its course cannot be followed."""
    try:
        return demand(await series(tx, meter, period, every or step), period, meter.zone, step, every)
    except DoubtError:
        return []
