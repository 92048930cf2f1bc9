"""A tenant's own leases and invoices; row-level security shows him no others."""

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from hub.billing import service as billing
from hub.leases import parties
from hub.leases import service as leases
from web.export import table
from web.session import PapersVisit

router = APIRouter()


@router.get("/papers")
async def show(visit: PapersVisit) -> HTMLResponse:
    """Show what the tenant has signed and what he owes."""
    async with visit.transaction() as tx:
        said = {
            "leases": await leases.leases(tx),
            "invoices": await billing.invoices(tx),
            "accounts": await parties.bank_accounts(tx, visit.who.tenant_id) if visit.who.tenant_id else [],
        }
        return await visit.page(tx, "portal/papers.html", **said)


@router.get("/papers.csv")
async def export(visit: PapersVisit) -> Response:
    """Give the invoices as CSV."""
    async with visit.transaction() as tx:
        found = await billing.invoices(tx)
    return table("invoices", [
        {"invoice": one.number, "lease": one.lease, "period_start": one.period_start, "period_end": one.period_end,
         "issued_on": one.issued_on, "due_on": one.due_on, "currency": one.currency, "net": one.net, "tax": one.tax,
         "total": one.total} for one in found
    ])  # fmt: skip
