"""Tenants, leases, invoices; preview and run of a month."""

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.assets import service as assets
from hub.billing import paper
from hub.billing import service as billing
from hub.billing.rows import Invoice
from hub.errors import InvalidError, NotFoundError
from hub.leases import service as leases
from hub.leases.rows import Lease
from hub.store.database import Transaction
from rules.model.period import month_start
from web.export import table
from web.session import BillingVisit, InvoiceVisit, LeasesVisit, zone_of

router = APIRouter()


def last_month(now: datetime, zone: ZoneInfo) -> str:
    """Give the month that was over last, as a form's month field writes it."""
    local = now.astimezone(zone)
    return f"{month_start(local.year, local.month - 1):%Y-%m}"


def _month(text: str) -> tuple[int, int]:
    try:
        found = datetime.strptime(text, "%Y-%m")  # noqa: DTZ007 - a month, not a moment
    except ValueError:
        raise InvalidError(f"'{text[:20]}' is not a month; write it like 2026-01.") from None
    return found.year, found.month


@router.get("/tenants")
async def tenants(visit: LeasesVisit) -> HTMLResponse:
    """Show every tenant."""
    async with visit.transaction() as tx:
        return await visit.page(tx, "console/tenants.html", tenants=await leases.tenants(tx))


@router.get("/tenants.csv")
async def export_tenants(visit: LeasesVisit) -> Response:
    """Give the tenants as CSV."""
    async with visit.transaction() as tx:
        found = await leases.tenants(tx)
    return table("tenants", [
        {"tenant": t.code, "name_zh": t.name_zh, "name_en": t.name_en, "tax_number": t.tax_number,
         "address": t.address, "leases": t.leases} for t in found
    ])  # fmt: skip


@router.get("/leases")
async def all_leases(visit: LeasesVisit, tenant: str = "") -> HTMLResponse:
    """Show every lease, or those of a tenant."""
    async with visit.transaction() as tx:
        found = [lease for lease in await leases.leases(tx) if tenant in ("", lease.tenant_code)]
        parked = await billing.parked(tx)
        return await visit.page(tx, "console/leases.html", leases=found, tenant=tenant, parked=parked)


@router.get("/leases.csv")
async def export_leases(visit: LeasesVisit, tenant: str = "") -> Response:
    """Give the leases as CSV."""
    async with visit.transaction() as tx:
        found = [lease for lease in await leases.leases(tx) if tenant in ("", lease.tenant_code)]
    return table("leases", [_lease_cells(lease) for lease in found])


@router.get("/leases/{code}")
async def one_lease(visit: LeasesVisit, code: str) -> HTMLResponse:
    """Show one lease with units, meters and invoices."""
    async with visit.transaction() as tx:
        lease = await lease_of(tx, code)
        said = {
            "lease": lease,
            "units": await leases.lease_units(tx, lease.id),
            "meters": await leases.lease_meters(tx, lease.id),
            "invoices": await billing.invoices(tx, lease_id=lease.id),
        }
        return await visit.page(tx, "console/lease.html", **said)


async def lease_of(tx: Transaction, code: str) -> Lease:
    """Give the lease of that code; raises NotFoundError."""
    for lease in await leases.leases(tx):
        if lease.code == code:
            return lease
    raise NotFoundError("There is no such lease.")


@router.get("/invoices")
async def invoices(visit: LeasesVisit) -> HTMLResponse:
    """Show the invoices, what is parked, and the month-end run."""
    async with visit.transaction() as tx:
        said = {
            "invoices": await billing.invoices(tx),
            "parked": await billing.parked(tx),
            "month": last_month(visit.now, await zone_of(tx)),
        }
        return await visit.page(tx, "console/invoices.html", **said)


@router.get("/invoices.csv")
async def export_invoices(visit: LeasesVisit) -> Response:
    """Give the invoices as CSV."""
    async with visit.transaction() as tx:
        return table("invoices", [_invoice_cells(one) for one in await billing.invoices(tx)])


@router.get("/invoices/run")
async def preview(visit: BillingVisit, month: str) -> HTMLResponse:
    """Show what the run of a month would bill."""
    async with visit.transaction() as tx:
        found = await billing.preview(tx, await assets.site(tx), *_month(month), visit.now)
        return await visit.page(tx, "console/bill_run.html", found=found, month=month, done=False)


@router.post("/invoices/run")
async def run(visit: BillingVisit, month: Annotated[str, Form()]) -> HTMLResponse:
    """Bill a month; a second run adds nothing."""
    async with visit.transaction() as tx:
        found = await billing.run_month(tx, await assets.site(tx), *_month(month), visit.now)
        return await visit.page(tx, "console/bill_run.html", found=found, month=month, done=True)


@router.get("/invoices/{number}.pdf")
async def pdf(visit: InvoiceVisit, number: str) -> Response:
    """Give an invoice as PDF."""
    async with visit.transaction() as tx:
        body = await paper.pdf(tx, await billing.numbered(tx, number), visit.language)
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"'}
    return Response(body, media_type="application/pdf", headers=headers)


@router.get("/invoices/{number}")
async def invoice(visit: InvoiceVisit, number: str) -> HTMLResponse:
    """Show an invoice, each line with what it stands on."""
    async with visit.transaction() as tx:
        view = await billing.invoice_view(tx, await billing.numbered(tx, number))
        sees_points = visit.who.may(Right.SEE_POINTS)
        return await visit.page(tx, "console/invoice.html", view=view, sees_points=sees_points)


def _lease_cells(lease: Lease) -> dict[str, Any]:
    return {
        "lease": lease.code, "tenant": lease.tenant_code, "tenant_zh": lease.tenant_zh, "tenant_en": lease.tenant_en,
        "units": " ".join(lease.units), "area_m2": lease.area_m2, "start_on": lease.start_on, "end_on": lease.end_on,
        "rent_per_m2_month": lease.rent_per_m2_month, "electricity_tariff": lease.electricity_tariff,
        "water_tariff": lease.water_tariff, "due_days": lease.due_days,
    }  # fmt: skip


def _invoice_cells(one: Invoice) -> dict[str, Any]:
    return {
        "invoice": one.number, "lease": one.lease, "tenant_zh": one.tenant_zh, "tenant_en": one.tenant_en,
        "period_start": one.period_start, "period_end": one.period_end, "issued_on": one.issued_on,
        "due_on": one.due_on, "currency": one.currency, "net": one.net, "tax": one.tax, "total": one.total,
        "estimated": one.estimated,
    }  # fmt: skip
