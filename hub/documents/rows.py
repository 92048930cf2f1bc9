"""What a printed invoice says: text only, already in the reader's language and the site's time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Party:
    """Who bills, or who is billed."""

    name: str
    tax_number: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class PrintedReading:
    """A counter reading at one end of the period."""

    at: str
    value: str
    estimated: bool


@dataclass(frozen=True, slots=True)
class PrintedBand:
    """One row of a band table."""

    band: str
    version: str
    quantity: str
    price: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedMeter:
    """The two readings and the prices behind a metered line."""

    meter: str
    start: PrintedReading
    end: PrintedReading
    multiplier: str
    tariff: str
    bands: tuple[PrintedBand, ...]


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """One line; ``meter`` is None for rent, ``note`` says how rent was counted."""

    description: str
    quantity: str
    unit: str
    amount: str
    tax_rate: str
    tax: str
    note: str
    meter: PrintedMeter | None


@dataclass(frozen=True, slots=True)
class PrintedTax:
    """What the lines of one rate sum to."""

    rate: str
    net: str
    tax: str


@dataclass(frozen=True, slots=True)
class PrintedInvoice:
    """A whole invoice; ``language`` is zh or en, ``issued_on`` an ISO date."""

    language: str
    number: str
    site: str
    issuer: Party
    tenant: Party
    lease: str
    period: str
    issued_on: str
    due_on: str
    currency: str
    lines: tuple[PrintedLine, ...]
    taxes: tuple[PrintedTax, ...]
    net: str
    tax: str
    total: str
