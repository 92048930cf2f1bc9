"""Rows of tenants and leases."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Tenant:
    """A party that leases, with how many leases it has had."""

    id: UUID
    code: str
    name_zh: str
    name_en: str
    tax_number: str
    address: str
    leases: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease with its tenant; ``units`` are codes, ``area_m2`` their contracted sum, ``end_on`` the last day."""

    id: UUID
    site_id: UUID
    tenant_id: UUID
    code: str
    start_on: date
    end_on: date
    rent_per_m2_month: Decimal
    rent_tax: str
    proration: str
    electricity_tariff: str | None
    water_tariff: str | None
    due_days: int
    tenant_code: str
    tenant_zh: str
    tenant_en: str
    units: list[str]
    area_m2: Decimal


@dataclass(frozen=True, slots=True)
class LeaseUnit:
    """One unit of a lease with the area as contracted."""

    space_id: UUID
    code: str
    area_m2: Decimal


@dataclass(frozen=True, slots=True)
class LeaseMeter:
    """A meter that measures units of a lease; ``stray`` are the units it measures beyond them."""

    device_id: UUID
    code: str
    name_zh: str
    name_en: str
    commodity: str
    multiplier: Decimal
    stray: list[str]


@dataclass(frozen=True, slots=True)
class Card:
    """What stands on a contact's card: his name, what he is at the tenant, how to reach him."""

    name: str
    position: str = ""
    phone: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to speak to at a tenant."""

    id: UUID
    name: str
    position: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class BankAccount:
    """A tenant's bank account; ``masked`` shows the last four characters of its number."""

    id: UUID
    holder: str
    bank: str
    masked: str
    added_at: datetime
    ended_at: datetime | None
