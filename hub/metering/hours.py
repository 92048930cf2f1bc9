"""What counters counted hour by hour, from the hourly rollups: by the rules of the stored facts, worked out on asking.

The first and the last good reading of every hour stand for its course; what a face did between them shows in the next
hour.  Exchanges that people have recorded are followed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.errors import InvalidError
from hub.metering.course import MARGIN, follow, near
from hub.metering.rows import Edges, Meter
from hub.readings import exchanges
from hub.readings.exchanges import RecordedExchange, standing
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import Consumption, consume
from rules.meter.series import Series
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.quality import Quality
from rules.model.reading import Reading

SQL = queries(__package__)

HOUR = timedelta(hours=1)
EDGES_MOST = 250_000  # meters times hours that are looked at for one answer, margins included


@dataclass(frozen=True, slots=True)
class Hours:
    """The readings of one counter around some hours, oldest first, and its exchanges."""

    meter: Meter
    held: Sequence[Reading]
    recorded: list[RecordedExchange]

    def judged(self, spans: Sequence[Period]) -> list[Consumption | DoubtError]:
        """Judge each span by the whole course, or where that leaves a doubt, by what lies around the span alone."""
        try:
            whole: Series | None = self._series(self.held)
        except DoubtError:
            whole = None
        return [self._judged(whole, span) for span in spans]

    def _judged(self, whole: Series | None, span: Period) -> Consumption | DoubtError:
        try:
            return consume(whole or self._series(near(self.held, span)), span)
        except DoubtError as doubt:
            return doubt

    def _series(self, held: Sequence[Reading]) -> Series:
        if not held:
            code = self.meter.point
            raise DoubtError(f"{code} has no usable reading in this period.", f"{code} 在此期间没有可用读数。")
        counter, swaps = standing(self.recorded, self.meter.counter, held[0].at, held[-1].at)
        return follow(self.meter, held, counter, swaps)


async def hours(tx: Transaction, of: Sequence[Meter], whole: Period, now: datetime) -> list[Hours]:
    """Give the hours of some counters in a period; raises InvalidError for too many."""
    points = [meter.point_id for meter in of]
    since = (whole.start - MARGIN).replace(minute=0, second=0, microsecond=0)
    asked = {"points": points, "start": since, "end": whole.end + MARGIN, "most": EDGES_MOST + 1}
    found = await tx.all(Edges, SQL["edges"], asked, afresh=True)
    if len(found) > EDGES_MOST:
        raise InvalidError("Too many hours of too many meters at once; ask for fewer meters, or a shorter period.")
    codes = {meter.point_id: meter.point for meter in of}
    held: Mapping[int, list[Reading]] = defaultdict(list)
    for edges in found:
        ends = {edges.first_at: edges.first, edges.last_at: edges.last}
        held[edges.point_id] += [Reading(codes[edges.point_id], at, x, Quality.GOOD) for at, x in ends.items()]
    recorded = await exchanges.of_points(tx, points, max(now, whole.end + MARGIN))
    return [Hours(meter, held[meter.point_id], recorded.get(meter.point_id, [])) for meter in of]


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a counter counted in each hour of a day that is not over, the last one up to the last reading, and in all.

    None where it cannot be said, and for an hour that ends in a gap of more than an hour.
    """

    hours: Sequence[Consumption | None]
    total: Consumption | None


async def so_far(tx: Transaction, of: Sequence[Meter], day: Period, now: datetime) -> list[SoFar]:
    """Give how far each counter has come on a day."""
    return [_so_far(one, day) for one in await hours(tx, of, day, now)]


def _so_far(one: Hours, day: Period) -> SoFar:
    spans = [
        Period(day.start + n * HOUR, day.start + (n + 1) * HOUR) for n in range(round((day.end - day.start) / HOUR))
    ]
    inside = [reading.at for reading in one.held if reading.at < day.end]
    last = inside[-1] if inside else day.start
    begun = [span.until(last) for span in spans if span.start < last]
    if not begun:
        return SoFar([None] * len(spans), None)
    *used, total = (None if isinstance(x, DoubtError) else x for x in one.judged([*begun, Period(day.start, last)]))
    seen = [None if x is None or _guessed(x) else x for x in used]
    return SoFar([*seen, *[None] * (len(spans) - len(seen))], total)


def _guessed(one: Consumption) -> bool:
    """Whether an end of an hour lies between readings so far apart that the hour's own share is a guess."""
    return any(end.basis[-1].at - end.basis[0].at > HOUR for end in (one.start, one.end))
