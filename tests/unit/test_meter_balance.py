from decimal import Decimal

import pytest

from rules.meter.balance import Finding, balance, loss_money, share_bill, share_by_two_keys
from rules.model.money import Rounding

D = Decimal
CENT = Rounding()


@pytest.mark.parametrize(
    ("main", "subs", "finding", "loss", "percent"),
    [
        ("100000", ["60000", "35000"], Finding.BALANCED, "5000", "5.00"),
        ("100000", ["60000", "30000"], Finding.BALANCED, "10000", "10.00"),
        ("100000", ["60000", "25000"], Finding.LOSS_ABOVE_LIMIT, "15000", "15.00"),
        ("100000", ["60600", "40400"], Finding.NEGATIVE_LOSS, "-1000", "-1.00"),
        ("0", ["0", "0"], Finding.BALANCED, "0", None),
        ("0", ["5"], Finding.NEGATIVE_LOSS, "-5", None),
    ],
)
def test_the_difference_has_a_name(main, subs, finding, loss, percent):
    found = balance(("M", D(main)), {f"S{n}": D(sub) for n, sub in enumerate(subs)})
    assert (found.finding, found.loss) == (finding, D(loss))
    assert found.loss_percent == (None if percent is None else D(percent))


@pytest.mark.parametrize(
    ("main", "subs", "missing"),
    [
        (D(10), {"A": D(4), "B": None}, ("B",)),
        (None, {"A": D(4)}, ("M",)),
        (None, {"A": None}, ("M", "A")),
        (D(10), {}, ()),
    ],
)
def test_what_is_missing_makes_it_incomplete_and_is_never_taken_for_zero(main, subs, missing):
    found = balance(("M", main), subs)
    assert (found.finding, found.loss, found.missing) == (Finding.INCOMPLETE, None, missing)


def test_a_little_below_zero_may_be_the_coarseness_of_the_meters():
    assert balance(("M", D(100)), {"A": D(101)}, tolerance=D(1)).finding is Finding.BALANCED
    assert balance(("M", D(100)), {"A": D(102)}, tolerance=D(1)).finding is Finding.NEGATIVE_LOSS


def test_never_more_than_was_paid_is_shared():
    parts = share_bill(D("75000.00"), [D(60600), D(40400)], CENT)
    assert parts == [D("45000.00"), D("30000.00")]


def test_a_loss_above_the_cap_stays_with_the_landlord():
    found = loss_money(D("75000.00"), D(100000), D(85000), D(10), CENT)
    assert (found.loss, found.recoverable, found.landlord) == (D("11250.00"), D("7500.00"), D("3750.00"))
    assert loss_money(D("75000.00"), D(100), D(101), D(10), CENT).loss == 0


def test_a_cost_is_shared_by_area_and_use_to_the_cent():
    parts = share_by_two_keys(D("10000.00"), D(30), [D(100), D(200), D(100)], [D(500), D(300), D(200)], CENT)
    assert parts == [D("4250.00"), D("3600.00"), D("2150.00")]
    with pytest.raises(ValueError, match="needs some of both"):
        share_by_two_keys(D(1), D(30), [D(1)], [D(0)], CENT)
