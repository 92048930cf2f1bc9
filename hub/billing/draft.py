"""Draft what a lease owes for a month: the one path that preview and run both take."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from hub.assets import commission
from hub.assets.rows import Site
from hub.billing import evidence
from hub.billing.book import Book
from hub.billing.rows import CounterPoint, Draft, Invoice, InvoiceDraft, StoredReading
from hub.errors import InvalidError
from hub.leases import service as leases
from hub.leases.rows import Lease, LeaseMeter
from hub.readings import exchanges
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.lease.rent import Convention, Days, monthly_rent, prorate
from rules.meter.consumption import accumulate, consume
from rules.meter.series import Counter, Series
from rules.meter.tariff import price
from rules.model.doubt import DoubtError
from rules.model.money import Rounding
from rules.model.period import Period, days_period, month_start
from rules.model.quality import USABLE, Quality
from rules.model.reading import Reading
from rules.money.invoice import Taxed, due_on, total
from rules.money.tax import tax_on

SQL = queries(__package__)

# Readings around the month that may help to estimate its ends, how far apart two may lie for that, and how close
# they must lie for the moment between them to count as read (a live poll never falls on midnight to the millisecond).
MARGIN = timedelta(days=2)
LONGEST_GAP = timedelta(days=2)
SETTLED_WITHIN = timedelta(minutes=1)
YEARS = (2000, 2100)
ROUNDING = Rounding()  # of the currency's cent, once per charge


@dataclass(frozen=True, slots=True)
class Month:
    """The month that is billed, and the local day on which its invoices are issued."""

    site: Site
    days: Days
    issued_on: date

    @classmethod
    def of(cls, site: Site, year: int, month: int, now: datetime) -> "Month":
        """Give a calendar month of the site; raises InvalidError for a year that no clock of ours counts."""
        if not YEARS[0] <= year <= YEARS[1]:
            raise InvalidError(f"{year} is not a year that is billed; take one from {YEARS[0]} to {YEARS[1]}.")
        days = Days(month_start(year, month), month_start(year, month + 1))
        return cls(site, days, now.astimezone(site.zone).date())

    @property
    def period(self) -> Period:
        """The month in UTC."""
        return self.within(self.days)

    def within(self, days: Days) -> Period:
        """Give some of its days in UTC."""
        return days_period(days.first, days.past, self.site.zone)

    def of_lease(self, lease: Lease) -> Days:
        """Give the days of the month on which a lease is in force."""
        return self.days.overlap(Days(lease.start_on, lease.end_on + timedelta(days=1)))


async def draft(tx: Transaction, month: Month, lease: Lease, book: Book) -> InvoiceDraft:
    """Draft the invoice of one lease; raises DoubtError when something cannot be decided."""
    days = month.of_lease(lease)
    await _check_rivals(tx, lease, days)
    charges = [await _rent(tx, month, lease, days, book)]
    meters = await leases.lease_meters(tx, lease.id)
    for commodity, tariff in (("electricity", lease.electricity_tariff), ("water", lease.water_tariff)):
        if tariff is None:
            continue
        chosen = [meter for meter in meters if meter.commodity == commodity]
        _check_meters(lease, commodity, chosen)
        charges.extend([await _metered(tx, month, meter, days, tariff, book) for meter in chosen])
    totals = total([Taxed(c.amount, c.tax, c.tax_code, c.tax_rate) for c in charges])
    return InvoiceDraft(
        lease,
        month.site.currency,
        days.first,
        days.past,
        month.issued_on,
        due_on(month.issued_on, lease.due_days),
        tuple(charges),
        totals,
    )


def check_billed(month: Month, lease: Lease, billed: Invoice) -> None:
    """Compare a bill with the lease as it is now; raises DoubtError when it was made out for other days."""
    days = month.of_lease(lease)
    if (days.first, days.past) == (billed.period_start, billed.period_end):
        return
    last = billed.period_end - timedelta(days=1)
    raise DoubtError(
        f"lease {lease.code} was billed from {billed.period_start} to {last} by {billed.number}, but its term in this "
        f"month now runs from {days.first} to {days.last}; settle the difference by hand.",
        f"租约 {lease.code} 已由 {billed.number} 按 {billed.period_start} 至 {last} 计费，"
        f"而现在本月租期为 {days.first} 至 {days.last}；请人工处理差额。",
    )


async def _check_rivals(tx: Transaction, lease: Lease, days: Days) -> None:
    asked = {"lease": lease.id, "first": days.first, "past": days.past}
    rivals: str | None = await tx.value(SQL["rivals"], asked)
    if rivals:
        raise DoubtError(
            f"lease {lease.code} shares a unit with {rivals} on days between {days.first} and {days.last}; "
            "correct the terms, or nobody knows who pays.",
            f"租约 {lease.code} 在 {days.first} 至 {days.last} 期间与 {rivals} 占用同一单元；请更正租期。",
        )


def _check_meters(lease: Lease, commodity: str, meters: list[LeaseMeter]) -> None:
    if not meters:
        raise DoubtError(
            f"lease {lease.code} has a tariff for {commodity} but no such meter serves its units; "
            "name the meter that does, or remove the tariff.",
            f"租约 {lease.code} 约定了{_commodity_zh(commodity)}价目，但没有对应的表计；请指定表计，或取消价目。",
        )
    for meter in meters:
        if meter.stray:
            raise DoubtError(
                f"meter {meter.code} also measures {', '.join(meter.stray)}, which lease {lease.code} does not hold; "
                "give each lease its own meter.",
                f"表计 {meter.code} 还计量 {'、'.join(meter.stray)}，不属于租约 {lease.code}；请分表计量。",
            )


def _commodity_zh(commodity: str) -> str:
    return {"electricity": "电", "water": "水"}[commodity]


async def _rent(tx: Transaction, month: Month, lease: Lease, days: Days, book: Book) -> Draft:
    units = await leases.lease_units(tx, lease.id)
    full = monthly_rent([unit.area_m2 for unit in units], lease.rent_per_m2_month)
    rent = prorate(full, month.days, days, Convention(lease.proration), ROUNDING)
    taxed = _taxed(rent.amount, lease.rent_tax, days, book)
    codes = ", ".join(unit.code for unit in units)
    return Draft(
        kind="rent",
        device_id=None,
        meter=None,
        period_start=days.first,
        period_end=days.past,
        description_zh=f"租金 {codes}",
        description_en=f"Rent {codes}",
        quantity=sum((unit.area_m2 for unit in units), Decimal(0)),
        unit="m²",
        estimated=False,
        amount=taxed.net,
        tax_code=taxed.tax_code,
        tax_rate=taxed.percent,
        tax=taxed.tax,
        evidence=evidence.of_rent(rent, units, lease.rent_per_m2_month, ROUNDING, taxed),
    )


async def _metered(tx: Transaction, month: Month, meter: LeaseMeter, days: Days, tariff_code: str, book: Book) -> Draft:
    tariff = book.tariff(tariff_code)
    if tariff.currency != month.site.currency:
        raise DoubtError(
            f"tariff {tariff_code} is in {tariff.currency}, the site bills in {month.site.currency}; "
            "name a tariff in the site's currency.",
            f"价目 {tariff_code} 的币种是 {tariff.currency}，园区以 {month.site.currency} 计费；请改用同币种价目。",
        )
    point = await _point(tx, meter, tariff.unit)
    trusted = await _trusted(tx, month.site, point)
    period = month.within(days)
    series = await _series(tx, point, meter.multiplier, period)
    used = consume(series, period)
    priced = price(series, tariff, period, month.site.zone)
    taxed = _taxed(priced.amount(ROUNDING, tariff.round_each), tariff.tax, days, book)
    return Draft(
        kind=meter.commodity,
        device_id=meter.device_id,
        meter=meter.code,
        period_start=days.first,
        period_end=days.past,
        description_zh=f"{_commodity_zh(meter.commodity)}费 {meter.name_zh}",
        description_en=f"{meter.commodity.capitalize()} {meter.name_en}",
        quantity=used.quantity,
        unit=point.unit,
        estimated=used.estimated or priced.estimated,
        amount=taxed.net,
        tax_code=taxed.tax_code,
        tax_rate=taxed.percent,
        tax=taxed.tax,
        evidence=evidence.of_meter(
            point,
            used.end.basis[-1].counter.multiplier,
            used,
            (tariff_code, tariff),
            priced,
            days.count,
            ROUNDING,
            taxed,
            trusted=trusted,
        ),
    )


async def _point(tx: Transaction, meter: LeaseMeter, unit: str) -> CounterPoint:
    points = await tx.all(CounterPoint, SQL["counter_points"], {"device": meter.device_id})
    if len(points) != 1 or points[0].unit != unit:
        found = ", ".join(f"{point.code} in {point.unit}" for point in points) or "none"
        raise DoubtError(
            f"meter {meter.code} needs exactly one counter in {unit}, it has: {found}; check its profile and gateway.",
            f"表计 {meter.code} 应有且只有一个以 {unit} 计量的累计点；请检查设备模板和网关。",
        )
    return points[0]


async def _trusted(tx: Transaction, site: Site, point: CounterPoint) -> bool:
    trusted = await commission.trusted(tx, point.code)
    if site.bill_trusted_only and not trusted:
        raise DoubtError(
            f"{point.code} is not trusted for billing: nobody has compared its face with the platform twice; "
            "commission the meter.",
            f"{point.code} 未获计费认可：尚未两次核对表盘与平台读数；请完成表计调试验收。",
        )
    return trusted


async def _series(tx: Transaction, point: CounterPoint, multiplier: Decimal, period: Period) -> Series:
    asked = {
        "point": point.id,
        "since": period.start - MARGIN,
        "until": period.end + MARGIN,
        "good": list(USABLE),
    }
    stored = await tx.all(StoredReading, SQL["usable_readings"], asked)
    if not stored:
        raise DoubtError(
            f"{point.code} has no usable reading in this month; look at its gateway.",
            f"{point.code} 本月没有可用读数；请检查网关。",
        )
    registered = Counter(point.resolution, point.modulus, multiplier)
    counter, exchanged = await exchanges.meter(tx, point.id, registered, stored[0].at, stored[-1].at)
    return accumulate(
        _readings(point.code, stored), counter, exchanged, longest_gap=LONGEST_GAP, settled_within=SETTLED_WITHIN
    )


def _readings(code: str, stored: Iterable[StoredReading]) -> Iterable[Reading]:
    return (Reading(code, reading.at, reading.value, Quality.GOOD) for reading in stored)


def _taxed(net: Decimal, code: str, days: Days, book: Book) -> Taxed:
    # The rate of the last billed day: the service is complete then.
    percent = book.tax(code).rate(days.last)
    return Taxed(net, tax_on(net, percent, ROUNDING), code, percent)
