from datetime import date
from decimal import Decimal

import pytest

from rules.meter.fact import Fact
from rules.meter.virtual import How, combine, missing_of, summed
from rules.model.site import InvalidSiteError, parse
from rules.model.virtual import Missing, Term, VirtualMeter, in_order
from tests.builders import site_file

D = Decimal


def meter(code, *sources, commodity="electricity"):
    terms = [{"meter": source} for source in sources]
    return VirtualMeter.model_validate(
        {"code": code, "name_zh": code, "name_en": code, "commodity": commodity, "unit": "kWh",
         "version": [{"valid_from": date(2026, 1, 1), "term": terms}]}
    )  # fmt: skip


def rest(missing=Missing.PARK):
    return [Term(meter="main"), *(Term(meter=m, factor=D(-1), missing=missing) for m in "ABC")]


KNOWN = {"main": Fact(D(10000)), "A": Fact(D(4000)), "B": None, "C": Fact(D(2500))}


def test_sums_differences_and_shares_carry_each_input_as_evidence():
    terms = [Term(meter="main"), Term(meter="A", factor=D(-1)), Term(meter="C", factor=D("0.3"))]
    found = combine(terms, KNOWN)
    assert (found.quantity, found.estimated) == (D("6750.0"), False)
    assert [(one.code, one.quantity, one.how) for one in found.inputs] == [
        ("main", D(10000), How.KNOWN), ("A", D(4000), How.KNOWN), ("C", D(2500), How.KNOWN),
    ]  # fmt: skip


def test_a_missing_input_makes_it_incomplete_and_is_named():
    found = combine(rest(), KNOWN)
    assert (found.quantity, missing_of(found)) == (None, ("B",))
    assert "no consumption of B" in found.doubt[0]
    assert "B" in found.doubt[1]


def test_a_missing_input_may_be_estimated_or_left_out_but_never_without_a_mark():
    estimated = combine(rest(Missing.ESTIMATE), KNOWN, {"B": D(3000)})
    assert (estimated.quantity, estimated.estimated) == (D(500), True)
    left_out = combine(rest(Missing.LEAVE_OUT), KNOWN)
    assert (left_out.quantity, left_out.estimated) == (D(3500), True)
    assert [one.how for one in left_out.inputs] == [How.KNOWN, How.KNOWN, How.LEFT_OUT, How.KNOWN]


def test_what_may_be_estimated_but_was_never_known_is_missing():
    assert missing_of(combine(rest(Missing.ESTIMATE), KNOWN)) == ("B",)


def test_a_sum_of_nothing_but_what_was_left_out_is_not_zero():
    found = combine([Term(meter="B", missing=Missing.LEAVE_OUT)], {})
    assert found.quantity is None


def test_days_join_to_a_month_with_their_marks():
    days = [combine(rest(Missing.LEAVE_OUT), KNOWN), combine(rest(), {**KNOWN, "B": Fact(D(1), estimated=True)})]
    found = summed(days)
    assert (found.quantity, found.estimated) == (D(6999), True)
    assert [(one.code, one.quantity, one.how) for one in found.inputs if one.code == "B"] == [
        ("B", None, How.LEFT_OUT), ("B", D(1), How.KNOWN),
    ]  # fmt: skip
    assert summed([*days, combine(rest(), KNOWN)]) is None


def test_virtual_meters_are_worked_out_after_those_they_stand_on():
    meters = [meter("top", "middle", "EM-1"), meter("middle", "low"), meter("low", "EM-2")]
    assert [one.code for one in in_order(meters)] == ["low", "middle", "top"]


def test_a_circle_is_refused_and_named():
    with pytest.raises(ValueError, match="stands on itself: a → b → a; break the circle"):
        in_order([meter("a", "b"), meter("b", "a")])
    with pytest.raises(ValueError, match="a → a"):
        in_order([meter("a", "a")])


def said(**changes):
    data = {"code": "VM-1", "name_zh": "其他", "name_en": "Rest", "commodity": "electricity", "unit": "kWh",
            "version": [{"valid_from": "2026-01-01", "term": [{"meter": "EM-A-MAIN"}]}], **changes}  # fmt: skip
    parse({**site_file().model_dump(mode="json", exclude={"virtual_meter"}), "virtual_meter": [data]})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"code": "EM-A-MAIN"}, "has the code of a device"),
        ({"commodity": "water"}, "is of water, but 'EM-A-MAIN' counts electricity"),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "EM-9"}]}]}, "names meter 'EM-9'"),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "VM-1"}]}]}, "VM-1 → VM-1"),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "M", "factor": 0}]}]}, "factor 0"),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "M", "zero": True}]}]}, "not a known key"),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "M"}, {"meter": "M"}]}]}, "in two terms"),
        ({"version": []}, "at least 1 item"),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "M"}]}] * 2}, "two versions hold"),
        (
            {"version": [{"valid_from": "2026-02-01", "valid_to": "2026-01-01", "term": [{"meter": "M"}]}]},
            "before it starts",
        ),
        ({"version": [{"valid_from": "2026-01-01", "term": [{"meter": "M", "factor": "nan"}]}]}, "factor"),
    ],
)
def test_a_site_file_with_a_wrong_virtual_meter_is_refused_with_a_sentence(changes, sentence):
    with pytest.raises(InvalidSiteError, match=sentence):
        said(**changes)


def test_a_site_file_may_have_virtual_meters():
    said()
