"""Stills of cameras: found by camera, zone and day; opened one by one, each look on the record."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.errors import InvalidError
from hub.store.database import Transaction
from hub.surveillance import service as surveillance
from hub.surveillance import stills
from hub.surveillance.rows import Still
from hub.surveillance.stills import Filter
from rules.model.period import midnight
from web.export import table
from web.session import Needs, Visit, zone_of

router = APIRouter()

StillsVisit = Annotated[Visit, Depends(Needs(Right.SEE_STILLS))]
Reason = Annotated[str, Form(max_length=500)]
JPEG = "image/jpeg"
FILE = {"Content-Security-Policy": "sandbox; default-src 'none'", "Cross-Origin-Resource-Policy": "same-origin"}


def day_of(text: str) -> date | None:
    """Give the day that a form's field says, None where it says nothing; raises InvalidError."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"'{text[:20]}' is not a day; write it like 2026-01-31.") from None


def days(first: str, last: str, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Give the span from the beginning of the first day to the end of the last, in the time of the site."""
    start, end = day_of(first), day_of(last)
    try:
        return (
            midnight(start, zone) if start else None,
            midnight(end + timedelta(days=1), zone) if end else None,
        )
    except OverflowError:
        raise InvalidError("This day lies too far off; choose another.") from None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's form asks for."""

    camera: str = ""
    place: str = ""
    first: str = ""
    last: str = ""
    before: datetime | None = None

    def filter(self, zone: ZoneInfo) -> Filter:
        """Say it in moments; raises InvalidError."""
        start, end = days(self.first, self.last, zone)
        if self.before is not None and self.before.tzinfo is not None:
            end = min(self.before, end) if end else self.before
        return Filter(self.camera or None, self.place or None, start, end)


@router.get("/stills")
async def show(visit: StillsVisit, asked: Annotated[Asked, Depends()]) -> HTMLResponse:
    """Show stills, newest first; those of sensitive zones without their pictures."""
    async with visit.transaction() as tx:
        filters = {"camera": asked.camera, "place": asked.place, "first": asked.first, "last": asked.last}
        found = await stills.browse(tx, asked.filter(await zone_of(tx)))
        said: dict[str, Any] = {
            **filters,
            "stills": found,
            "cameras": await stills.cameras(tx),
            "places": await surveillance.zones(tx),
            "query": urlencode({name: value for name, value in filters.items() if value}),
            "full": len(found) == stills.SHOWN_MAX,
        }
        return await visit.page(tx, "surveillance/stills.html", **said)


@router.get("/stills.csv")
async def export(visit: StillsVisit, asked: Annotated[Asked, Depends()]) -> Response:
    """Give the list as CSV, without pictures; it is recorded."""
    async with visit.transaction() as tx:
        found = await stills.browse(tx, asked.filter(await zone_of(tx)), export=True)
    return table("stills", [_cells(one) for one in found])


@router.get("/stills/{still_id}")
async def one(visit: StillsVisit, still_id: UUID) -> HTMLResponse:
    """Show a still; one of a sensitive zone asks for the reason first."""
    async with visit.transaction() as tx:
        found = await stills.still(tx, still_id)
        if found.sensitive:
            return await _page(visit, tx, found, None, "")
        return await _look(visit, tx, still_id, "")


@router.post("/stills/{still_id}")
async def look(visit: StillsVisit, still_id: UUID, reason: Reason = "") -> HTMLResponse:
    """Show a still for a reason."""
    async with visit.transaction() as tx:
        return await _look(visit, tx, still_id, reason)


async def _look(visit: Visit, tx: Transaction, still_id: UUID, reason: str) -> HTMLResponse:
    found, picture = await stills.look(tx, still_id, reason)
    return await _page(visit, tx, found, picture, reason)


async def _page(visit: Visit, tx: Transaction, found: Still, picture: bytes | None, reason: str) -> HTMLResponse:
    # The picture travels inside the page that the record speaks of: there is no address under which it lies.
    data = f"data:{JPEG};base64,{b64encode(picture).decode()}" if picture is not None else ""
    return await visit.page(tx, "surveillance/still.html", still=found, picture=data, reason=reason)


@router.get("/stills/{still_id}/thumbnail")
async def thumbnail(visit: StillsVisit, still_id: UUID) -> Response:
    """Give the small picture for the list; there is none of sensitive zones."""
    async with visit.transaction() as tx:
        picture = await stills.thumbnail(tx, still_id)
    return Response(picture, media_type=JPEG, headers={**FILE, "Content-Disposition": 'inline; filename="still.jpg"'})


@router.post("/stills/{still_id}/picture")
async def take_along(visit: StillsVisit, still_id: UUID, reason: Reason = "") -> Response:
    """Give the picture as a file to keep."""
    async with visit.transaction() as tx:
        found, picture = await stills.look(tx, still_id, reason, taken_along=True)
    name = f"still-{found.camera}-{found.at:%Y%m%d-%H%M%S}.jpg"  # a camera's code holds nothing that a header minds
    return Response(picture, media_type=JPEG, headers={**FILE, "Content-Disposition": f'attachment; filename="{name}"'})


@router.post("/stills/{still_id}/keep")
async def keep(visit: StillsVisit, still_id: UUID, until: Annotated[str, Form()], reason: Reason = "") -> Response:
    """Keep a still as evidence to the end of a day."""
    async with visit.transaction() as tx:
        _, end = days("", until, await zone_of(tx))
        if end is None:
            raise InvalidError("Say until which day it is kept.")
        await stills.keep(tx, still_id, end, reason, visit.now)
    return visit.go(f"/stills/{still_id}")


def _cells(still: Still) -> dict[str, Any]:
    return {
        "still": still.id, "site": still.site, "zone": still.zone, "camera": still.camera, "at": still.at,
        "kind": still.kind, "width": still.width, "height": still.height, "kept_until": still.kept_until,
    }  # fmt: skip
