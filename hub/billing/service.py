"""Bill: preview and run a month, look up invoices and what they stand on."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.assets.rows import Site
from hub.audit import service as audit
from hub.billing.book import Book, book
from hub.billing.draft import Month, check_billed, draft
from hub.billing.rows import Charge, Doubt, Invoice, InvoiceDraft, InvoiceView, Parked, Preview, Run
from hub.errors import InvalidError, NotFoundError
from hub.leases import service as leases
from hub.ledger import service as ledger
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.doubt import DoubtError
from rules.money.invoice import Taxed, number, total
from rules.money.posting import account_of, invoice_posting

SQL = queries(__package__)
INVOICES_MAX = 500  # on one list
LEASES_MAX = 50_000  # billed in one run


async def preview(
    tx: Transaction, site: Site, year: int, month: int, now: datetime, rules: Book | None = None
) -> Preview:
    """Say what ``run_month`` would bill; writes nothing.  Raises InvalidError when the month is not over."""
    found = Month.of(site, year, month, now)
    if now < found.period.end:
        raise InvalidError(f"{year}-{month:02d} is not over at {site.code} yet; bill it from {found.days.past} on.")
    kept = await _month_invoices(tx, found)
    billed = {invoice.lease_id: invoice for invoice in kept}
    drafts: list[InvoiceDraft] = []
    parked: list[Doubt] = []
    for lease in await leases.leases(tx, site.id, days=(found.days.first, found.days.past)):
        try:
            if lease.id in billed:
                check_billed(found, lease, billed[lease.id])
            else:
                drafts.append(await draft(tx, found, lease, rules or book()))
        except DoubtError as doubt:
            parked.append(Doubt(lease, doubt.zh, doubt.en))
    return Preview(tuple(drafts), tuple(kept), tuple(parked))


async def run_month(
    tx: Transaction, site: Site, year: int, month: int, now: datetime, rules: Book | None = None
) -> Run:
    """Bill a month of every lease in force that is not billed yet: charges, invoice, posting, in one transaction.

    Running it again adds nothing and gives what is there.  A lease in doubt is parked with the reason and billed by
    a later run when the doubt is gone.  Raises InvalidError when the month is not over.
    """
    found = Month.of(site, year, month, now)
    series = f"invoice/{site.code}/{found.issued_on.year}"
    await tx.value(SQL["lock_numbers"], {"series": series})
    await ledger.open_accounts(tx)
    planned = await preview(tx, site, year, month, now, rules)
    issued = [await _issue(tx, site, planned_one, series) for planned_one in planned.drafts]
    for doubt in planned.parked:
        await _park(tx, doubt, found.days.first, now)
    waiting = [doubt.lease.id for doubt in planned.parked]
    await tx.run(SQL["unpark"], {"site": site.id, "period_start": found.days.first, "parked": waiting})
    if issued or planned.parked:
        details = {"month": f"{year}-{month:02d}", "issued": len(issued), "parked": len(planned.parked)}
        await audit.record(tx, "billed", "site", site.id, details)
    return Run(tuple(issued), planned.kept, planned.parked)


async def _month_invoices(tx: Transaction, month: Month) -> list[Invoice]:
    return await _invoices(tx, LEASES_MAX, site=month.site.id, since=month.days.first, before=month.days.past)


async def _issue(tx: Transaction, site: Site, planned: InvoiceDraft, series: str) -> Invoice:
    ordinal: int = await tx.value(SQL["take_number"], {"series": series})
    said = number(site.code.upper(), planned.issued_on.year, ordinal)
    owner = {"tenant": planned.lease.tenant_id, "lease": planned.lease.id}
    head = {
        **owner,
        "site": site.id,
        "number": said,
        "period_start": planned.period_start,
        "period_end": planned.period_end,
        "issued_on": planned.issued_on,
        "due_on": planned.due_on,
        "currency": planned.currency,
        "net": planned.totals.net,
        "tax": planned.totals.tax,
        "total": planned.totals.gross,
        "lines": len(planned.charges),
    }
    invoice_id: UUID = await tx.value(SQL["add_invoice"], head)
    charges = [
        {**asdict(charge), **owner, "invoice": invoice_id, "line": n, "evidence": Jsonb(charge.evidence)}
        for n, charge in enumerate(planned.charges, 1)
    ]
    await tx.run_many(SQL["add_charge"], charges)
    await _post(tx, planned, invoice_id, said)
    details = {"number": said, "total": str(planned.totals.gross), "currency": planned.currency}
    await audit.record(tx, "issued", "invoice", invoice_id, details)
    return await invoice(tx, invoice_id)


async def _post(tx: Transaction, planned: InvoiceDraft, invoice_id: UUID, said: str) -> None:
    if planned.totals.net == planned.totals.tax == 0:
        return
    accounts = ledger.chart()
    incomes = [(account_of(accounts, f"income:{charge.kind}"), charge.amount) for charge in planned.charges]
    receivable, output_vat = account_of(accounts, "receivable"), account_of(accounts, "output_vat")
    await ledger.post(
        tx,
        invoice_posting(incomes, planned.totals.tax, planned.currency, receivable, output_vat),
        posted_on=planned.issued_on,
        source="invoice",
        source_id=invoice_id,
        description=said,
        tenant_id=planned.lease.tenant_id,
        lease_id=planned.lease.id,
    )


async def _park(tx: Transaction, doubt: Doubt, month_first: date, now: datetime) -> None:
    reasons = {"reason_zh": doubt.reason_zh, "reason_en": doubt.reason_en}
    await tx.run(SQL["park"], {**reasons, "lease": doubt.lease.id, "period_start": month_first, "now": now})
    await audit.record(tx, "parked", "lease", doubt.lease.id, {"month": f"{month_first:%Y-%m}", "why": doubt.reason_en})


async def _invoices(tx: Transaction, most: int = INVOICES_MAX, **filters: UUID | date | None) -> list[Invoice]:
    asked = {"id": None, "site": None, "lease": None, "tenant": None, "since": None, "before": None}
    return await tx.all(Invoice, SQL["invoices"], {**asked, **filters, "most": most})


async def invoices(
    tx: Transaction, site_id: UUID | None = None, lease_id: UUID | None = None, tenant_id: UUID | None = None
) -> list[Invoice]:
    """Give the newest invoices (of a site, a lease, a tenant), at most INVOICES_MAX."""
    return await _invoices(tx, site=site_id, lease=lease_id, tenant=tenant_id)


async def invoice(tx: Transaction, invoice_id: UUID) -> Invoice:
    """Give one invoice; raises NotFoundError."""
    asked = {"site": None, "lease": None, "tenant": None, "since": None, "before": None, "most": 1}
    return await tx.one(Invoice, SQL["invoices"], {**asked, "id": invoice_id}, what="invoice")


async def numbered(tx: Transaction, number: str) -> UUID:
    """Give the id of the invoice of that number; raises NotFoundError."""
    found: UUID | None = await tx.value(SQL["id_of_number"], {"number": number})
    if found is None:
        raise NotFoundError("There is no such invoice.")
    return found


async def charges(tx: Transaction, invoice_ids: Sequence[UUID]) -> list[Charge]:
    """Give the lines of some invoices."""
    return await tx.all(Charge, SQL["charges_of"], {"invoices": list(invoice_ids)})


async def invoice_view(tx: Transaction, invoice_id: UUID) -> InvoiceView:
    """Give an invoice with tenant, lease, lines and their evidence, totals per tax, posting; raises NotFoundError."""
    found = await invoice(tx, invoice_id)
    lines = await charges(tx, [invoice_id])
    return InvoiceView(
        invoice=found,
        tenant=await leases.tenant(tx, found.tenant_id),
        lease=await leases.lease(tx, found.lease_id),
        charges=tuple(lines),
        totals=total([Taxed(line.amount, line.tax, line.tax_code, line.tax_rate) for line in lines]),
        posting=tuple(await ledger.lines_of(tx, "invoice", invoice_id)),
    )


async def parked(tx: Transaction, site_id: UUID | None = None) -> list[Parked]:
    """Give the leases that wait for a person, with the reason."""
    return await tx.all(Parked, SQL["parked"], {"site": site_id, "most": INVOICES_MAX})


async def story(tx: Transaction, site_id: UUID | None = None) -> list[dict[str, Any]]:
    """Give every invoice as plain data: numbers as text, each metered line with its two readings (rent: null)."""
    found = await invoices(tx, site_id)
    lines: dict[UUID, list[dict[str, Any]]] = {one.id: [] for one in found}
    for charge in await charges(tx, [one.id for one in found]):
        lines[charge.invoice_id].append(_told(charge))
    return [
        {"number": one.number, "total": f"{one.total:f}", "currency": one.currency, "lines": lines[one.id]}
        for one in sorted(found, key=lambda one: one.number)
    ]


def _told(charge: Charge) -> dict[str, Any]:
    ends = {end: charge.evidence.get(end) for end in ("start", "end")}
    return {
        "kind": charge.kind,
        "meter": charge.meter,
        **{end: {"at": at["at"], "value": at["value"]} if at else None for end, at in ends.items()},
        "quantity": charge.evidence.get("quantity") or f"{charge.quantity:f}",
        "unit": charge.unit,
        "amount": f"{charge.amount:f}",
    }
