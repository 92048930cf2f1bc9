"""Readings over HTTP: ranges, charts, the latest of many."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer

from hub.access.rights import Right
from hub.api import cursors, exports, forms
from hub.api import reading_answers as answers
from hub.api.answers import Failure
from hub.api.forms import Asked, Form
from hub.api.routes import REFUSALS, Caller
from hub.errors import InvalidError
from hub.readings import query
from hub.readings.query import Line, Resolution
from hub.readings.rows import Measured, Point
from rules.model.period import Period
from rules.model.quality import Quality

PAGE_ROWS, PAGE_ROWS_MOST = 5_000, 20_000
VALUES, CODE_CHARACTERS_MAX = 600, 200
YEARS = range(2000, 2100)  # a moment beyond them is a slip
NAIVE = "Give '{}' with an offset, e.g. 2026-01-31T16:00:00Z; without one nobody knows which moment is meant."
RAW_HEAD = ("point", "at", "value", "unit", "quality")
STEP_HEAD = (
    "point", "at", "unit", "n", "good_n", "min", "max", "mean", "first", "last", "covered_s", "step_s", "time_mean",
)  # fmt: skip

Code = Annotated[str, Query(max_length=CODE_CHARACTERS_MAX)]
Codes = Annotated[
    list[str], Query(description="Code of a point; several: give it several times.", examples=[["EM-A-MAIN.energy"]])
]
Site = Annotated[
    str | None, Query(description="Code of a site.", max_length=CODE_CHARACTERS_MAX, examples=["RIVERSIDE"])
]
Device = Annotated[
    str | None, Query(description="Code of a device.", max_length=CODE_CHARACTERS_MAX, examples=["EM-A-MAIN"])
]
Cursor = Annotated[
    str | None,
    Query(
        description="What 'next' of the page before says; the same question again, please.",
        max_length=cursors.CURSOR_CHARACTERS_MAX, examples=[answers.CURSOR],
    ),
]  # fmt: skip
Limit = Annotated[int, Query(description="Rows of a page.", ge=1, le=PAGE_ROWS_MOST, examples=[1000])]
BY_TOKEN = [Depends(HTTPBearer(auto_error=False, description="An API token."))]
Shape = Annotated[Asked, Depends(forms.asked)]


def spanned(
    start: Annotated[
        datetime,
        Query(alias="from", description="First moment, with an offset.", examples=["2026-11-01T00:00:00+08:00"]),
    ],
    end: Annotated[
        datetime,
        Query(alias="to", description="First moment after, with an offset.", examples=["2026-11-02T00:00:00+08:00"]),
    ],
) -> Period:
    """Give the half-open period that is asked about; raises InvalidError."""
    for name, at in (("from", start), ("to", end)):
        if at.tzinfo is None:
            raise InvalidError(NAIVE.format(name))
        if at.year not in YEARS:
            raise InvalidError(f"'{name}' lies in the year {at.year}; give one from {YEARS[0]} to {YEARS[-1]}.")
    try:
        return Period(start.astimezone(UTC), end.astimezone(UTC))
    except ValueError:
        raise InvalidError("'from' lies after 'to'; exchange them.") from None


Span = Annotated[Period, Depends(spanned)]


@dataclass(frozen=True, slots=True)
class Range:
    """A question about a range."""

    codes: tuple[str, ...]
    period: Period
    resolution: Resolution

    async def points(self, caller: Caller) -> list[Point]:
        """Give its points; raises NotFoundError."""
        async with caller.reading() as tx:
            return await query.points(tx, self.codes)

    @property
    def head(self) -> tuple[str, ...]:
        """The columns of its file."""
        return RAW_HEAD if self.resolution is Resolution.RAW else STEP_HEAD


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the routes; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    refusals: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in (*REFUSALS, 406)}
    router = APIRouter(prefix="/api/readings", dependencies=BY_TOKEN, responses=refusals)
    points = Depends(needs(Right.SEE_POINTS))

    @router.get("", response_model=answers.Readings, responses=answers.described(answers.READINGS, RAW_HEAD))
    async def readings(
        point: Codes, period: Span, wanted: Shape, resolution: Wish = "auto", values: Values = VALUES,
        limit: Limit = PAGE_ROWS, cursor: Cursor = None, caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give stored readings, hours or days of some points: JSON page by page, CSV and XLSX whole."""
        chosen = query.resolve(period, values) if resolution == "auto" else Resolution(resolution)
        about = Range(tuple(sorted(set(point))), period, chosen)
        if wanted.form is not Form.JSON:
            return await _file(wanted, about, caller)
        return forms.answer(wanted, await _page(about, limit, cursor, caller))

    @router.get("/chart", response_model=answers.Chart, responses=answers.described(answers.CHART))
    async def chart(
        request: Request, point: Codes, period: Span, resolution: Wish = "auto", values: Values = VALUES,
        caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give lines to draw: about so many values of each point, its least and greatest among them, gaps kept."""
        wish = None if resolution == "auto" else Resolution(resolution)
        async with caller.reading() as tx:
            found = await query.points(tx, point, query.CHART_POINTS_MOST)
            drawn = [await query.draw(tx, one, period, wish, values) for one in found]
        lines = [
            {**_point(one.point), "resolution": one.resolution, "at": one.line.at, "value": one.line.value,
             "min": one.line.min, "max": one.line.max}
            for one in drawn
        ]  # fmt: skip
        shape = forms.asked(request, Form.JSON)
        return forms.answer(shape, {"start": period.start, "end": period.end, "lines": lines})

    return router


Wish = Annotated[
    Literal["auto", "raw", "hour", "day"],
    Query(description="What one value stands for; auto: by the length and 'values'.", examples=["hour"]),
]
Values = Annotated[
    int,
    Query(
        description="About how many values of each point are wanted.", ge=1, le=query.CHART_VALUES_MOST, examples=[600]
    ),
]


async def _page(about: Range, limit: int, cursor: str | None, caller: Caller) -> dict[str, Any]:
    after = None
    if cursor is not None:
        code, at = cursors.opened(cursor, about, 2)
        after = (code, cursors.moment(at))
    async with caller.reading() as tx:
        found = await query.points(tx, about.codes)
        lines = await query.rows(tx, found, about.period, about.resolution, after, limit)
    more = None
    if len(lines) == limit:
        more = cursors.cursor(about, lines[-1][0].code, lines[-1][1].at)
    return {
        "start": about.period.start, "end": about.period.end, "resolution": about.resolution,
        "points": [{**_point(one), "timezone": one.timezone} for one in found],
        "readings": [_row(line) for line in lines], "next": more,
    }  # fmt: skip


async def _file(wanted: Asked, about: Range, caller: Caller) -> Response:
    """Give the whole range as a file.

    How many rows it has is asked first: a file cannot say in its middle that it is too long.
    """
    async with caller.reading() as tx:
        found = await query.points(tx, about.codes)
        query.asked_period(about.period)
        if about.resolution is Resolution.RAW:
            exports.bounded(wanted.form, await query.count(tx, found, about.period, exports.most(wanted.form)))
        else:
            exports.bounded(wanted.form, len(found) * about.resolution.steps(about.period))

    async def pages() -> AsyncIterator[Sequence[Sequence[object]]]:
        after: tuple[str, datetime] | None = None
        while True:
            async with caller.reading() as tx:
                lines = await query.rows(tx, found, about.period, about.resolution, after, exports.ROWS_PER_READ)
            yield [_cells(about.head, line) for line in lines]
            if len(lines) < exports.ROWS_PER_READ:
                return
            after = (lines[-1][0].code, lines[-1][1].at)

    return await exports.export(wanted, "readings", about.head, pages)


def _point(one: Point) -> dict[str, str]:
    return {"point": one.code, "measure": one.measure, "kind": one.kind, "unit": one.unit}


def _row(line: Line) -> dict[str, object]:
    point, one = line
    if isinstance(one, Measured):
        return {"point": point.code, "at": one.at, "value": one.value, "quality": quality(one.quality)}
    return {
        "point": point.code, "at": one.at, "n": one.n, "good_n": one.good_n, "min": one.min, "max": one.max,
        "mean": one.mean, "first": one.first, "last": one.last, "covered_s": one.covered_s, "step_s": one.step_s,
        "time_mean": one.time_mean,
    }  # fmt: skip


def _cells(head: Sequence[str], line: Line) -> list[object]:
    row = {**_row(line), "unit": line[0].unit}
    return [row[name] for name in head]


def quality(number: int) -> str:
    """Give a quality's name; a number that has none stays a number."""
    return Quality(number).name.lower() if number in set(Quality) else str(number)
