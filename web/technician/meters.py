"""The reading round on the phone: meters that want reading, one meter's form with photo, and its exchange."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Response, UploadFile
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.corrections import rounds
from hub.corrections.plan import target
from hub.corrections.rounds import Entered
from hub.corrections.rows import Swap
from web.console.corrections import fitting, local, moment, number
from web.photos import taken
from web.session import Needs, Visit

router = APIRouter()
RoundVisit = Annotated[Visit, Depends(Needs(Right.ENTER_READINGS))]


@dataclass(frozen=True, slots=True)
class Told:
    """What every form at a meter says: under which id, when, what is remarked; no time: now."""

    id: Annotated[UUID, Form()]
    at: Annotated[str, Form()] = ""
    remark: Annotated[str, Form()] = ""

    def when(self, zone: ZoneInfo, now: datetime) -> datetime:
        """Give the moment; raises InvalidError."""
        return moment(self.at, zone) if self.at else now


@router.get("/meters")
async def show(visit: RoundVisit, q: str = "") -> HTMLResponse:
    """Show the counters that want reading, or those that a text finds."""
    async with visit.transaction() as tx:
        found = await rounds.due(tx, visit.now, q[:80])
        return await visit.page(tx, "technician/meters.html", rows=found, q=q[:80], most=rounds.DUE_MAX)


@router.get("/meters/{point_id}")
async def one(visit: RoundVisit, point_id: int) -> HTMLResponse:
    """Show one counter with its forms."""
    async with visit.transaction() as tx:
        found = await rounds.meter(tx, point_id, visit.now)
        said = {
            "meter": found,
            "reading_id": uuid4(),
            "exchange_id": uuid4(),
            "now_local": local(visit.now, found.target),
        }
        return await visit.page(tx, "technician/meter.html", **said)


@router.post("/meters/{point_id}/reading")
async def read(
    visit: RoundVisit,
    point_id: int,
    told: Annotated[Told, Depends()],
    value: Annotated[str, Form()] = "",
    sure: Annotated[bool, Form()] = False,
    photo: UploadFile | None = None,
) -> Response:
    """Enter what the face shows."""
    kept = await taken(photo)
    async with visit.transaction() as tx:
        zone = (await target(tx, None, point_id)).zone
        entered = Entered(told.id, number(value), told.when(zone, visit.now), told.remark, sure, kept)
        await rounds.enter(tx, point_id, entered, visit.now)
    return visit.go("/meters")


@router.post("/meters/{point_id}/exchange")
async def exchange(
    visit: RoundVisit,
    point_id: int,
    told: Annotated[Told, Depends()],
    final: Annotated[str, Form()] = "",
    initial: Annotated[str, Form()] = "",
    multiplier: Annotated[str, Form()] = "",
    serial_before: Annotated[str, Form()] = "",
    serial: Annotated[str, Form()] = "",
    photo: UploadFile | None = None,
) -> Response:
    """Record that the meter was exchanged or reset."""
    kept = await taken(photo)
    swap = Swap(number(final), number(initial), number(multiplier), serial_before, serial)
    async with fitting(visit) as tx:
        zone = (await target(tx, None, point_id)).zone
        entered = Entered(told.id, None, told.when(zone, visit.now), told.remark, sure=True, photo=kept)
        await rounds.exchange(tx, point_id, swap, entered, visit.now)
    return visit.go("/meters")
