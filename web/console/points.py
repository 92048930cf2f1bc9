"""Points: the latest readings with quality and age, and the trend of one."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.errors import InvalidError
from hub.readings import service as readings
from hub.readings.query import Resolution
from hub.readings.rows import Latest
from hub.store.database import Transaction
from rules.model.period import Period, days_period
from rules.model.quality import USABLE, Quality
from web.console import commands, corrections
from web.console.neighbours import around
from web.export import table
from web.lists import LiveList
from web.session import PointsVisit, zone_of

router = APIRouter()
RANGES = {"4h": timedelta(hours=4), "1d": timedelta(days=1), "7d": timedelta(days=7), "62d": timedelta(days=62)}
YEARS = range(2000, 2100)  # a moment in an address beyond them is a slip


def _lets_through(row: Latest, filters: Mapping[str, str]) -> bool:
    wanted = filters.get("q", "").strip().lower()
    said = f"{row.point} {row.device_name_zh} {row.device_name_en} {row.space}".lower()
    if not all(word in said for word in wanted.split()):
        return False
    return filters.get("show") != "doubtful" or row.quality not in USABLE


async def latest(tx: Transaction, filters: Mapping[str, str]) -> list[Latest]:
    """Give the latest readings that the filter lets through."""
    return [row for row in await readings.latest(tx) if _lets_through(row, filters)]


async def latest_of_one(tx: Transaction, filters: Mapping[str, str]) -> list[Latest]:
    """Give the latest reading of the point that the filter names."""
    point = await readings.point(tx, filters.get("code", ""))
    return [row for row in await readings.latest(tx, device_id=point.device_id) if row.point_id == point.id]


LIST = LiveList(
    "points", frozenset({"latest", "gateway"}), Right.SEE_POINTS, "rows/point.html", latest,
    key=lambda row: str(row.point_id), sort=lambda row: row.point,
)  # fmt: skip
ONE = LiveList(
    "point", frozenset({"latest"}), Right.SEE_POINTS, "rows/point_now.html", latest_of_one,
    key=lambda row: str(row.point_id), sort=lambda _: "",
)  # fmt: skip


@router.get("/points")
async def show(visit: PointsVisit, q: str = "", show: str = "") -> HTMLResponse:
    """Show the latest readings; the filter is in the address."""
    filters = {name: value for name, value in (("q", q.strip()[:80]), ("show", show)) if value}
    async with visit.reading() as tx:
        found = await latest(tx, filters)
        rows = LIST.rows(found, visit.language, visit.who.rights, await zone_of(tx))
        any_at_all = bool(found) or bool(await readings.latest(tx, most=1))
        said = {
            "rows": rows,
            "q": filters.get("q", ""),
            "show": filters.get("show", ""),
            "query": "?" + urlencode(filters) if filters else "",
            "count": len(found),
            "any_at_all": any_at_all,
        }
        return await visit.page(tx, "console/points.html", **said)


@router.get("/points.csv")
async def export(visit: PointsVisit, q: str = "", show: str = "") -> Response:
    """Give the list as CSV."""
    async with visit.reading() as tx:
        return table("points", [_cells(row) for row in await latest(tx, {"q": q, "show": show})])


@router.get("/points/{code:path}")
async def one(
    visit: PointsVisit,
    code: str,
    range: str = "1d",  # noqa: A002 - the address's word
    at: datetime | None = None,
    first: date | None = None,
    last: date | None = None,
    resolution: str = "",
) -> HTMLResponse:
    """Show the trend of a point: up to now, around ``at`` (a bill's reading), or from and to two days of the site."""
    span = range if range in RANGES else "1d"
    step = resolution if resolution in set(Resolution) else ""
    async with visit.transaction() as tx:
        point = await readings.point(tx, code)
        now = await latest_of_one(tx, {"code": code})
        rows = ONE.rows(now, visit.language, visit.who.rights, await zone_of(tx))
        mark = at if at is not None and at.tzinfo and at.year in YEARS else None
        end = visit.now if mark is None else mark + RANGES[span] / 2
        period = Period(end - RANGES[span], end)
        chosen = _days(first, last, ZoneInfo(point.timezone))
        said = {"point": point, "rows": rows, "range": "" if chosen else span, "ranges": list(RANGES), "at": mark,
                "period": chosen or period, **_ends(chosen or period, ZoneInfo(point.timezone)), "resolution": step,
                "resolutions": list(Resolution), "near": await around(tx, code, mark) if mark else []}  # fmt: skip
        said |= await commands.setting(tx, visit, code)
        said |= await corrections.section(tx, point.id, (chosen or period).start, (chosen or period).end)
        return await visit.page(tx, "console/point.html", **said)


def _days(first: date | None, last: date | None, zone: ZoneInfo) -> Period | None:
    """Give the days that were chosen, both included; None where none were."""
    if first is None or last is None:
        return None
    if first.year not in YEARS or last.year not in YEARS:
        raise InvalidError("Choose days of this century.")
    if last < first:
        raise InvalidError("The last day lies before the first; exchange them.")
    return days_period(first, last + timedelta(days=1), zone)


def _ends(period: Period, zone: ZoneInfo) -> dict[str, date]:
    """Give the first and the last day that a period touches."""
    last = max(period.start, period.end - timedelta(microseconds=1))
    return {"first": period.start.astimezone(zone).date(), "last": last.astimezone(zone).date()}


def _cells(row: Latest) -> dict[str, Any]:
    quality = Quality(row.quality).name.lower() if row.quality in set(Quality) else row.quality
    return {
        "point": row.point, "device": row.device, "device_name_zh": row.device_name_zh,
        "device_name_en": row.device_name_en, "space": row.space, "measure": row.measure, "value": row.value,
        "unit": row.unit, "quality": quality, "at": row.at,
    }  # fmt: skip
