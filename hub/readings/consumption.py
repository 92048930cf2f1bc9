"""What many meters counted, by hour, day or month of their site.

The same rules as for bills (``rules.meter``, exchanges of meters included) over two readings a step, the first and the
last: what a face did between them shows in the next step.  ``used`` is the one place that says where those readings
come from.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from hub.errors import InvalidError
from hub.readings import exchanges
from hub.readings.exchanges import RecordedExchange, standing
from hub.readings.query import POINTS_MOST, all_there, asked_period, bounded, site_named
from hub.readings.rows import Edges, Meter
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import accumulate, consume
from rules.meter.series import Counter, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period, midnight, month_start
from rules.model.quality import Quality
from rules.model.reading import Reading

SQL = queries(__package__)
METERS_MOST = 1_000  # of one page
CELLS_MOST = 50_000  # meters times steps of one page
MARGIN = timedelta(days=2)  # as far outside the period its ends may be estimated from
LONGEST_GAP = timedelta(days=2)  # these two as for bills
SETTLED_WITHIN = timedelta(minutes=1)
PROVISIONAL_FOR = timedelta(days=3)  # so long after its end late readings may still change a step


class By(StrEnum):
    """The steps of an answer."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Used:
    """What a meter counted in one step; ``value`` None: it cannot be said, and ``doubt`` says why."""

    meter: Meter
    period: Period
    value: Decimal | None
    estimated: bool
    provisional: bool
    doubt: str


async def meters(tx: Transaction, site: str | None, codes: Sequence[str] | None, after: str, most: int) -> list[Meter]:
    """Give counters by code: of a site, of a list; a page starts ``after`` a code.

    Raises NotFoundError for a site or a counter that is not there.
    """
    wanted = None if not codes else bounded(codes, POINTS_MOST)
    asked = {
        "site": None if site is None else (await site_named(tx, site)).id,
        "codes": wanted, "after": "" if wanted else after, "most": min(most, METERS_MOST),
    }  # fmt: skip
    found = await tx.all(Meter, SQL["meters"], asked, afresh=True)
    if wanted is not None:
        all_there(wanted, [one.code for one in found])
    return [one for one in found if one.code > after]


def zone_of(found: Sequence[Meter]) -> ZoneInfo:
    """Give the zone in whose time the meters' days are; raises InvalidError where they are several."""
    zones = sorted({one.timezone for one in found})
    if len(zones) > 1:
        raise InvalidError(f"These meters live in several time zones ({', '.join(zones)}); ask for one site at a time.")
    return ZoneInfo(zones[0]) if zones else ZoneInfo("UTC")


def steps(period: Period, by: By, zone: ZoneInfo, most: int) -> list[Period]:
    """Cut a period into hours, days or months of a site; raises InvalidError where it is not made of whole ones.

    Days have 23, 24 or 25 hours.  ``most`` bounds how many there may be.
    """
    asked_period(period)
    found: list[Period] = []
    at = _first(period.start, by, zone)
    if at != period.start:
        raise InvalidError(_uneven("from", period.start, by, zone))
    while at < period.end:
        past = _next(at, by, zone)
        found.append(Period(at, past))
        at = past
        if len(found) > most:
            raise InvalidError(f"One page holds at most {CELLS_MOST} values (meters times steps); ask for less.")
    if at != period.end:
        raise InvalidError(_uneven("to", period.end, by, zone))
    return found


def _uneven(which: str, at: datetime, by: By, zone: ZoneInfo) -> str:
    right = _first(at, by, zone).astimezone(zone).isoformat()
    return f"'{which}' is not where a {by} of {zone.key} begins; give e.g. {right}."


def _first(at: datetime, by: By, zone: ZoneInfo) -> datetime:
    """Give where the step begins in which ``at`` lies."""
    local = at.astimezone(zone)
    if by is By.HOUR:
        return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return midnight(local.date() if by is By.DAY else local.date().replace(day=1), zone)


def _next(at: datetime, by: By, zone: ZoneInfo) -> datetime:
    if by is By.HOUR:
        return at + timedelta(hours=1)
    day = at.astimezone(zone).date()
    return midnight(day + timedelta(days=1) if by is By.DAY else month_start(day.year, day.month + 1), zone)


async def used(
    tx: Transaction, of: Sequence[Meter], spans: Sequence[Period], by: By, zone: ZoneInfo, now: datetime
) -> list[Used]:
    """Give what each meter counted in each step, by meter and time."""
    if not of or not spans:
        return []
    whole = Period(spans[0].start - MARGIN, spans[-1].end + MARGIN)
    asked = {"points": [one.id for one in of], "start": whole.start, "end": whole.end, "by": by, "zone": zone.key}
    held: Mapping[int, list[Edges]] = defaultdict(list)
    for edges in await tx.all(Edges, SQL["edges"], asked, afresh=True):
        held[edges.point_id].append(edges)
    exchanged = await exchanges.of_points(tx, [one.id for one in of], whole.end)
    return [one for meter in of for one in _of(meter, held[meter.id], exchanged.get(meter.id, []), spans, now)]


def _of(
    meter: Meter, edges: Sequence[Edges], recorded: list[RecordedExchange], spans: Sequence[Period], now: datetime
) -> Iterator[Used]:
    readings = list(_readings(meter, edges))
    try:
        series = _series(meter, readings, recorded)
    except DoubtError as error:
        yield from (Used(meter, span, None, False, _open(span, now), error.en) for span in spans)
        return
    for span in spans:
        try:
            found = consume(series, span)
        except DoubtError as error:
            yield Used(meter, span, None, False, _open(span, now), error.en)
        else:
            yield Used(meter, span, found.quantity, found.estimated, _open(span, now), "")


def _series(meter: Meter, readings: Sequence[Reading], recorded: list[RecordedExchange]) -> Series:
    registered = Counter(meter.resolution, meter.modulus, meter.multiplier)
    if not readings:
        raise DoubtError(f"{meter.code} has no usable reading in this period.", f"{meter.code} 在此期间没有可用读数。")
    counter, coming = standing(recorded, registered, readings[0].at, readings[-1].at)
    return accumulate(readings, counter, coming, longest_gap=LONGEST_GAP, settled_within=SETTLED_WITHIN)


def _readings(meter: Meter, edges: Sequence[Edges]) -> Iterator[Reading]:
    for one in edges:
        yield Reading(meter.code, one.first_at, one.first, Quality.GOOD)
        if one.last_at != one.first_at:
            yield Reading(meter.code, one.last_at, one.last, Quality.GOOD)


def _open(span: Period, now: datetime) -> bool:
    return span.end > now - PROVISIONAL_FOR
