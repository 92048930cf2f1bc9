"""Who went through which door: searched for a reason, each search on the record.

Names are typed into forms that are sent, never into addresses, which browsers and proxies keep.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.errors import InvalidError
from hub.store.database import Transaction
from hub.surveillance import service as surveillance
from hub.surveillance.rows import BadgeEvent
from hub.surveillance.service import RESULTS, Search
from web.console.stills import Reason, days
from web.export import table
from web.session import Needs, Visit, zone_of

router = APIRouter()

BadgesVisit = Annotated[Visit, Depends(Needs(Right.SEE_BADGES))]
Field = Annotated[str, Form(max_length=120)]
SHIFT = timedelta(hours=12)
NO_DAYS = "Say from which day to which day you search."


@router.get("/badges")
async def show(visit: BadgesVisit) -> HTMLResponse:
    """Show the form; nothing is searched before it is filled in."""
    async with visit.transaction() as tx:
        first, last = shift(visit.now.astimezone(await zone_of(tx)))
        filled = {"person": "", "door": "", "place": "", "result": "", "first": first, "last": last, "reason": ""}
        return await _page(visit, tx, filled, None)


def shift(now: datetime) -> tuple[str, str]:
    """Give the days that a guard asks about first: those of the last SHIFT, which at night are two."""
    return f"{now - SHIFT:%Y-%m-%d}", f"{now:%Y-%m-%d}"


@router.post("/badges")
async def search(
    visit: BadgesVisit, first: Field = "", last: Field = "", person: Field = "", door: Field = "", place: Field = "",
    result: Field = "", reason: Reason = "",
) -> HTMLResponse:  # fmt: skip
    """Show the badge events that fit."""
    filled = {"person": person, "door": door, "place": place, "result": result, "first": first, "last": last,
              "reason": reason}  # fmt: skip
    async with visit.transaction() as tx:
        found = await surveillance.search(tx, await _asked(tx, filled), reason)
        return await _page(visit, tx, filled, found)


@router.post("/badges.csv")
async def export(
    visit: BadgesVisit, first: Field = "", last: Field = "", person: Field = "", door: Field = "", place: Field = "",
    result: Field = "", reason: Reason = "",
) -> Response:  # fmt: skip
    """Give the badge events that fit as CSV."""
    filled = {"person": person, "door": door, "place": place, "result": result, "first": first, "last": last}
    async with visit.transaction() as tx:
        found = await surveillance.search(tx, await _asked(tx, filled), reason, export=True)
    return table("badge-events", [_cells(event) for event in found])


async def _asked(tx: Transaction, filled: dict[str, str]) -> Search:
    start, end = days(filled["first"], filled["last"], await zone_of(tx))
    if start is None or end is None:
        raise InvalidError(NO_DAYS)
    return Search(
        start, end, filled["person"].strip() or None, filled["door"] or None, filled["place"] or None,
        filled["result"] or None,
    )  # fmt: skip


async def _page(visit: Visit, tx: Transaction, filled: dict[str, str], found: list[BadgeEvent] | None) -> HTMLResponse:
    said: dict[str, Any] = {
        **filled,
        "events": found,
        "doors": await surveillance.doors(tx),
        "places": await surveillance.zones(tx),
        "results": RESULTS,
        "most": surveillance.SHOWN_MAX,
    }
    return await visit.page(tx, "surveillance/badges.html", **said)


def _cells(event: BadgeEvent) -> dict[str, Any]:
    return {
        "at": event.at, "site": event.site, "zone": event.zone, "door": event.door, "result": event.result,
        "badge": event.badge, "name": event.name,
    }  # fmt: skip
