"""Which meter stood behind a counter, and when it was exchanged or reset: as people have recorded and others agreed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import Exchange
from rules.meter.series import Counter

SQL = queries(__package__)
EXCHANGES_MOST = 1_000  # of one point, ever


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """An exchange that is in force, with both meters."""

    at: datetime
    final: Decimal
    resolution_before: Decimal
    modulus_before: Decimal | None
    multiplier_before: Decimal
    initial: Decimal
    resolution: Decimal
    modulus: Decimal | None
    multiplier: Decimal

    @property
    def before(self) -> Counter:
        """The old meter."""
        return Counter(self.resolution_before, self.modulus_before, self.multiplier_before)

    @property
    def exchange(self) -> Exchange:
        """The exchange as ``rules.meter.consumption`` takes it."""
        return Exchange(self.at, self.final, self.initial, Counter(self.resolution, self.modulus, self.multiplier))


@dataclass(frozen=True, slots=True)
class ExchangeOfPoint(RecordedExchange):
    """An exchange that is in force, with its point."""

    point_id: int


async def of_points(tx: Transaction, point_ids: Sequence[int], until: datetime) -> dict[int, list[RecordedExchange]]:
    """Give the exchanges of many points before ``until``, oldest first; a point without any is left out."""
    found: dict[int, list[RecordedExchange]] = {}
    for one in await tx.all(ExchangeOfPoint, SQL["exchanges_of_points"], {"points": [*point_ids], "until": until}):
        found.setdefault(one.point_id, []).append(one)
    return found


async def meter(
    tx: Transaction, point_id: int, registered: Counter, since: datetime, until: datetime
) -> tuple[Counter, tuple[Exchange, ...]]:
    """Give the meter that counted at ``since``, and its exchanges after that, up to ``until``, oldest first.

    Where no exchange was ever recorded that is the meter as it is ``registered``.
    """
    recorded = await tx.all(RecordedExchange, SQL["exchanges"], {"point": point_id, "most": EXCHANGES_MOST})
    return standing(recorded, registered, since, until)


def standing(
    recorded: list[RecordedExchange], registered: Counter, since: datetime, until: datetime
) -> tuple[Counter, tuple[Exchange, ...]]:
    """Give the same of exchanges that are known, oldest first."""
    past = [one for one in recorded if one.at <= since]
    coming = [one for one in recorded if one.at > since]
    first = past[-1].exchange.counter if past else coming[0].before if coming else registered
    return first, tuple(one.exchange for one in coming if one.at <= until)
