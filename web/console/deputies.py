"""Deputies: who decides for me while I am away."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.approvals import deputies as hub
from rules.model.period import midnight
from web.export import table
from web.session import ApproveVisit, zone_of

router = APIRouter()
DAY = timedelta(days=1)


@router.get("/deputies")
async def show(visit: ApproveVisit) -> HTMLResponse:
    """Show the visitor's deputies, and whose deputy he is; everybody's to who looks after users."""
    async with visit.transaction() as tx:
        said = {
            "deputies": await hub.deputies(tx, visit.now), "candidates": await hub.candidates(tx, visit.now),
            "today": visit.now.astimezone(await zone_of(tx)).date(), "for_all": visit.who.may(Right.MANAGE_USERS),
        }  # fmt: skip
        return await visit.page(tx, "approvals/deputies.html", **said)


@router.get("/deputies.csv")
async def export(visit: ApproveVisit) -> Response:
    """Give the same as CSV."""
    async with visit.transaction() as tx:
        found = await hub.deputies(tx, visit.now)
    return table("deputies", [
        {"principal": one.principal, "deputy": one.deputy, "from": one.start_at, "to": one.end_at,
         "made_by": one.made_by} for one in found
    ])  # fmt: skip


@router.post("/deputies")
async def add(
    visit: ApproveVisit,
    deputy: Annotated[str, Form()],
    first: Annotated[date, Form()],
    last: Annotated[date, Form()],
    principal: Annotated[str, Form()] = "",
) -> Response:
    """Name a deputy for whole days of the site, the last one included."""
    async with visit.transaction() as tx:
        zone = await zone_of(tx)
        start_at, end_at = midnight(first, zone), midnight(last + DAY, zone)
        await hub.name_deputy(tx, deputy, start_at, end_at, visit.now, principal or None)
    return visit.go("/deputies")


@router.post("/deputies/{deputation_id}/end")
async def end(visit: ApproveVisit, deputation_id: UUID) -> Response:
    """Take a deputation back at once."""
    async with visit.transaction() as tx:
        await hub.end_deputy(tx, deputation_id, visit.now)
    return visit.go("/deputies")
