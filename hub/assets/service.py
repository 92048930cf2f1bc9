"""Register what a site file says is there, and look it up."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import psycopg

from hub.assets.rows import Device, Gateway, Point, Quarantined, Site, Space
from hub.audit import service as audit
from hub.errors import ConflictError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.site import Organisation, SiteFile

SQL = queries(__package__)
Kept = Site | Space | Device

REASONS_MAX = 100
# What the record keeps of a change, with before and after.
OF_SITE = ("name_zh", "name_en", "timezone")
OF_SPACE = ("parent_id", "name_zh", "name_en", "level", "area_m2")
OF_DEVICE = ("gateway_id", "space_id", "parent_id", "name_zh", "name_en", "profile", "role", "commodity", "multiplier")


def open_organisation(owner_dsn: str, organisation: Organisation) -> UUID:
    """Make sure that the organisation is there and give its id; needs the owner of the schema, like a migration."""
    with psycopg.connect(owner_dsn) as connection:
        found = connection.execute(SQL["open_organisation"], organisation.model_dump()).fetchone()
        assert found is not None
        organisation_id: UUID = found[0]
        return organisation_id


async def register(tx: Transaction, file: SiteFile) -> UUID:
    """Enter everything physical of a site file; what is there already is brought up to date.  Gives the site's id.

    Raises ConflictError for a device of another site.
    """
    before = {device.code: device for device in await devices(tx)}
    known = {one.code: one for one in await sites(tx)}
    site: UUID = await tx.value(SQL["put_site"], file.site.model_dump())
    rooms = {space.id: space for space in await spaces(tx, site)}
    await tx.run_many(SQL["put_space"], _spaces(site, file))
    await tx.run_many(SQL["put_gateway"], [{"site": site, "code": gateway.code} for gateway in file.gateway])
    gateways = {line.code: line.gateway for line in file.line}
    rows = [
        {
            **device.model_dump(include={"code", "name_zh", "name_en", "profile", "role", "commodity", "multiplier"}),
            "site": site,
            "gateway": gateways[device.line],
            "space": device.space,
        }
        for device in file.device
    ]
    strays = [code for row in rows if (code := str(row["code"])) in before and before[code].site_id != site]
    if strays:
        raise ConflictError(f"Device '{strays[0]}' stands at another site; give this one another code.")
    await tx.run_many(SQL["put_device"], rows)
    parents = [{"site": site, "code": d.code, "parent": d.parent} for d in file.device if d.parent]
    await tx.run_many(SQL["set_parent"], parents)
    served = [{"site": site, "device": d.code, "unit": unit} for d in file.device for unit in d.serves]
    await tx.run_many(SQL["put_device_unit"], served)
    await audit.record(tx, "registered", "site", site, {"code": file.site.code, "devices": len(rows)})
    await _record_changes(tx, "site", known.values(), await sites(tx), OF_SITE)
    await _record_changes(tx, "space", rooms.values(), await spaces(tx, site), OF_SPACE)
    await _record_changes(tx, "device", before.values(), await devices(tx, site), OF_DEVICE)
    return site


async def _record_changes(
    tx: Transaction, entity: str, before: Iterable[Kept], after: Iterable[Kept], names: Sequence[str]
) -> None:
    held = {one.id: one for one in before}
    for one in after:
        if changed := audit.differences(held.get(one.id, one), one, *names):
            await audit.record(tx, "changed", entity, one.id, changed)


def _spaces(site: UUID, file: SiteFile) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []

    def add(kind: str, parent: str | None, code: str, names: tuple[str, str], level: int, area: Decimal | None) -> None:
        rows.append({"site": site, "parent": parent, "kind": kind, "code": code, "name_zh": names[0],
                     "name_en": names[1], "level": level, "area_m2": area})  # fmt: skip

    levels: dict[str, int] = {}
    for building in file.building:
        add("building", None, building.code, (building.name_zh, building.name_en), 0, None)
        for level, floor in enumerate(building.floors, 1):
            levels[floor.code] = level
            add("floor", building.code, floor.code, (floor.name_zh, floor.name_en), level, None)
    for unit in file.unit:
        add("unit", unit.floor, unit.code, (unit.code, unit.code), levels[unit.floor], unit.area_m2)
    return rows


async def sites(tx: Transaction) -> list[Site]:
    """Give the organisation's sites."""
    return await tx.all(Site, SQL["sites"])


async def site(tx: Transaction, code: str | None = None) -> Site:
    """Give the site of that code, or the first; raises NotFoundError."""
    found = await tx.all(Site, SQL["sites"])
    for one in found:
        if code is None or one.code == code:
            return one
    raise NotFoundError(f"There is no site '{code}'." if code else "No site is registered yet.")


async def spaces(tx: Transaction, site_id: UUID) -> list[Space]:
    """Give a site's buildings, floors and units, lowest level first."""
    return await tx.all(Space, SQL["spaces"], {"site": site_id})


async def gateways(tx: Transaction) -> list[Gateway]:
    """Give every gateway with its health."""
    return await tx.all(Gateway, SQL["gateways"])


async def devices(tx: Transaction, site_id: UUID | None = None) -> list[Device]:
    """Give every device (of one site)."""
    return await tx.all(Device, SQL["devices"], {"site": site_id})


async def points(tx: Transaction, device_id: UUID | None = None) -> list[Point]:
    """Give every point (of one device)."""
    return await tx.all(Point, SQL["points"], {"device": device_id})


async def quarantined(tx: Transaction, since: datetime) -> list[Quarantined]:
    """Count what arrived after ``since`` and could not be used, by reason."""
    return await tx.all(Quarantined, SQL["quarantined"], {"since": since, "most": REASONS_MAX})
