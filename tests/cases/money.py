"""Rent, tax and rounding of the worked examples, as our pure functions answer them."""

from decimal import Decimal

from rules.lease.rent import Convention, Days, days_30, prorate
from rules.model.money import Rounding, split
from rules.model.period import month_start
from rules.money.tax import separate, tax_by_document, tax_on
from tests.cases.said import CENT, DAY, Answer, Case, day, decimals, month, months, places, span

QUARTER_MONTHS = 3


def occupied_of_a_period(case: Case) -> Answer:
    said = case["inputs"]
    whole = span(*said["period"])
    count = len(months(whole))
    full = Decimal(said["annual"]) * count / 12
    kind = Convention(said.get("convention", "actual_actual"))
    return {"amount": prorate(full, whole, span(*said["occupied"]), kind, CENT, count).amount}


def a_term_in_quarters(case: Case) -> Answer:
    said = case["inputs"]
    annual, term = Decimal(said["annual"]), span(*said["term"])
    first = month_start(term.first.year, (term.first.month - 1) // QUARTER_MONTHS * QUARTER_MONTHS + 1)
    items = []
    while first < term.past:
        past = month_start(first.year, first.month + QUARTER_MONTHS)
        full = annual * QUARTER_MONTHS / 12
        quarter = prorate(full, Days(first, past), term, Convention.ACTUAL_ACTUAL, CENT, QUARTER_MONTHS)
        items.append(quarter.amount)
        first = past
    return {"items": items, "total": sum(items), "drift_vs_annual": sum(items) - annual}


def months_of_thirty(case: Case) -> Answer:
    said = case["inputs"]
    rounding = Rounding(places=9)
    pairs = [days_30(day(first), day(past)) for first, past in said["pairs"]]
    return {"factors": [rounding.apply(Decimal(days) / said["fixed_days"]) for days in pairs]}


def occupied_months(case: Case) -> Answer:
    said = case["inputs"]
    occupied, rounding = span(*said["occupied"]), Rounding(places=places(case))
    kind = Convention(said.get("convention", "actual_actual"))
    parts = [prorate(Decimal(said["monthly"]), one, occupied, kind, rounding).amount for one in months(occupied)]
    return {"months": parts, "total": sum(parts), "amount": sum(parts)}


def every_convention(case: Case) -> Answer:
    said = case["inputs"]
    moved_in = day(said["move_in"])
    whole = months(Days(moved_in, moved_in + DAY))[0]
    occupied = span(said["move_in"], said["month_end"])
    return {kind.value: prorate(Decimal(said["monthly"]), whole, occupied, kind, CENT).amount for kind in Convention}


def rates_within_a_month(case: Case) -> Answer:
    said = case["inputs"]
    whole, exact = month(said["month"]), Rounding(places=20)
    starts = [day(first) for first, _ in said["rates"]]
    parts = [
        prorate(Decimal(rate), whole, Days(first, past), Convention.ACTUAL_ACTUAL, exact).amount
        for (_, rate), first, past in zip(said["rates"], starts, [*starts[1:], whole.past], strict=True)
    ]
    return {"amount": CENT.apply(sum(parts, Decimal(0)))}


def tax_inside(case: Case) -> Answer:
    pairs = [separate(Decimal(gross), Decimal(rate), CENT) for gross, rate in case["inputs"]["items"]]
    return {"net": [net for net, _ in pairs], "tax": [tax for _, tax in pairs]}


def tax_of_a_document(case: Case) -> Answer:
    nets, rate = decimals(case["inputs"]["nets"]), Decimal(case["inputs"]["rate"])
    return {
        "line_sum": sum(tax_on(net, rate, CENT) for net in nets),
        "doc_vat": tax_on(sum(nets, Decimal(0)), rate, CENT),
        "corrected": tax_by_document(nets, rate, CENT),
    }


def rounded_lines(case: Case) -> Answer:
    lines = [CENT.apply(raw) for raw in decimals(case["inputs"]["lines_raw"])]
    base = sum(lines, Decimal(0))
    tax = tax_on(base, Decimal(case["inputs"]["rate"]), CENT)
    return {"lines": lines, "base": base, "tax": tax, "total": base + tax}


def split_by_keys(case: Case) -> Answer:
    said = case["inputs"]
    return {"parts": split(Decimal(said["total"]), decimals(said["keys"]), Rounding(places=said["dp"]))}
