"""Meters, demand, losses and sharing of the worked examples, as our pure functions answer them."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate as running
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from rules.meter.balance import Finding, balance, loss_money, share_bill, share_by_two_keys
from rules.meter.bands import DAY_MIN, Band, Schedule
from rules.meter.consumption import accumulate, consume
from rules.meter.demand import QUARTER, demand, peak
from rules.meter.fact import Fact
from rules.meter.series import Counter, Exchange
from rules.meter.tariff import Tariff, Version, price, price_bands
from rules.meter.virtual import combine, missing_of
from rules.model.doubt import DoubtError
from rules.model.money import split
from rules.model.period import Period
from rules.model.reading import Reading
from rules.model.virtual import Term
from tests.cases.said import CENT, DAY, START, Answer, Case, decimals, midnight, reading, resolution

D = Decimal
HOUR = timedelta(hours=1)
UTC_ZONE = ZoneInfo("UTC")
FINE = D("0.000000001")  # a split by days is not rounded to a face
ALARMS = (Finding.LOSS_ABOVE_LIMIT, Finding.NEGATIVE_LOSS)
SHORT = {"deep": Band.DEEP_VALLEY}


def _band(name: str) -> Band:
    return SHORT.get(name) or Band(name)


def _clock(minutes: object) -> str:
    """YAML 1.1 reads 10:00 without quotes as 600."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}" if isinstance(minutes, int) else str(minutes)


def _version(prices: dict[Band, Decimal]) -> Version:
    cuts = [DAY_MIN * n // len(prices) for n in range(len(prices) + 1)]
    windows = [{"from": _clock(cuts[n]), "to": _clock(cuts[n + 1]), "band": band} for n, band in enumerate(prices)]
    said = {"version": "1", "valid_from": "2000-01-01", "prices": prices, "schedules": [{"windows": windows}]}
    return Version.model_validate(said)


def bands(case: Case) -> Answer:
    said = case["inputs"]
    prices = {_band(name): D(price_) for name, _, price_ in said["bands"]}
    lines = price_bands(_version(prices), {_band(name): D(kwh) for name, kwh, _ in said["bands"]})
    amounts = {line.band: CENT.apply(line.amount) for line in lines}
    total, metered = sum(amounts.values(), D(0)), sum((line.quantity for line in lines), D(0))
    return {
        "lines": [amounts[_band(name)] for name, _, _ in said["bands"]],
        "total": total,
        "average": (total / metered).quantize(D("0.000001")),
        "complete": metered == D(said["total_kwh"]),
    }


def windows(case: Case) -> Answer:
    said = [{"from": _clock(a), "to": _clock(b), "band": _band(band)} for a, b, band in case["inputs"]["windows"]]
    try:
        counts = Schedule.model_validate({"windows": said}).quarters()
    except ValidationError:
        return {"complete": False, "counts": None}
    names = {_band(band): band for _, _, band in case["inputs"]["windows"]}
    return {"complete": True, "counts": {names[band]: n for band, n in counts.items()}}


def quarters(case: Case) -> Answer:
    energy = case["inputs"]["kwh_15min"]
    faces = [D(0), *running(decimals(energy))]
    held = [reading(START + n * QUARTER, face) for n, face in enumerate(faces)]
    series = accumulate(held, Counter(resolution(*energy)))
    top = peak(demand(series, Period(START, START + len(energy) * QUARTER), UTC_ZONE))
    return {"max_kw": None if top is None else top.power}


def demand_charge(case: Case) -> Answer:
    said = case["inputs"]
    charge = D(said["charge"])
    return {
        "coincident": split(charge, decimals(said["coincident"]), CENT),
        "non_coincident": split(charge, decimals(said["own_peaks"]), CENT),
    }


def shared_loss(case: Case) -> Answer:
    said = case["inputs"]
    names, used = [name for name, _ in said["subs"]], decimals(kwh for _, kwh in said["subs"])
    found = balance(("main", D(said["main_kwh"])), dict(zip(names, used, strict=True)))
    amounts = dict(zip(names, share_bill(D(said["bill"]), used, CENT), strict=True))
    return {
        "loss_kwh": found.loss, "loss_pct": found.loss_percent, "amounts": amounts, "sum": sum(amounts.values()),
        "alarm": found.finding in ALARMS,
    }  # fmt: skip


def capped_loss(case: Case) -> Answer:
    said = case["inputs"]
    main, subs, cap = D(said["main_kwh"]), D(said["sub_kwh"]), D(said["cap_pct"])
    found, money = balance(("main", main), {"subs": subs}, cap), loss_money(D(said["bill"]), main, subs, cap, CENT)
    return {
        "loss_kwh": found.loss, "loss_pct": found.loss_percent, "loss_money": money.loss,
        "recoverable": money.recoverable, "landlord": money.landlord, "alarm": found.finding in ALARMS,
    }  # fmt: skip


def rollover(case: Case) -> Answer:
    said = case["inputs"]
    counter = Counter(resolution(said["start"], said["end"]), D(10) ** said["dials"], D(said.get("multiplier", 1)))
    return _used([reading(START, said["start"]), reading(START + HOUR, said["end"])], counter)


def segments(case: Case) -> Answer:
    said = case["inputs"]["segments"]
    counters = [Counter(resolution(first, last), multiplier=D(ratio)) for first, last, ratio in said]
    swaps = [Exchange(START + n * HOUR, D(said[n - 1][1]), D(said[n][0]), counters[n]) for n in range(1, len(said))]
    held = [reading(START, said[0][0]), reading(START + len(said) * HOUR, said[-1][1])]
    return _used(held, counters[0], swaps)


def _used(held: list[Reading], counter: Counter, swaps: Sequence[Exchange] = ()) -> Answer:
    try:
        found = consume(accumulate(held, counter, swaps), Period(held[0].at, held[-1].at))
    except DoubtError:
        return {"units": None, "consumption": None, "exception": True, "status": "exception"}
    return {
        "units": found.quantity / counter.multiplier, "consumption": found.quantity, "exception": False,
        "status": "ok",
    }  # fmt: skip


def estimate_then_actual(case: Case) -> Answer:
    said = case["inputs"]
    (first, start, _), (second, guessed, _) = said["reads"][-2:]
    counter = Counter(resolution(start, guessed, *said["next_actual"]))
    since = midnight(first)

    def until(face: str, days: int) -> Decimal:
        held = [reading(since, start), reading(since + days * DAY, face)]
        return consume(accumulate(held, counter), Period(since, since + days * DAY)).quantity

    billed = until(guessed, 1)
    name = f"billed_{midnight(second):%b}".lower()
    return {name: billed, "next_bill": [until(face, 2) - billed for face in said["next_actual"]]}


def estimate_across_prices(case: Case) -> Answer:
    said = case["inputs"]
    since, until = midnight(said["start_date"]) + DAY, midnight(said["actual_date"]) + DAY
    starts = [midnight(first).date() for first, _ in said["prices"]]
    ends = [first - DAY for first in starts[1:]]
    versions = [
        {"version": str(first), "valid_from": first, "valid_to": last, "prices": {Band.FLAT: D(said_price)}}
        for first, last, (_, said_price) in zip(starts, [*ends, None], said["prices"], strict=True)
    ]
    names = {"name_zh": "价", "name_en": "price", "unit": "kWh", "currency": "CNY", "tax": "vat"}
    tariff = Tariff.model_validate({**names, "versions": versions})
    series = accumulate([reading(since, said["start"]), reading(until, said["actual"])], Counter(FINE))
    correct = price(series, tariff, Period(since, until), UTC_ZONE).amount(CENT)
    guessed = next(D(value) for key, value in said.items() if key.startswith("estimated_"))
    billed = CENT.apply(guessed * tariff.version(since.date()).prices[Band.FLAT])
    bill = f"{midnight(said['actual_date']):%B}_bill".lower()
    return {"correct_total": correct, "already_billed": billed, bill: correct - billed}


def moved(case: Case) -> Answer:
    reads = case["inputs"]["reads"]
    counter = Counter(resolution(*(face for _, face in reads)))
    series = accumulate([reading(midnight(day), face) for day, face in reads], counter)
    out, come, last = (midnight(day) for day, _ in reads[1:])
    first = midnight(reads[0][0])
    spans = {"old_tenant": (first, out), "landlord": (out, come), "new_tenant": (come, last), "total": (first, last)}
    return {name: consume(series, Period(*ends)).quantity for name, ends in spans.items()}


def shared_by_area_and_use(case: Case) -> Answer:
    said = case["inputs"]
    areas, uses = decimals(m2 for _, m2, _ in said["users"]), decimals(used for _, _, used in said["users"])
    parts = share_by_two_keys(CENT.apply(D(said["cost"])), D(said["area_pct"]), areas, uses, CENT)
    return {name: part for (name, _, _), part in zip(said["users"], parts, strict=True)}


def shared_by_heads(case: Case) -> Answer:
    return {"parts": split(D(case["inputs"]["cost"]), decimals(case["inputs"]["heads"]), CENT)}


def main_less_subs(case: Case) -> Answer:
    said = case["inputs"]
    terms = [Term(meter=name, factor=D(1 if name == "main" else -1)) for name in said]
    found = combine(terms, {name: None if used is None else Fact(D(used)) for name, used in said.items()})
    status = "incomplete" if found.quantity is None else "complete"
    return {"value": found.quantity, "status": status, "missing": list(missing_of(found))}
