"""What decides a bill leaves a trace when it changes: leases, meters, the way a counter is read."""

from decimal import Decimal

import pytest

from hub.assets import service as assets
from hub.audit import service as audit
from hub.errors import ConflictError
from hub.leases import service as leases
from hub.store.database import Database, Role
from tests.builders import ENGINEER, Park


async def test_a_corrected_lease_and_meter_are_recorded_with_before_and_after(database: Database, park: Park) -> None:
    file = park.file
    lease = file.lease[0].model_copy(update={"rent_per_m2_month": Decimal("181.5"), "due_days": 20})
    meter = next(d for d in file.device if d.code == "EM-A-101").model_copy(update={"multiplier": Decimal(40)})
    device = tuple(meter if d.code == meter.code else d for d in file.device)
    changed = file.model_copy(update={"lease": (lease, *file.lease[1:]), "device": device})
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, file)
        for _ in range(2):  # the second time nothing changes
            await assets.register(tx, changed)
            await leases.register(tx, park.site, changed)
        held = next(one for one in await leases.leases(tx) if one.code == lease.code)
        (of_lease,) = await audit.of_entity(tx, "lease", held.id)
        (of_meter,) = await audit.of_entity(tx, "device", park.devices["EM-A-101"])
    old = file.lease[0]
    assert of_lease.details["changed"] == {
        "rent_per_m2_month": [f"{old.rent_per_m2_month:.4f}", "181.5000"],
        "due_days": [str(old.due_days), "20"],
    }
    assert of_meter.details["changed"] == {"multiplier": ["1.0000", "40.0000"]}


async def test_a_site_a_space_and_a_tenant_that_changed_are_recorded_with_before_and_after(
    database: Database, park: Park
) -> None:
    file = park.file
    tenant = file.tenant[0].model_copy(update={"address": "1 New Road"})
    unit = file.unit[0].model_copy(update={"area_m2": Decimal("99.5")})
    site = file.site.model_copy(update={"name_en": "River Park"})
    changed = file.model_copy(
        update={"site": site, "unit": (unit, *file.unit[1:]), "tenant": (tenant, *file.tenant[1:])}
    )
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, file)
        await assets.register(tx, changed)
        await leases.register(tx, park.site, changed)
        space = next(one for one in await assets.spaces(tx, park.site) if one.code == unit.code)
        held = next(one for one in await leases.tenants(tx) if one.code == tenant.code)
        (of_space,) = await audit.of_entity(tx, "space", space.id)
        (of_tenant,) = await audit.of_entity(tx, "tenant", held.id)
        of_site = [act.details for act in await audit.of_entity(tx, "site", park.site) if act.action == "changed"]
    assert of_space.details["changed"] == {"area_m2": [f"{file.unit[0].area_m2:.2f}", "99.50"]}
    assert of_tenant.details["changed"] == {"address": [file.tenant[0].address, "1 New Road"]}
    assert of_site == [{"changed": {"name_en": [file.site.name_en, "River Park"]}}]


async def test_a_gateway_that_reads_a_counter_otherwise_than_before_leaves_a_trace(
    database: Database, park: Park
) -> None:
    point = park.points["EM-A-101.energy"]
    async with database.transaction(None, role=Role.INGEST) as tx:
        for resolution in ("0.01", "0.1"):  # the first is what it was
            await tx.run(b"UPDATE points SET resolution = %(r)s WHERE id = %(id)s", {"r": resolution, "id": point})
    async with database.transaction(park.organisation, ENGINEER) as tx:
        (entry,) = await audit.of_entity(tx, "point", point)
    assert entry.actor == "plantroom_ingest"
    assert entry.details == {"changed": {"resolution": [0.01, 0.1]}}


async def test_a_second_site_takes_neither_the_devices_nor_the_leases_of_the_first(
    database: Database, park: Park
) -> None:
    site = park.file.site.model_copy(update={"code": "HILLSIDE"})
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file)
        second = park.file.model_copy(update={"site": site, "device": (), "gateway": (), "line": ()})
        hillside = await assets.register(tx, second)
        with pytest.raises(ConflictError, match="belongs to another site"):
            await leases.register(tx, hillside, second)
        with pytest.raises(ConflictError, match="stands at another site"):
            await assets.register(tx, park.file.model_copy(update={"site": site}))
