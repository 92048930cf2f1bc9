"""What many meters counted step by step: days and months as they are stored, hours worked out from the rollups.

A figure is stored once: whoever asks for a day or a month is told the same as the page of consumption shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from hub.errors import InvalidError, NotFoundError
from hub.metering.days import Grain, day_of
from hub.metering.hours import hours
from hub.metering.rows import Figure, Meter, Virtual
from hub.metering.service import virtual_meters
from hub.metering.steps import By
from hub.metering.store import SETTLING
from hub.readings.query import CODE_SHOWN, POINTS_MOST, bounded, site_named
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import Consumption
from rules.meter.fact import State, fact_of, state_of
from rules.model.doubt import DoubtError
from rules.model.period import Period

SQL = queries(__package__)

METERS_MOST = 1_000  # of one page
NOT_OVER = "This {by} is not over yet; ask by {less} for what is known of it."
NOT_HEARD = "Nothing has been worked out for this {by}: no reading of it has come in, or it came just now."
VIRTUAL_HOUR = "A virtual meter is worked out by day and month, not by hour."


@dataclass(frozen=True, slots=True)
class Counted:
    """What a meter counted in one step; ``value`` None: it cannot be said, and ``doubt`` says why.

    ``state`` is None where nothing is stored of a day or a month; ``version`` and ``worked_at`` where it was worked out
    on asking.  The ends say what the face showed and how that is known.
    """

    meter: Meter | Virtual
    period: Period
    value: Decimal | None
    doubt: str = ""
    state: str | None = None
    estimated: bool = False
    start: tuple[Decimal | None, str | None] = (None, None)
    end: tuple[Decimal | None, str | None] = (None, None)
    version: int | None = None
    worked_at: datetime | None = None


def code_of(meter: Meter | Virtual) -> str:
    """Give the code by which a meter is asked for: its counter's, or the virtual meter's."""
    return meter.point if isinstance(meter, Meter) else meter.code


async def chosen(
    tx: Transaction, site: str | None, codes: Sequence[str] | None, after: str, most: int
) -> list[Meter | Virtual]:
    """Give meters by code: of a site, of a list; a page starts ``after`` a code.

    Virtual meters that were withdrawn are given where they are named.  Raises NotFoundError for a site or a meter that
    is not there.
    """
    wanted = None if not codes else bounded(codes, POINTS_MOST)
    site_id = None if site is None else (await site_named(tx, site)).id
    since = "" if wanted else after
    asked = {"site": site_id, "codes": wanted, "after": since, "most": min(most, METERS_MOST)}
    found: list[Meter | Virtual] = [*await tx.all(Meter, SQL["meters_after"], asked, afresh=True)]
    found += [
        virtual
        for virtual in await virtual_meters(tx, site_id)
        if virtual.code > since and (virtual.code in wanted if wanted else not virtual.withdrawn)
    ]
    found.sort(key=code_of)
    if wanted and (missing := min(set(wanted) - {code_of(one) for one in found}, default=None)):
        raise NotFoundError(
            f"There is no such meter '{missing[:CODE_SHOWN]}'; "
            "give a counter of a device that counts something, or a virtual meter."
        )
    return [one for one in found if code_of(one) > after][: min(most, METERS_MOST)]


def zone_of(found: Sequence[Meter | Virtual]) -> ZoneInfo:
    """Give the zone in whose time the meters' days are; raises InvalidError where they are several."""
    zones = sorted({one.timezone for one in found})
    if len(zones) > 1:
        raise InvalidError(f"These meters live in several time zones ({', '.join(zones)}); ask for one site at a time.")
    return ZoneInfo(zones[0]) if zones else ZoneInfo("UTC")


async def counted(
    tx: Transaction, of: Sequence[Meter | Virtual], spans: Sequence[Period], by: By, now: datetime
) -> list[Counted]:
    """Give what each meter counted in each step, by meter and time."""
    if not of or not spans:
        return []
    if by is By.HOUR:
        return await _hourly(tx, of, spans, now)
    return await _stored(tx, of, spans, Grain(by.value), now)


async def _stored(
    tx: Transaction, of: Sequence[Meter | Virtual], spans: Sequence[Period], grain: Grain, now: datetime
) -> list[Counted]:
    zone = zone_of(of)
    asked = {
        "grain": grain.value, "first": day_of(spans[0].start, zone), "past": day_of(spans[-1].end, zone),
        "points": [one.point_id for one in of if isinstance(one, Meter)],
        "virtuals": [one.id for one in of if isinstance(one, Virtual)], "most": len(of) * len(spans),
    }  # fmt: skip
    held = {
        (one.point_id or one.virtual_id, one.first): one
        for one in await tx.all(Figure, SQL["figures"], asked, afresh=True)
    }
    firsts = [(span, day_of(span.start, zone)) for span in spans]
    return [
        _told(meter, held.get((meter.point_id if isinstance(meter, Meter) else meter.id, first)), span, grain, now)
        for meter in of
        for span, first in firsts
    ]


def _told(meter: Meter | Virtual, one: Figure | None, span: Period, grain: Grain, now: datetime) -> Counted:
    if one is None:
        less = "hour" if grain is Grain.DAY else "day"
        why = NOT_OVER if span.end > now else NOT_HEARD
        return Counted(meter, span, None, why.format(by=grain.value, less=less))
    start, end = (_number(one.start_value), one.start_method), (_number(one.end_value), one.end_method)
    return Counted(
        meter, Period(one.starts_at, one.ends_at), one.quantity, one.doubt or "", one.state, one.estimated, start, end,
        one.version, one.worked_at,
    )  # fmt: skip


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


async def _hourly(
    tx: Transaction, of: Sequence[Meter | Virtual], spans: Sequence[Period], now: datetime
) -> list[Counted]:
    real = [one for one in of if isinstance(one, Meter)]
    whole = Period(spans[0].start, spans[-1].end)
    held = {one.meter.point_id: one for one in await hours(tx, real, whole, now)}
    found: list[Counted] = []
    for meter in of:
        if isinstance(meter, Meter):
            judged = held[meter.point_id].judged(spans)
            found += _walk(meter, spans, judged, now)
        else:
            found += [Counted(meter, span, None, VIRTUAL_HOUR) for span in spans]
    return found


def _walk(
    meter: Meter, spans: Sequence[Period], judged: Sequence[Consumption | DoubtError], now: datetime
) -> Iterator[Counted]:
    for span, one in zip(spans, judged, strict=True):
        if isinstance(one, DoubtError):
            yield Counted(meter, span, None, one.en, State.PARKED.value)
            continue
        state = state_of(fact_of(one), span.end, now, SETTLING)
        start, end = (one.start.value, one.start.method.value), (one.end.value, one.end.method.value)
        yield Counted(meter, span, one.quantity, "", state.value, one.estimated, start, end)
