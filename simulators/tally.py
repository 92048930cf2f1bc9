"""Hold what was stored against what the simulator told: how much was lost, how much came twice.

Two sources say what must be there: the history file (each row by device, measure and time) and the truth log (each
counter in each answer, by device, measure and count; the time of the answer is the gateway's to choose).
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from rules.model.site import SiteFile
from simulators.sheet import SHEETS
from simulators.world import measuring

Told = Counter[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored reading."""

    device: str
    measure: str
    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Readings of history and counters told live, and what became of them."""

    told: int
    stored: int
    lost: int
    duplicated: int
    falsified: int  # history rows stored with another value
    lost_told_at: tuple[tuple[datetime, ...], ...]  # for each live one lost, when its count was told


def take(site: SiteFile, history: Path | None, truth: Path, stored: Iterable[Stored]) -> Tally:
    """Compare; ``stored`` holds every reading of the site, in any order."""
    steps = {device.code: SHEETS[device.profile].counter for device in measuring(site)}
    rows = _history(history) if history else {}
    log = _log(truth)
    told = Counter({key: len(moments) for key, moments in log.items()})
    found: Told = Counter()
    count = seen = falsified = 0
    for reading in stored:
        count += 1
        key = (reading.device, reading.measure, reading.at)
        if key in rows:
            seen += 1
            falsified += reading.value != rows[key]
            continue
        register = steps.get(reading.device)
        if register is not None and register.measure == reading.measure and reading.value is not None:
            found[reading.device, reading.measure, _count(reading.value, register.step)] += 1
    gone = told - found
    return Tally(
        told=len(rows) + told.total(),
        stored=count,
        lost=len(rows) - seen + gone.total(),
        duplicated=(found - told).total(),
        falsified=falsified,
        lost_told_at=tuple(tuple(log[key]) for key in gone.elements()),
    )


def _count(value: float, step: Decimal) -> int:
    return int((Decimal(repr(value)) / step).to_integral_value())


def _history(path: Path) -> dict[tuple[str, str, datetime], float]:
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["device"], row["measure"], datetime.fromisoformat(row["at"])): float(row["value"])
            for row in csv.DictReader(file)
        }


def _log(path: Path) -> dict[tuple[str, str, int], list[datetime]]:
    """Give when each count was told; a line that a crash cut short is not one."""
    told: dict[tuple[str, str, int], list[datetime]] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                row = json.loads(line)
                key = row["device"], row["measure"], row["count"]
                told.setdefault(key, []).append(datetime.fromisoformat(row["at"]))
    return told
