"""Which pure function answers a worked example: by its topic and the names of its inputs, never by its number."""

from collections.abc import Mapping

from tests.cases import meters, money
from tests.cases.said import Adapter

# Per topic: the inputs by which a kind of example is known, and what answers it; the first that fits.
ADAPTERS: Mapping[str, tuple[tuple[frozenset[str], Adapter], ...]] = {
    "proration": (
        (frozenset({"annual", "period", "occupied"}), money.occupied_of_a_period),
        (frozenset({"annual", "term"}), money.a_term_in_quarters),
        (frozenset({"pairs", "fixed_days"}), money.months_of_thirty),
        (frozenset({"monthly", "occupied"}), money.occupied_months),
        (frozenset({"monthly", "move_in", "month_end"}), money.every_convention),
        (frozenset({"month", "rates"}), money.rates_within_a_month),
    ),
    "vat": (
        (frozenset({"items"}), money.tax_inside),
        (frozenset({"rate", "nets"}), money.tax_of_a_document),
        (frozenset({"lines_raw", "rate"}), money.rounded_lines),
    ),
    "rounding": ((frozenset({"total", "keys", "dp"}), money.split_by_keys),),
    "tou": (
        (frozenset({"bands", "total_kwh"}), meters.bands),
        (frozenset({"windows"}), meters.windows),
    ),
    "demand": (
        (frozenset({"kwh_15min"}), meters.quarters),
        (frozenset({"charge", "coincident", "own_peaks"}), meters.demand_charge),
    ),
    "loss": (
        (frozenset({"main_kwh", "bill", "subs"}), meters.shared_loss),
        (frozenset({"main_kwh", "bill", "sub_kwh", "cap_pct"}), meters.capped_loss),
    ),
    "meter": (
        (frozenset({"dials", "start", "end"}), meters.rollover),
        (frozenset({"segments"}), meters.segments),
    ),
    "estimate": (
        (frozenset({"reads", "next_actual"}), meters.estimate_then_actual),
        (frozenset({"start", "start_date", "actual", "actual_date", "prices"}), meters.estimate_across_prices),
    ),
    "mid_period": ((frozenset({"reads"}), meters.moved),),
    "shared": (
        (frozenset({"cost", "area_pct", "users"}), meters.shared_by_area_and_use),
        (frozenset({"cost", "heads"}), meters.shared_by_heads),
    ),
    "virtual": ((frozenset({"main"}), meters.main_less_subs),),
}

LEASES, HANDS = "issue 8, leases and money, brings", "issue 7, the hands, brings"
LATER: Mapping[str, str] = {
    "rent_stepup_rentfree": f"{LEASES} step-ups and rent-free months",
    "periods_tile": f"{LEASES} billing periods by anchor day",
    "indexation": f"{LEASES} indexation",
    "retro_adjustment": f"{LEASES} lines that bill a difference once",
    "turnover_rent": f"{LEASES} turnover rent",
    "deposit": f"{LEASES} deposits",
    "notice_dates": f"{LEASES} break and notice dates",
    "straight_line": f"{LEASES} straight-line income",
    "late_fee": f"{LEASES} late fees",
    "dunning": f"{LEASES} dunning",
    "allocation": f"{LEASES} the order in which payments are applied",
    "bank_rec": f"{LEASES} bank statements and matching",
    "credit_note": f"{LEASES} credit and red-letter notes",
    "cam": f"{LEASES} service charges with caps, gross-up and true-up",
    "tiered": f"{LEASES} tiers of tariffs",
    "occupancy": f"{LEASES} occupancy",
    "wale": f"{LEASES} the mean term of leases",
    "collection": f"{LEASES} the collection rate",
    "ageing": f"{LEASES} ageing of receivables",
    "quote": f"{LEASES} net effective rent",
    "vacancy": f"{LEASES} the cost of vacancy",
    "funnel": f"{LEASES} the funnel of leads",
    "three_ledgers": f"{LEASES} the proof of the three ledgers",
    "mttr": f"{HANDS} the figures of upkeep",
    "pm": f"{HANDS} compliance of plans",
    "pm_schedule": f"{HANDS} plans",
    "sla": f"{HANDS} clocks that run by a work calendar",
    "expiry": f"{HANDS} inspections that run out",
    "parts": f"{HANDS} parts",
}
# The same within a topic that is answered otherwise.
LATER_INPUTS: Mapping[tuple[str, frozenset[str]], str] = {
    ("vat", frozenset({"gross", "rate", "received", "months"})): f"{LEASES} deferred income",
    ("demand", frozenset({"customer", "kwh", "energy"})): f"{LEASES} tariffs with demand charges",
    ("demand", frozenset({"contract_kw", "price", "actual_kw"})): f"{LEASES} contract demand",
}


def adapter(topic: str, inputs: Mapping[str, object]) -> Adapter | str:
    """Give what answers an example, or the sentence which issue will; raises LookupError that names what is unknown."""
    names = frozenset(inputs)
    for wanted, found in ADAPTERS.get(topic, ()):
        if wanted <= names:
            return found
    for (of, wanted), sentence in LATER_INPUTS.items():
        if of == topic and wanted <= names:
            return sentence
    if topic in LATER:
        return LATER[topic]
    raise LookupError(f"nothing answers the topic '{topic}' with the inputs {', '.join(sorted(names))}")
