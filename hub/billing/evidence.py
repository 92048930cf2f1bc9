"""What a bill line stands on, as it is stored with the charge and shown by its "how" panel.

Numbers are text, exactly as they were used; times are ISO 8601 in UTC.

| key | rent | metered |
|---|---|---|
| rule, days, rounding, tax | yes | yes |
| units, full, of_days, convention | yes | |
| point, trusted, quantity, unit, multiplier, start, end, rollovers, exchanges, rejected | | yes |
| tariff, bands, bands_estimated | | yes |
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from hub.billing.rows import CounterPoint, Evidence
from hub.leases.rows import LeaseUnit
from rules.lease.rent import Rent
from rules.meter.bands import BAND_NAMES
from rules.meter.consumption import Consumption
from rules.meter.series import Boundary
from rules.meter.tariff import BandLine, Priced, RoundEach, Tariff
from rules.model.money import Rounding
from rules.money.invoice import Taxed


def of_rent(rent: Rent, units: Sequence[LeaseUnit], price: Decimal, rounding: Rounding, taxed: Taxed) -> Evidence:
    """Say how a rent line came about."""
    return {
        "rule": "rules.lease.rent.prorate",
        "units": [{"unit": unit.code, "area_m2": text(unit.area_m2), "price": text(price)} for unit in units],
        "full": text(rent.full),
        "days": rent.days,
        "of_days": rent.of_days,
        "convention": rent.convention.value,
        "rounding": _rounding(rounding, RoundEach.CHARGE),
        "tax": _tax(taxed),
    }


def of_meter(
    point: CounterPoint,
    multiplier: Decimal,
    used: Consumption,
    tariff: tuple[str, Tariff],
    priced: Priced,
    days: int,
    rounding: Rounding,
    taxed: Taxed,
    *,
    trusted: bool,
) -> Evidence:
    """Say how a metered line came about: the two readings, the tariff version, the bands; ``trusted``: commissioned."""
    code, said = tariff
    return {
        "rule": "rules.meter.tariff.price",
        "point": point.code,
        "trusted": trusted,
        "quantity": text(used.quantity),
        "unit": point.unit,
        "multiplier": text(multiplier),
        "start": _boundary(used.start),
        "end": _boundary(used.end),
        "rollovers": used.rollovers,
        "exchanges": used.exchanges,
        "rejected": [{"at": moment(r.at), "value": str(r.value), "reason": r.reason} for r in used.rejected],
        "tariff": {
            "code": code,
            "name_zh": said.name_zh,
            "name_en": said.name_en,
            "versions": list(dict.fromkeys(line.version for line in priced.lines)),
        },
        "bands": [_band(line) for line in priced.lines],
        "bands_estimated": priced.estimated,
        "days": days,
        "rounding": _rounding(rounding, said.round_each),
        "tax": _tax(taxed),
    }


def moment(at: datetime) -> str:
    """Give a time as text."""
    return at.isoformat(timespec="milliseconds")


def text(number: Decimal) -> str:
    """Give a number as plain text, every digit, no exponent."""
    return f"{number:f}"


def _boundary(boundary: Boundary) -> Evidence:
    basis = [{"at": moment(mark.at), "value": text(mark.face)} for mark in boundary.basis]
    return {
        "at": moment(boundary.at),
        "value": text(boundary.value),
        "estimated": boundary.estimated,
        "basis": basis,
    }


def _band(line: BandLine) -> Evidence:
    name_zh, name_en = BAND_NAMES[line.band]
    return {
        "version": line.version,
        "band": line.band.value,
        "name_zh": name_zh,
        "name_en": name_en,
        "quantity": text(line.quantity),
        "price": text(line.price),
        "amount": text(line.amount),
    }


def _rounding(rounding: Rounding, each: RoundEach) -> Evidence:
    return {"places": rounding.places, "mode": rounding.mode, "each": each.value}


def _tax(taxed: Taxed) -> Evidence:
    return {
        "code": taxed.tax_code,
        "percent": text(taxed.percent),
        "net": text(taxed.net),
        "tax": text(taxed.tax),
    }
