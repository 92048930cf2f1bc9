"""One measured line: ours, the limit measured or set beside it, their ratio, and whether the bar holds."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """``ratio`` is ours over limit; ``bar`` says in words what must hold."""

    name: str
    ours: float
    limit: float
    unit: str
    bar: str
    holds: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": round(self.ours / self.limit, 3)}


def at_most(name: str, ours: float, limit: float, unit: str) -> Row:
    """A row whose bar is "no more than the limit"."""
    return Row(name, round(ours, 2), limit, unit, f"<= {limit:g} {unit}", ours <= limit)


def at_least(name: str, ours: float, limit: float, unit: str) -> Row:
    """A row whose bar is "no less than the limit"."""
    return Row(name, round(ours, 2), limit, unit, f">= {limit:g} {unit}", ours >= limit)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
