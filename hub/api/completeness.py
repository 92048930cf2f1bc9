"""Completeness and gaps over HTTP: how much of the time is covered by good readings, and where it is not."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response

from hub.access.rights import Right
from hub.api import cursors, exports, forms
from hub.api import gap_answers as answers
from hub.api.answers import Failure
from hub.api.forms import Form
from hub.api.reading_answers import described
from hub.api.readings import BY_TOKEN, Code, Cursor, Device, Shape, Site, Span
from hub.api.routes import REFUSALS, Caller
from hub.errors import InvalidError
from hub.metering.days import DAY, day_of
from hub.metering.steps import CELLS_MOST, By, steps
from hub.readings import completeness as readings
from hub.readings import query
from hub.readings.completeness import Gap, Gaps, Place, percent, share
from hub.readings.rows import PointShare
from hub.store.database import Transaction
from rules.model.period import Period

PAGE_ROWS, PAGE_ROWS_MOST = 1_000, 5_000
COMPLETE_HEAD = (
    "gateway", "device", "point", "since", "percent", "expected_s", "covered_s", "late_s", "readings", "bad",
)  # fmt: skip
GAPS_HEAD = (
    "gateway", "device", "point", "start", "end", "missing_s", "expected_s", "open", "bad", "recovered_at",
)  # fmt: skip
TOO_MANY = "There are more gaps than one file holds; ask for a shorter period, a device or a point."

Point = Annotated[Code | None, Query(description="Code of a point.", max_length=200, examples=["EM-A-MAIN.energy"])]
Rows = Annotated[int, Query(description="Rows of a page.", ge=1, le=PAGE_ROWS_MOST, examples=[1000])]


class Each(StrEnum):
    """What a row stands for."""

    POINT = "point"
    DEVICE = "device"


Of = Annotated[Each, Query(alias="by", description="A row for every point, or for every device.", examples=["device"])]


@dataclass(frozen=True, slots=True)
class About:
    """A question about a site, a device or a point."""

    period: Period
    site: str | None
    device: str | None
    point: str | None

    async def place(self, tx: Transaction) -> Place:
        """Give where to look; raises NotFoundError, and InvalidError where there are several sites."""
        device = None if self.device is None else await query.device_named(tx, self.device)
        if self.point is not None and self.site is None:
            [point] = await query.points(tx, [self.point])
            return Place(point.site_id, ZoneInfo(point.timezone), device, self.point)
        site = await query.site_meant(tx, self.site)
        return Place(site.id, site.zone, device, self.point)

    async def shares(self, tx: Transaction, now: datetime) -> list[PointShare]:
        """Give the share of every point; raises InvalidError for a period that is not made of days of the site."""
        place = await self.place(tx)
        days = steps(self.period, By.DAY, place.zone, CELLS_MOST)
        if not days:
            return []
        first, last = day_of(days[0].start, place.zone), day_of(days[-1].start, place.zone)
        return await readings.points(tx, place, (first, last + DAY), now)


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    refusals: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in (*REFUSALS, 406)}
    router = APIRouter(prefix="/api", dependencies=BY_TOKEN, responses=refusals)
    points = Depends(needs(Right.SEE_POINTS))

    told = described(answers.COMPLETE, COMPLETE_HEAD)

    @router.get("/completeness", response_model=answers.Completeness, responses=told)
    async def completeness(
        period: Span, wanted: Shape, by: Of = Each.POINT, site: Site = None, device: Device = None,
        point: Point = None, limit: Rows = PAGE_ROWS, cursor: Cursor = None, caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give, per point or device, how much of some days of a site is covered by good readings."""
        about = About(period, site, device, point)
        after = [] if cursor is None else cursors.opened(cursor, (about, by), 3)
        async with caller.reading() as tx:
            shares = await about.shares(tx, datetime.now(UTC))
        every = sorted((_cells(one) for one in (_devices(shares) if by is Each.DEVICE else shares)), key=_key)
        if wanted.form is not Form.JSON:
            exports.bounded(wanted.form, len(every))
            return await exports.export(wanted, "completeness", COMPLETE_HEAD, lambda: _once(every))
        found = [one for one in every if not after or _key(one) > after][:limit]
        more = cursors.cursor((about, by), *_key(found[-1])) if len(found) == limit else None
        lines = [dict(zip(COMPLETE_HEAD, one, strict=True)) for one in found]
        return forms.answer(wanted, {"start": period.start, "end": period.end, "rows": lines, "next": more})

    listed = described(answers.GAPS, GAPS_HEAD)

    @router.get("/gaps", response_model=answers.Gaps, responses=listed)
    async def gaps(
        period: Span, wanted: Shape, site: Site = None, device: Device = None, point: Point = None,
        caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give the gaps between good readings, those that were filled in later among them."""
        about = About(period, site, device, point)
        async with caller.reading() as tx:
            found: Gaps = await readings.gaps(tx, await about.place(tx), period, datetime.now(UTC))
        lines = [_gap(one) for one in found.gaps]
        if wanted.form is not Form.JSON:
            if found.more or found.points_left_off:
                raise InvalidError(TOO_MANY)
            return await exports.export(wanted, "gaps", GAPS_HEAD, lambda: _once(lines))
        said = [dict(zip(GAPS_HEAD, one, strict=True)) for one in lines]
        left = {"points_left_off": found.points_left_off, "more": found.more}
        return forms.answer(wanted, {"start": period.start, "end": period.end, "gaps": said, **left})

    return router


async def _once(every: Sequence[Sequence[object]]) -> AsyncIterator[Sequence[Sequence[object]]]:
    yield every


def _devices(shares: Iterable[PointShare]) -> list[PointShare]:
    """Add up the points of every device."""
    found: list[PointShare] = []
    for (gateway, device), group in groupby(shares, key=lambda one: (one.gateway, one.device)):
        some = list(group)
        expected, covered, late = (
            sum(amounts) for amounts in zip(*((x.expected_s, x.covered_s, x.late_s) for x in some), strict=True)
        )
        n, bad = sum(x.readings for x in some), sum(x.bad for x in some)
        since = min(x.since for x in some)
        found.append(PointShare(0, "", "", device, gateway, since, expected, covered, late, n, bad))
    return found


def _key(cells: Sequence[object]) -> list[str]:
    return [str(cell or "") for cell in cells[:3]]


def _cells(one: PointShare) -> list[object]:
    known = percent(share(one.covered_s, one.expected_s))
    seconds = (round(x, 3) for x in (one.expected_s, one.covered_s, one.late_s))
    return [one.gateway, one.device, one.point or None, one.since, known, *seconds, one.readings, one.bad]


def _gap(one: Gap) -> list[object]:
    missing, expected = round(one.missing_s, 3), round(one.expected_s, 3)
    return [
        one.gateway, one.device, one.point, one.start_at, one.end_at, missing, expected, one.open, one.bad,
        one.recovered_at,
    ]  # fmt: skip
