"""The bills once more, by other means: exact fractions, quarter-hour by quarter-hour, from files alone."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from rules.model.site import SiteFile

DEFINITIONS = Path(__file__).parents[2] / "rules" / "definitions"
STEP = timedelta(minutes=15)
MODULUS = {"rs-em3": 1_000_000, "rs-em1": 10_000, "rs-wm1": 100_000}
Faces = dict[str, dict[datetime, Fraction]]


def cents(amount: Fraction) -> Fraction:
    """Half up, for amounts that are not below zero."""
    return Fraction((amount * 200 + 1) // 2, 100)


def faces_of(history: Path) -> Faces:
    """What every counter showed."""
    found: Faces = defaultdict(dict)
    with history.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            if row["measure"] in ("energy", "volume"):
                found[row["device"]][datetime.fromisoformat(row["at"])] = Fraction(row["value"])
    return found


def minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def price(tariff: dict[str, Any], local: datetime) -> Fraction:
    """The price of a unit at a moment of the site's wall clock; the definitions have one version each."""
    (version,) = tariff["versions"]
    for schedule in version.get("schedules", []):
        if local.month not in schedule["months"]:
            continue
        at = local.hour * 60 + local.minute
        for window in schedule["windows"]:
            start, end = minute(window["from"]), minute(window["to"])
            if start <= at < end or (start > end and not end <= at < start):
                return Fraction(version["prices"][window["band"]])
    return Fraction(version["prices"]["flat"])


def totals(file: SiteFile, history: Path, start: datetime, end: datetime) -> Iterator[tuple[str, Fraction]]:
    """Each lease's code and gross total for a whole month."""
    tariffs, taxes = (
        yaml.safe_load((DEFINITIONS / name).read_text("utf-8")) for name in ("tariffs.yaml", "taxes.yaml")
    )
    faces, zone = faces_of(history), ZoneInfo(file.site.timezone)
    areas = {unit.code: Fraction(unit.area_m2) for unit in file.unit}

    def gross(net: Fraction, tax: str) -> Fraction:
        return cents(net) + cents(cents(net) * Fraction(taxes[tax]["rates"][-1]["percent"]) / 100)

    def used(device: Any, at: datetime) -> Fraction:
        step = faces[device.code][at + STEP] - faces[device.code][at]
        return (step + (MODULUS[device.profile] if step < 0 else 0)) * Fraction(device.multiplier)

    for lease in sorted(file.lease, key=lambda one: one.code):
        total = gross(sum(areas[u] for u in lease.units) * Fraction(lease.rent_per_m2_month), lease.rent_tax)
        for commodity, code in (("electricity", lease.electricity_tariff), ("water", lease.water_tariff)):
            for device in file.device:
                if device.commodity == commodity and set(device.serves) & set(lease.units) and code is not None:
                    moments = [start + n * STEP for n in range((end - start) // STEP)]
                    nets = (used(device, at) * price(tariffs[code], at.astimezone(zone)) for at in moments)
                    total += gross(sum(nets, Fraction(0)), tariffs[code]["tax"])
        yield lease.code, total
