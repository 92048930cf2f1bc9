"""Consumption and completeness over HTTP."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from hub.access.rights import Right
from hub.api import cursors, exports, forms
from hub.api import reading_answers as answers
from hub.api.answers import Failure
from hub.api.forms import Form
from hub.api.readings import BY_TOKEN, Codes, Cursor, Shape, Site, Span
from hub.api.routes import REFUSALS, Caller
from hub.readings import consumption as meters
from hub.readings import query
from hub.readings import service as readings
from hub.readings.consumption import CELLS_MOST, METERS_MOST, By, Used
from hub.readings.rows import Completeness, Meter
from rules.model.period import Period

PAGE_METERS, PAGE_POINTS = 100, 1_000
USED_HEAD = ("meter", "device", "commodity", "unit", "start", "end", "value", "estimated", "provisional", "doubt")
COMPLETE_HEAD = ("point", "hours_good", "hours", "percent", "readings", "first_at", "last_at")

Steps = Annotated[
    By, Query(description="hour, day or month of the site; from and to lie where one begins.", examples=["day"])
]
Meters = Annotated[int, Query(description="Meters of a page.", ge=1, le=METERS_MOST, examples=[100])]
Points = Annotated[int, Query(description="Points of a page.", ge=1, le=readings.LATEST_MOST, examples=[1000])]


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    refusals: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in (*REFUSALS, 406)}
    router = APIRouter(prefix="/api", dependencies=BY_TOKEN, responses=refusals)
    points = Depends(needs(Right.SEE_POINTS))

    @router.get("/consumption", response_model=answers.UsedSteps, responses=answers.described(answers.USED, USED_HEAD))
    async def consumption(
        period: Span, wanted: Shape, by: Steps = By.DAY, site: Site = None, meter: Codes = [],  # noqa: B006 - FastAPI's way
        limit: Meters = PAGE_METERS, cursor: Cursor = None, caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give what meters counted: of a site, of a list, or all; JSON page by page, CSV and XLSX whole."""
        about = ("consumption", period, by, site, tuple(sorted(set(meter))))
        after = "" if cursor is None else cursors.opened(cursor, about, 1)[0]
        asked = _Counted(caller, period, by, site, meter)
        if wanted.form is not Form.JSON:
            exports.bounded(wanted.form, await asked.size())
            return await exports.export(wanted, "consumption", USED_HEAD, asked.pages)
        found, used, zone = await asked.page(after, limit)
        more = cursors.cursor(about, found[-1].code) if len(found) == limit else None
        lines = [dict(zip(USED_HEAD, _json(one), strict=True)) for one in used]
        return forms.answer(wanted, {"by": by, "timezone": zone, "consumption": lines, "next": more})

    told = answers.described(answers.COMPLETE, COMPLETE_HEAD)

    @router.get("/completeness", response_model=answers.Completeness, responses=told)
    async def completeness(
        period: Span, wanted: Shape, site: Site = None, limit: Points = PAGE_POINTS, cursor: Cursor = None,
        caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give, per point, in how many whole hours of a period there is a good reading."""
        about = ("completeness", period, site)
        after = "" if cursor is None else cursors.opened(cursor, about, 1)[0]
        async with caller.reading() as tx:
            place = None if site is None else (await query.site_named(tx, site)).id
            every = await readings.completeness(tx, period, place)
        if wanted.form is not Form.JSON:
            exports.bounded(wanted.form, len(every))
            return await exports.export(wanted, "completeness", COMPLETE_HEAD, lambda: _once(every))
        found = [one for one in every if one.point > after][:limit]
        more = cursors.cursor(about, found[-1].point) if len(found) == limit else None
        lines = [dict(zip(COMPLETE_HEAD, _complete(one), strict=True)) for one in found]
        return forms.answer(wanted, {"start": period.start, "end": period.end, "points": lines, "next": more})

    return router


class _Counted:
    """A question about consumption."""

    def __init__(self, caller: Caller, period: Period, by: By, site: str | None, codes: Sequence[str]) -> None:
        self._caller, self._period, self._by, self._site, self._codes = caller, period, by, site, codes

    async def page(self, after: str, limit: int) -> tuple[list[Meter], list[Used], str]:
        """Give a page of meters, what they counted, and the zone of their days."""
        async with self._caller.reading() as tx:
            found = await meters.meters(tx, self._site, self._codes, after, limit)
            zone = meters.zone_of(found)
            spans = meters.steps(self._period, self._by, zone, CELLS_MOST // max(1, len(found)))
            used = await meters.used(tx, found, spans, self._by, zone, datetime.now(UTC))
        return found, used, zone.key

    async def size(self) -> int:
        """Give how many rows all pages have together."""
        rows, after = 0, ""
        while True:
            async with self._caller.reading() as tx:
                found = await meters.meters(tx, self._site, self._codes, after, METERS_MOST)
            zone = meters.zone_of(found)
            rows += len(found) * len(meters.steps(self._period, self._by, zone, CELLS_MOST))
            if len(found) < METERS_MOST:
                return rows
            after = found[-1].code

    async def pages(self) -> AsyncIterator[list[list[object]]]:
        """Walk what all meters counted."""
        after, limit = "", 1
        while True:
            found, used, _ = await self.page(after, limit)
            yield [_cells(one) for one in used]
            if len(found) < limit:
                return
            after, limit = found[-1].code, max(1, min(PAGE_METERS, CELLS_MOST // max(1, len(used) // len(found))))


async def _once(every: Sequence[Completeness]) -> AsyncIterator[list[list[object]]]:
    yield [_complete(one) for one in every]


def _cells(one: Used) -> list[object]:
    meter = one.meter
    return [
        meter.code, meter.device, meter.commodity, meter.unit, one.period.start, one.period.end, one.value,
        one.estimated, one.provisional, one.doubt,
    ]  # fmt: skip


def _json(one: Used) -> list[object]:
    return [*(_cells(one)[:6]), None if one.value is None else float(one.value), *_cells(one)[7:]]


def _complete(one: Completeness) -> list[object]:
    percent = one.hours_good * 1000 // one.hours / 10 if one.hours else 0.0
    return [one.point, one.hours_good, one.hours, percent, one.readings, one.first_at, one.last_at]
