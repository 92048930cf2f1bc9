"""An invoice as it is printed: the view put into words of one language, in the site's time."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from hub.billing.rows import Charge, Evidence, InvoiceView, Issuer
from hub.billing.service import invoice_view
from hub.documents.rows import (
    Party,
    PrintedBand,
    PrintedInvoice,
    PrintedLine,
    PrintedMeter,
    PrintedReading,
    PrintedTax,
)
from hub.documents.service import invoice_pdf
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)


async def pdf(tx: Transaction, invoice_id: UUID, language: str) -> bytes:
    """Give an invoice as PDF in ``language`` (zh, en); raises NotFoundError or InvalidError."""
    view = await invoice_view(tx, invoice_id)
    issuer = await tx.one(Issuer, SQL["issuer"], {"site": view.invoice.site_id}, what="site")
    return await invoice_pdf(printed(view, issuer, language))


def printed(view: InvoiceView, issuer: Issuer, language: str) -> PrintedInvoice:
    """Put an invoice into words."""
    zh = language == "zh"
    invoice, tenant, zone = view.invoice, view.tenant, ZoneInfo(issuer.timezone)
    return PrintedInvoice(
        language=language,
        number=invoice.number,
        site=issuer.site_zh if zh else issuer.site_en,
        issuer=Party(issuer.organisation_zh if zh else issuer.organisation_en),
        tenant=Party(tenant.name_zh if zh else tenant.name_en, tenant.tax_number, tenant.address),
        lease=view.lease.code,
        period=f"{invoice.period_start} – {invoice.period_end - timedelta(days=1)}",
        issued_on=invoice.issued_on.isoformat(),
        due_on=invoice.due_on.isoformat(),
        currency=invoice.currency,
        lines=tuple(_line(charge, zone, invoice.currency, zh=zh) for charge in view.charges),
        taxes=tuple(PrintedTax(_short(t.percent), _money(t.net), _money(t.tax)) for t in view.totals.by_tax),
        net=_money(invoice.net),
        tax=_money(invoice.tax),
        total=_money(invoice.total),
    )


def _line(charge: Charge, zone: ZoneInfo, currency: str, *, zh: bool) -> PrintedLine:
    said = charge.evidence
    return PrintedLine(
        description=charge.description_zh if zh else charge.description_en,
        quantity=f"{Decimal(said['quantity']):,f}" if "quantity" in said else _short(charge.quantity),
        unit=charge.unit,
        amount=_money(charge.amount),
        tax_rate=_short(charge.tax_rate),
        tax=_money(charge.tax),
        note=_rent_note(said, currency, zh=zh) if charge.kind == "rent" else "",
        meter=None if charge.meter is None else _meter(charge.meter, said, zone, zh=zh),
    )


def _rent_note(said: Evidence, currency: str, *, zh: bool) -> str:
    price, days, of_days = said["units"][0]["price"], said["days"], said["of_days"]
    if zh:
        return f"每月 {currency} {_short(Decimal(price))}/m² · {days}/{of_days} 天"
    return f"{currency} {_short(Decimal(price))} per m² and month · {days} of {of_days} days"


def _meter(code: str, said: Evidence, zone: ZoneInfo, *, zh: bool) -> PrintedMeter:
    tariff = said["tariff"]
    return PrintedMeter(
        meter=code,
        start=_reading(said["start"], zone),
        end=_reading(said["end"], zone),
        multiplier=_short(Decimal(said["multiplier"])),
        tariff=tariff["name_zh"] if zh else tariff["name_en"],
        bands=tuple(
            PrintedBand(
                band["name_zh"] if zh else band["name_en"],
                band["version"],
                f"{Decimal(band['quantity']):,f}",
                band["price"],
                f"{Decimal(band['amount']):,f}",
            )
            for band in said["bands"]
        ),
    )


def _reading(said: Evidence, zone: ZoneInfo) -> PrintedReading:
    at = datetime.fromisoformat(said["at"]).astimezone(zone)
    return PrintedReading(f"{at:%Y-%m-%d %H:%M}", f"{Decimal(said['value']):,f}", said["estimated"])


def _money(amount: Decimal) -> str:
    return f"{amount:,f}"


def _short(number: Decimal) -> str:
    """Give a number without the zeros that only the column's type added."""
    return f"{number.normalize():,f}"
