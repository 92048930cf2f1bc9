"""Consumption over HTTP: the stored facts of days and months, hours worked out on asking."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from hub.access.rights import Right
from hub.api import cursors, exports, forms
from hub.api import reading_answers as answers
from hub.api.answers import Failure
from hub.api.forms import Form
from hub.api.readings import BY_TOKEN, Codes, Cursor, Shape, Site, Span
from hub.api.routes import REFUSALS, Caller
from hub.metering import counted as meters
from hub.metering.counted import METERS_MOST, Counted, zone_of
from hub.metering.rows import Meter, Virtual
from hub.metering.steps import CELLS_MOST, By, steps
from rules.meter.fact import State
from rules.model.period import Period

PAGE_METERS = 100
USED_HEAD = (
    "meter", "device", "commodity", "unit", "start", "end", "value", "estimated", "provisional", "doubt", "state",
    "version", "start_value", "start_method", "end_value", "end_method", "worked_at",
)  # fmt: skip

Steps = Annotated[
    By, Query(description="hour, day or month of the site; from and to lie where one begins.", examples=["day"])
]
Meters = Annotated[int, Query(description="Meters of a page.", ge=1, le=METERS_MOST, examples=[100])]


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the route; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
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
        asked = _Asked(caller, period, by, site, meter)
        if wanted.form is not Form.JSON:
            exports.bounded(wanted.form, await asked.size())
            return await exports.export(wanted, "consumption", USED_HEAD, asked.pages)
        found, used, zone = await asked.page(after, limit)
        more = cursors.cursor(about, meters.code_of(found[-1])) if len(found) == limit else None
        lines = [dict(zip(USED_HEAD, map(_plain, _cells(one)), strict=True)) for one in used]
        return forms.answer(wanted, {"by": by, "timezone": zone, "consumption": lines, "next": more})

    return router


class _Asked:
    """A question about consumption."""

    def __init__(self, caller: Caller, period: Period, by: By, site: str | None, codes: Sequence[str]) -> None:
        self._caller, self._period, self._by, self._site, self._codes = caller, period, by, site, codes

    async def page(self, after: str, limit: int) -> tuple[list[Meter | Virtual], list[Counted], str]:
        """Give a page of meters, what they counted, and the zone of their days."""
        async with self._caller.reading() as tx:
            found = await meters.chosen(tx, self._site, self._codes, after, limit)
            zone = zone_of(found)
            spans = steps(self._period, self._by, zone, CELLS_MOST // max(1, len(found)))
            used = await meters.counted(tx, found, spans, self._by, datetime.now(UTC))
        return found, used, zone.key

    async def size(self) -> int:
        """Give how many rows all pages have together."""
        rows, after = 0, ""
        while True:
            async with self._caller.reading() as tx:
                found = await meters.chosen(tx, self._site, self._codes, after, METERS_MOST)
            rows += len(found) * len(steps(self._period, self._by, zone_of(found), CELLS_MOST))
            if len(found) < METERS_MOST:
                return rows
            after = meters.code_of(found[-1])

    async def pages(self) -> AsyncIterator[list[list[object]]]:
        """Walk what all meters counted."""
        after, limit = "", 1
        while True:
            found, used, _ = await self.page(after, limit)
            yield [_cells(one) for one in used]
            if len(found) < limit:
                return
            after = meters.code_of(found[-1])
            limit = max(1, min(PAGE_METERS, CELLS_MOST // max(1, len(used) // len(found))))


def _cells(one: Counted) -> list[object]:
    meter = one.meter
    return [
        meters.code_of(meter), meter.code, meter.commodity, meter.unit, one.period.start, one.period.end, one.value,
        one.estimated, one.state != State.FINAL, one.doubt, one.state, one.version, *one.start, *one.end, one.worked_at,
    ]  # fmt: skip


def _plain(cell: object) -> object:
    return float(cell) if isinstance(cell, Decimal) else cell
