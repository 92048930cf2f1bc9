"""Enter tenants and leases, and look them up."""

from datetime import date
from uuid import UUID

from hub.audit import service as audit
from hub.errors import ConflictError, NotFoundError
from hub.leases.rows import Lease, LeaseMeter, LeaseUnit, Tenant
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.site import Lease as LeaseEntry
from rules.model.site import SiteFile

SQL = queries(__package__)
OF_TENANT = ("name_zh", "name_en", "tax_number", "address")
CORRECTABLE = ("end_on", "rent_per_m2_month", "rent_tax", "electricity_tariff", "water_tariff", "due_days")


async def register(tx: Transaction, site_id: UUID, file: SiteFile) -> int:
    """Enter the tenants and leases of a site file, after its units; gives the number of leases.

    What is there already is brought up to date, bills already made stay as they are.  Raises ConflictError when
    the file gives a known lease other units, another tenant or another start: that is another lease.
    """
    known = {one.code: one for one in await tenants(tx)}
    await tx.run_many(SQL["put_tenant"], [tenant.model_dump() for tenant in file.tenant])
    for tenant in await tenants(tx):
        if different := audit.differences(known.get(tenant.code, tenant), tenant, *OF_TENANT):
            await audit.record(tx, "changed", "tenant", tenant.id, different)
    before = {one.code: one for one in await leases(tx)}
    for said in file.lease:
        lease_id: UUID = await tx.value(SQL["put_lease"], {**said.model_dump(exclude={"units"}), "site": site_id})
        units = [{"lease": lease_id, "site": site_id, "unit": unit} for unit in said.units]
        await tx.run_many(SQL["put_lease_unit"], units)
        held = await lease(tx, lease_id)
        _check_same(held, said, site_id)
        changed = audit.differences(before.get(said.code, held), held, *CORRECTABLE)
        if changed:
            await audit.record(tx, "changed", "lease", lease_id, changed)
    await audit.record(tx, "registered leases", "site", site_id, {"leases": [said.code for said in file.lease]})
    return len(file.lease)


def _check_same(held: Lease, said: LeaseEntry, site_id: UUID) -> None:
    if held.site_id != site_id:
        raise ConflictError(f"Lease '{said.code}' belongs to another site; give this one another code.")
    if held.units != sorted(said.units):
        raise ConflictError(
            f"Lease '{said.code}' was entered with other units than {', '.join(sorted(said.units))}; "
            "the file cannot take a unit away from it."
        )
    if (held.tenant_code, held.start_on) != (said.tenant, said.start):
        raise ConflictError(
            f"Lease '{said.code}' was entered for tenant '{held.tenant_code}' from {held.start_on}; "
            "for another tenant or start, end it and enter a lease of another code."
        )


async def tenants(tx: Transaction) -> list[Tenant]:
    """Give every tenant."""
    return await tx.all(Tenant, SQL["tenants"], {"id": None})


async def tenant(tx: Transaction, tenant_id: UUID) -> Tenant:
    """Give one tenant; raises NotFoundError."""
    return await tx.one(Tenant, SQL["tenants"], {"id": tenant_id}, what="tenant")


async def leases(
    tx: Transaction, site_id: UUID | None = None, tenant_id: UUID | None = None, days: tuple[date, date] | None = None
) -> list[Lease]:
    """Give the leases (of a site, of a tenant, in force between ``days``: the first and the day after the last)."""
    first, past = days or (None, None)
    asked = {"id": None, "site": site_id, "tenant": tenant_id, "first": first, "past": past}
    return await tx.all(Lease, SQL["leases"], asked)


async def lease(tx: Transaction, lease_id: UUID) -> Lease:
    """Give one lease; raises NotFoundError."""
    asked = {"id": lease_id, "site": None, "tenant": None, "first": None, "past": None}
    found = await tx.maybe(Lease, SQL["leases"], asked)
    if found is None:
        raise NotFoundError("There is no such lease.")
    return found


async def lease_units(tx: Transaction, lease_id: UUID) -> list[LeaseUnit]:
    """Give the units of a lease."""
    return await tx.all(LeaseUnit, SQL["lease_units"], {"lease": lease_id})


async def lease_meters(tx: Transaction, lease_id: UUID) -> list[LeaseMeter]:
    """Give the meters that measure units of a lease."""
    return await tx.all(LeaseMeter, SQL["lease_meters"], {"lease": lease_id})
