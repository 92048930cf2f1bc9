"""Whom to speak to at a tenant, and his bank accounts: masked, and whole for few people, which is recorded.

The record names people by the ids of their rows, never by name: it outlives an erasure.
"""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID, uuid4

from psycopg.errors import CheckViolation, InsufficientPrivilege, UniqueViolation

from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.leases.rows import BankAccount, Card, Contact, Tenant
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)

CONTACTS_MAX = 200  # of one tenant
FILL_IN = "A contact has a name of at most 120 characters; a phone has at most 40, an e-mail address at most 254."
NO_NUMBER = "An account has a holder, a bank and a number of 8 to 34 digits and letters; correct it."


async def tenant(tx: Transaction, code: str) -> Tenant:
    """Give the tenant of that code; raises NotFoundError."""
    return await tx.one(Tenant, SQL["tenant_of_code"], {"code": code}, what="tenant")


async def contacts(tx: Transaction, tenant_id: UUID) -> list[Contact]:
    """Give the contacts of a tenant."""
    return await tx.all(Contact, SQL["contacts"], {"tenant": tenant_id, "most": CONTACTS_MAX})


async def add_contact(tx: Transaction, tenant_id: UUID, card: Card, now: datetime) -> UUID:
    """Add a contact; raises InvalidError, NotFoundError, or ConflictError where there are too many."""
    contact_id = uuid4()
    if len(await contacts(tx, tenant_id)) >= CONTACTS_MAX:
        raise ConflictError(f"A tenant has at most {CONTACTS_MAX} contacts; remove one first.")
    try:
        async with tx.connection.transaction():
            await tx.run(SQL["add_contact"], {"id": contact_id, "tenant": tenant_id, "now": now, **asdict(card)})
    except CheckViolation as error:
        raise InvalidError(FILL_IN) from error
    except InsufficientPrivilege as error:
        raise NotFoundError("There is no such tenant.") from error
    await audit.record(tx, "added", "contact", contact_id, {"tenant": str(tenant_id)})
    return contact_id


async def change_contact(tx: Transaction, contact_id: UUID, card: Card) -> None:
    """Correct a contact; raises NotFoundError or InvalidError."""
    before = await tx.one(Contact, SQL["contact"], {"id": contact_id}, what="contact")
    try:
        async with tx.connection.transaction():
            await tx.run(SQL["change_contact"], {"id": contact_id, **asdict(card)})
    except CheckViolation as error:
        raise InvalidError(FILL_IN) from error
    fields = [field for field, value in asdict(card).items() if getattr(before, field) != value]
    await audit.record(tx, "changed", "contact", contact_id, {"fields": fields})


async def remove_contact(tx: Transaction, contact_id: UUID) -> None:
    """Remove a contact; raises NotFoundError."""
    if not await tx.run(SQL["remove_contact"], {"id": contact_id}):
        raise NotFoundError("There is no such contact.")
    await audit.record(tx, "removed", "contact", contact_id)


async def bank_accounts(tx: Transaction, tenant_id: UUID) -> list[BankAccount]:
    """Give the bank accounts of a tenant, their numbers masked."""
    return await tx.all(BankAccount, SQL["bank_accounts"], {"tenant": tenant_id})


async def add_bank_account(
    tx: Transaction, tenant_id: UUID, holder: str, bank: str, number: str, now: datetime
) -> UUID:
    """Add a bank account; blanks and hyphens in the number do not count.  Raises InvalidError or ConflictError."""
    account_id = uuid4()
    said = {"id": account_id, "tenant": tenant_id, "holder": holder, "bank": bank, "now": now,
            "number": number.replace(" ", "").replace("-", "").upper()}  # fmt: skip
    try:
        async with tx.connection.transaction():
            await tx.run(SQL["add_bank_account"], said)
    except CheckViolation as error:
        raise InvalidError(NO_NUMBER) from error
    except UniqueViolation as error:
        raise ConflictError("This account of the tenant is known already.") from error
    except InsufficientPrivilege as error:
        raise NotFoundError("There is no such tenant.") from error
    await audit.record(tx, "added", "bank_account", account_id, {"tenant": str(tenant_id)})
    return account_id


async def end_bank_account(tx: Transaction, account_id: UUID, now: datetime) -> None:
    """Say that an account is no longer used; raises NotFoundError."""
    if not await tx.run(SQL["end_bank_account"], {"id": account_id, "now": now}):
        raise NotFoundError("There is no such bank account in use.")
    await audit.record(tx, "ended", "bank_account", account_id)


async def whole_number(tx: Transaction, account_id: UUID) -> str:
    """Give the whole number of an account, which is recorded; raises NotFoundError where it is not cleared for him."""
    found: str | None = await tx.value(SQL["whole_number"], {"id": account_id})
    if found is None:
        raise NotFoundError("There is no such bank account, or it is not for you to see whole.")
    await audit.record(tx, "saw whole", "bank_account", account_id)
    return found
