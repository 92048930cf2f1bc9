"""Commissioning: which counters bills may stand on, who looked at their faces, and records brought from site."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response, UploadFile
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.assets import commission
from hub.assets.commission import Commissioned
from hub.errors import InvalidError, NotFoundError
from rules.meter.look import RECORD_BYTES_MAX
from web.export import table
from web.session import Needs, PointsVisit, Visit

router = APIRouter()
CommissionVisit = Annotated[Visit, Depends(Needs(Right.COMMISSION_POINTS))]
SHOWN = ("", "trusted", "untrusted")


@router.get("/commissioning")
async def show(visit: PointsVisit, show: str = "") -> HTMLResponse:
    """Show every counter and whether bills may stand on it."""
    async with visit.transaction() as tx:
        return await visit.page(tx, "console/commissioning.html", **_said(await commission.counters(tx), show))


@router.get("/commissioning.csv")
async def export(visit: PointsVisit, show: str = "") -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        found = _said(await commission.counters(tx), show)["rows"]
        return table("commissioning", [_cells(row) for row in found])


@router.post("/commissioning")
async def take(visit: CommissionVisit, record: UploadFile) -> HTMLResponse:
    """Take in the record that an engineer's laptop wrote on site."""
    sent = await record.read(RECORD_BYTES_MAX + 1)
    try:
        text = sent.decode()
    except UnicodeDecodeError:
        raise InvalidError("This is no record of commissioning: it is not text.") from None
    if not text:
        raise InvalidError("Choose the record first.")
    async with visit.transaction() as tx:
        taken = await commission.take_record(tx, text, visit.now)
        said = _said(await commission.counters(tx), "")
        return await visit.page(tx, "console/commissioning.html", **{**said, "taken": taken})


@router.get("/commissioning/{code}")
async def one(visit: PointsVisit, code: str) -> HTMLResponse:
    """Show every look at a counter."""
    async with visit.transaction() as tx:
        row = next((row for row in await commission.counters(tx) if row.counter.code == code), None)
        if row is None:
            raise NotFoundError("There is no such counter.")
        looks = await commission.life(tx, code)
        return await visit.page(tx, "console/commissioned.html", row=row, looks=looks[::-1])


def _said(rows: list[Commissioned], show: str) -> dict[str, Any]:
    wanted = show if show in SHOWN else ""
    shown = [row for row in rows if not wanted or row.trusted == (wanted == "trusted")]
    trusted = sum(row.trusted for row in rows)
    return {"rows": shown, "all": len(rows), "trusted": trusted, "show": wanted, "taken": None}


def _cells(row: Commissioned) -> dict[str, Any]:
    last = row.last
    return {
        "point": row.counter.code, "device": row.counter.device, "device_name_zh": row.counter.name_zh,
        "device_name_en": row.counter.name_en, "space": row.counter.space, "unit": row.counter.unit,
        "trusted": row.trusted, "looked_at": last.at if last else None, "by": last.by_whom if last else None,
        "face": last.face if last else None, "shown": last.shown if last else None,
        "agrees": last.agrees if last else None, "remark": last.said if last else None,
    }  # fmt: skip
