from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from rules.model.definition import InvalidDefinitionError
from rules.model.doubt import DoubtError
from rules.model.money import Rounding
from rules.money.invoice import Taxed, TaxTotal, due_on, number, total
from rules.money.posting import (
    Entry,
    Posting,
    UnbalancedError,
    account_of,
    balance,
    credit,
    debit,
    invoice_posting,
    parse_accounts,
)
from rules.money.tax import parse_taxes, separate, tax_by_document, tax_on

D = Decimal

CENT = Rounding()


def definitions(name: str):
    return yaml.safe_load(Path(f"rules/definitions/{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("gross", "percent", "net", "tax"),
    [("10900", "9", "10000.00", "900.00"), ("10000", "9", "9174.31", "825.69"), ("10000", "5", "9523.81", "476.19")],
)
def test_net_and_tax_inside_a_gross_amount_sum_to_it(gross, percent, net, tax):
    assert separate(D(gross), D(percent), CENT) == (D(net), D(tax))


def test_the_tax_of_a_document_takes_odd_cents_off_the_largest_lines():
    nets = [D("0.07"), D("0.07"), D("0.16"), D("0.16")]
    assert tax_by_document(nets, D(22), CENT) == [D("0.02"), D("0.02"), D("0.03"), D("0.03")]


def test_the_rate_is_the_one_of_the_day():
    taxes = parse_taxes(definitions("taxes"))
    assert [taxes[code].rate(date(2026, 10, 31)) for code in sorted(taxes)] == [D(13), D(9), D(9)]
    with pytest.raises(DoubtError, match="no rate for 2023-12-31"):
        taxes["vat-lease-9"].rate(date(2023, 12, 31))


def test_two_rates_on_one_day_are_refused():
    rates = [{"valid_from": "2024-01-01", "percent": "9"}, {"valid_from": "2025-01-01", "percent": "10"}]
    with pytest.raises(InvalidDefinitionError, match="two rates hold on 2025-01-01"):
        parse_taxes({"vat": {"name_zh": "税", "name_en": "tax", "rates": rates}})


def test_totals_are_the_sums_of_the_printed_lines():
    nets = [CENT.apply(D("33.335"))] * 3
    lines = [Taxed(net, tax_on(net, D(9), CENT), "vat-9", D(9)) for net in nets]
    found = total([*lines, Taxed(D("10.00"), D("1.30"), "vat-13", D(13))])
    assert (found.net, found.tax, found.gross) == (D("110.02"), D("10.30"), D("120.32"))
    assert found.by_tax == (
        TaxTotal("vat-13", D(13), D("10.00"), D("1.30")),
        TaxTotal("vat-9", D(9), D("100.02"), D("9.00")),
    )


def test_numbers_and_due_dates():
    assert number("RIV", 2026, 7) == "RIV-2026-000007"
    assert due_on(date(2026, 11, 20), 15) == date(2026, 12, 5)


def test_an_invoice_posts_its_gross_against_income_and_tax():
    accounts = parse_accounts(definitions("accounts"))
    receivable, vat = account_of(accounts, "receivable"), account_of(accounts, "output_vat")
    rent, power = account_of(accounts, "income:rent"), account_of(accounts, "income:electricity")
    posting = invoice_posting([(rent, D(1000)), (power, D(200)), (power, D(0))], D(116), "CNY", receivable, vat)
    assert posting.entries == (
        Entry("1122", "CNY", D(1316), D(0)),
        Entry("6051.01", "CNY", D(0), D(1000)),
        Entry("6051.02", "CNY", D(0), D(200)),
        Entry("2221.01", "CNY", D(0), D(116)),
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([debit("a", D(1), "CNY"), credit("b", D("0.99"), "CNY")], "differ by 0.01 CNY"),
        ([debit("a", D(1), "CNY"), credit("b", D(1), "EUR")], "differ by 1 CNY"),
        ([debit("a", D(1), "CNY"), credit("a", D(1), "CNY")], "at least two entries"),
    ],
)
def test_entries_that_do_not_balance_cannot_become_a_posting(entries, said):
    with pytest.raises(UnbalancedError, match=said):
        balance(entries)


def test_an_entry_has_one_side():
    both = Entry("a", "CNY", D(1), D(1))
    with pytest.raises(UnbalancedError, match="on one side"):
        Posting((both, both))


def test_a_role_that_the_chart_lacks_is_one_sentence():
    with pytest.raises(InvalidDefinitionError, match="no account has the role 'cash'"):
        account_of(parse_accounts(definitions("accounts")), "cash")
