"""How the worked examples write things: numbers and dates as text, the last day of a span included."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from rules.lease.rent import Days
from rules.model.money import Rounding
from rules.model.period import month_start
from rules.model.quality import Quality
from rules.model.reading import Reading

Case = Mapping[str, Any]
Answer = Mapping[str, Any]
Adapter = Callable[[Case], Answer]

CENT = Rounding()
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)  # of examples that name no time


def decimals(values: Any) -> list[Decimal]:
    return [Decimal(value) for value in values]


def day(text: Any) -> date:
    return text if isinstance(text, date) else date.fromisoformat(text)


def span(first: Any, last: Any) -> Days:
    """Days with the last one included."""
    return Days(day(first), day(last) + DAY)


def month(text: str) -> Days:
    """A month written like 2026-04."""
    year, number = (int(part) for part in str(text).split("-")[:2])
    return Days(month_start(year, number), month_start(year, number + 1))


def months(days: Days) -> list[Days]:
    """The calendar months that some days touch."""
    first = days.first.replace(day=1)
    found = []
    while first < days.past:
        past = month_start(first.year, first.month + 1)
        found.append(Days(first, past))
        first = past
    return found


def places(case: Case) -> int:
    """The decimals to which the rule rounds: what it says, else two."""
    found = re.search(r"(\d+) (?:decimals|dp)\b", case["rule"])
    return int(found[1]) if found else 2


def midnight(text: Any) -> datetime:
    found = day(text)
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def reading(at: datetime, face: Any) -> Reading:
    return Reading("the meter", at, float(face), Quality.GOOD)


def resolution(*faces: Any) -> Decimal:
    """The finest step among some faces."""
    exponents = [Decimal(face).as_tuple().exponent for face in faces]
    return Decimal(1).scaleb(min(0, *(e for e in exponents if isinstance(e, int))))
