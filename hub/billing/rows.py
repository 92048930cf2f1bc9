"""Rows of billing: charges, invoices, what was parked; and drafts, which are charges before they are written."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from hub.leases.rows import Lease, Tenant
from hub.ledger.rows import PostingLine
from rules.money.invoice import Totals

Evidence = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CounterPoint:
    """The counter of a meter."""

    id: int
    code: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None


@dataclass(frozen=True, slots=True)
class StoredReading:
    """One usable stored reading of a counter."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Draft:
    """A charge as it would be billed; ``tax_rate`` in per cent, money rounded, days half-open."""

    kind: str
    device_id: UUID | None
    meter: str | None
    period_start: date
    period_end: date
    description_zh: str
    description_en: str
    quantity: Decimal
    unit: str
    estimated: bool
    amount: Decimal
    tax_code: str
    tax_rate: Decimal
    tax: Decimal
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """What a lease would be billed for a month, by the same path that bills it."""

    lease: Lease
    currency: str
    period_start: date
    period_end: date
    issued_on: date
    due_on: date
    charges: tuple[Draft, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a lease cannot be billed for a month."""

    lease: Lease
    reason_zh: str
    reason_en: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A billed line; ``tax_rate`` in per cent, ``amount`` net; ``meter`` is the device's code, None for rent."""

    id: UUID
    invoice_id: UUID
    kind: str
    device_id: UUID | None
    meter: str | None
    period_start: date
    period_end: date
    line: int
    description_zh: str
    description_en: str
    quantity: Decimal
    unit: str
    estimated: bool
    amount: Decimal
    tax_code: str
    tax_rate: Decimal
    tax: Decimal
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice with whom it is for; ``period_end`` is the first day after, ``net + tax = total``."""

    id: UUID
    site_id: UUID
    tenant_id: UUID
    lease_id: UUID
    number: str
    period_start: date
    period_end: date
    issued_on: date
    due_on: date
    currency: str
    net: Decimal
    tax: Decimal
    total: Decimal
    lease: str
    tenant_zh: str
    tenant_en: str
    estimated: bool


@dataclass(frozen=True, slots=True)
class Parked:
    """A lease that a run could not bill, and why."""

    lease_id: UUID
    lease: str
    tenant_zh: str
    tenant_en: str
    period_start: date
    reason_zh: str
    reason_en: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """What a month-end run found: ``issued`` are new, ``kept`` were there before, ``parked`` wait for a person."""

    issued: tuple[Invoice, ...]
    kept: tuple[Invoice, ...]
    parked: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, without doing it."""

    drafts: tuple[InvoiceDraft, ...]
    kept: tuple[Invoice, ...]
    parked: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """Everything that a page or a printed bill shows of one invoice."""

    invoice: Invoice
    tenant: Tenant
    lease: Lease
    charges: tuple[Charge, ...]
    totals: Totals
    posting: tuple[PostingLine, ...]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who bills, for which site, in which time zone."""

    organisation_zh: str
    organisation_en: str
    site_zh: str
    site_en: str
    timezone: str
