"""One tenant: facts, leases, contacts, bank accounts.  A whole account number is shown to few, one at a time."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.audit import service as audit
from hub.errors import NotFoundError
from hub.leases import parties
from hub.leases import service as leases
from hub.leases.rows import Card
from hub.store.database import Transaction
from web.export import table
from web.session import BillingVisit, LeasesVisit, Needs, Visit

router = APIRouter()

BankVisit = Annotated[Visit, Depends(Needs(Right.SEE_BANK_ACCOUNTS))]
Line = Annotated[str, Form(max_length=254)]


@router.get("/tenants/{code}")
async def one(visit: LeasesVisit, code: str) -> HTMLResponse:
    """Show a tenant with his leases, contacts and accounts."""
    async with visit.transaction() as tx:
        return await _page(visit, tx, code, {})


async def _page(visit: Visit, tx: Transaction, code: str, shown: dict[UUID, str]) -> HTMLResponse:
    tenant = await parties.tenant(tx, code)
    said: dict[str, Any] = {
        "tenant": tenant,
        "leases": await leases.leases(tx, tenant_id=tenant.id),
        "contacts": await parties.contacts(tx, tenant.id),
        "accounts": await parties.bank_accounts(tx, tenant.id),
        "shown": shown,
    }
    return await visit.page(tx, "console/tenant.html", **said)


@router.get("/tenants/{code}/contacts.csv")
async def export(visit: LeasesVisit, code: str) -> Response:
    """Give the contacts as CSV; it is recorded."""
    async with visit.transaction() as tx:
        tenant = await parties.tenant(tx, code)
        found = await parties.contacts(tx, tenant.id)
        await audit.record(tx, "exported the contacts of", "tenant", tenant.id, {"rows": len(found)})
    return table("contacts", [
        {"name": c.name, "position": c.position, "phone": c.phone, "email": c.email} for c in found
    ])  # fmt: skip


def _card(name: Line = "", position: Line = "", phone: Line = "", email: Line = "") -> Card:
    return Card(name.strip(), position.strip(), phone.strip(), email.strip())


Filled = Annotated[Card, Depends(_card)]


@router.post("/tenants/{code}/contacts")
async def add_contact(visit: BillingVisit, code: str, card: Filled) -> Response:
    """Add a contact."""
    async with visit.transaction() as tx:
        tenant = await parties.tenant(tx, code)
        await parties.add_contact(tx, tenant.id, card, visit.now)
    return visit.go(f"/tenants/{tenant.code}")


@router.post("/tenants/{code}/contacts/{contact_id}")
async def change_contact(
    visit: BillingVisit, code: str, contact_id: UUID, verb: Annotated[str, Form()], card: Filled
) -> Response:
    """Correct a contact, or remove him."""
    async with visit.transaction() as tx:
        tenant = await parties.tenant(tx, code)
        if contact_id not in {contact.id for contact in await parties.contacts(tx, tenant.id)}:
            raise NotFoundError("There is no such contact.")
        if verb == "remove":
            await parties.remove_contact(tx, contact_id)
        else:
            await parties.change_contact(tx, contact_id, card)
    return visit.go(f"/tenants/{tenant.code}")


@router.post("/tenants/{code}/accounts")
async def add_account(
    visit: BankVisit, code: str, holder: Line, bank: Line, number: Annotated[str, Form(max_length=60)]
) -> Response:
    """Add a bank account."""
    async with visit.transaction() as tx:
        tenant = await parties.tenant(tx, code)
        await parties.add_bank_account(tx, tenant.id, holder.strip(), bank.strip(), number, visit.now)
    return visit.go(f"/tenants/{tenant.code}")


@router.post("/tenants/{code}/accounts/{account_id}/show")
async def show_account(visit: BankVisit, code: str, account_id: UUID) -> HTMLResponse:
    """Show one account's whole number; it is recorded."""
    async with visit.transaction() as tx:
        await _check_account(tx, code, account_id)
        return await _page(visit, tx, code, {account_id: await parties.whole_number(tx, account_id)})


@router.post("/tenants/{code}/accounts/{account_id}/end")
async def end_account(visit: BankVisit, code: str, account_id: UUID) -> Response:
    """Say that an account is no longer used."""
    async with visit.transaction() as tx:
        await _check_account(tx, code, account_id)
        await parties.end_bank_account(tx, account_id, visit.now)
    return visit.go(f"/tenants/{code}")


async def _check_account(tx: Transaction, code: str, account_id: UUID) -> None:
    tenant = await parties.tenant(tx, code)
    if account_id not in {account.id for account in await parties.bank_accounts(tx, tenant.id)}:
        raise NotFoundError("There is no such bank account.")
