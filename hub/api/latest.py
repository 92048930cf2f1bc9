"""The latest of many points over HTTP."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Response

from hub.access.rights import Right
from hub.api import cursors, exports, forms
from hub.api import reading_answers as answers
from hub.api.answers import Failure
from hub.api.forms import Form
from hub.api.readings import BY_TOKEN, PAGE_ROWS, Codes, Cursor, Device, Limit, Shape, Site, quality
from hub.api.routes import REFUSALS, Caller
from hub.readings import query
from hub.readings.rows import LatestOf

LATEST_HEAD = ("point", "measure", "kind", "unit", "site", "device", "space", "at", "age_s", "value", "quality")


def create(needs: Callable[..., Callable[..., Any]]) -> APIRouter:
    """Give the route; ``needs(right)`` is the dependency that lets a caller in, with a session or an API token."""
    refusals: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in (*REFUSALS, 406)}
    router = APIRouter(prefix="/api/readings", dependencies=BY_TOKEN, responses=refusals)
    points = Depends(needs(Right.SEE_POINTS))

    @router.get(
        "/latest", response_model=answers.LatestReadings, responses=answers.described(answers.LATEST, LATEST_HEAD)
    )
    async def latest(
        wanted: Shape, site: Site = None, device: Device = None, point: Codes = [],  # noqa: B006 - FastAPI's way
        limit: Limit = PAGE_ROWS, cursor: Cursor = None, caller: Caller = points,
    ) -> Response:  # fmt: skip
        """Give the latest reading of points with its age and quality: of all, of a site, of a device, of a list."""
        now, about = datetime.now(UTC), ("latest", site, device, tuple(sorted(set(point))))
        after = "" if cursor is None else cursors.opened(cursor, about, 1)[0]

        async def ask(since: str, most: int) -> list[LatestOf]:
            async with caller.transaction() as tx:
                return await query.latest(tx, site, device, point, since, most)

        if wanted.form is not Form.JSON:
            return await exports.export(wanted, "latest", LATEST_HEAD, lambda: _walk(ask, now))
        found = await ask(after, limit)
        more = cursors.cursor(about, found[-1].point) if len(found) == limit else None
        body = {"readings": [dict(zip(LATEST_HEAD, _latest(one, now), strict=True)) for one in found], "next": more}
        return forms.answer(wanted, body, mark=[[one.point, one.at, one.value, one.quality] for one in found])

    return router


async def _walk(ask: Callable[[str, int], Any], now: datetime) -> AsyncIterator[Sequence[Sequence[object]]]:
    after = ""
    while True:
        found = await ask(after, exports.ROWS_PER_READ)
        yield [_latest(one, now) for one in found]
        if len(found) < exports.ROWS_PER_READ:
            return
        after = found[-1].point


def _latest(one: LatestOf, now: datetime) -> list[object]:
    age = None if one.at is None else round((now - one.at).total_seconds(), 3)
    known = None if one.quality is None else quality(one.quality)
    return [
        one.point, one.measure, one.kind, one.unit, one.site, one.device, one.space, one.at, age, one.value, known,
    ]  # fmt: skip
