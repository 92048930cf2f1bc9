"""Take in gateways and devices that speak without being registered, and settle units that have changed."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from hub.access.rights import Right
from hub.assets import adoption
from hub.assets import service as assets
from hub.assets.adoption import Adoption
from rules.model.site import Commodity, Role
from web.export import table
from web.session import ConsoleVisit, Needs, Visit

router = APIRouter()
AdoptVisit = Annotated[Visit, Depends(Needs(Right.COMMISSION_POINTS))]
Text = Annotated[str, Form()]
POINT_ID_MAX = 2**63 - 1
PointId = Annotated[int, Form(ge=1, le=POINT_ID_MAX)]


class AdoptForm(BaseModel):
    """What the form sends; everything but the device itself is asked for a device only."""

    site: UUID
    gateway: str
    device: str = ""
    name_zh: str = ""
    name_en: str = ""
    space: str = ""
    role: str = ""
    commodity: str = ""
    multiplier: str = ""
    profile: str = ""

    @property
    def adoption(self) -> Adoption:
        """What is said of the device."""
        return Adoption(
            self.name_zh, self.name_en, self.space, self.role, self.commodity, self.multiplier, self.profile
        )


@router.get("/gateways/strangers.csv")
async def export(visit: ConsoleVisit) -> Response:
    """Give who speaks without being registered as CSV."""
    async with visit.transaction() as tx:
        rows = await adoption.strangers(tx)
    return table("strangers", [
        {"site": row.site, "gateway": row.gateway, "device": row.device, "declares": row.declares,
         "first_seen_at": row.first_seen_at, "last_seen_at": row.last_seen_at, "readings_held": row.readings}
        for row in rows
    ])  # fmt: skip


@router.get("/gateways/adopt")
async def form(visit: AdoptVisit, site: UUID, gateway: str, device: str = "") -> HTMLResponse:
    """Show what is known of one, and ask for what is not."""
    async with visit.transaction() as tx:
        found = await adoption.stranger(tx, site, gateway, device)
        spaces = await assets.spaces(tx, site)
        said = {"found": found, "spaces": spaces, "roles": list(Role), "commodities": list(Commodity)}
        return await visit.page(tx, "console/adopt.html", foreign=adoption.FOREIGN_PROFILE, **said)


@router.post("/gateways/adopt")
async def adopt(visit: AdoptVisit, said: Annotated[AdoptForm, Form()]) -> Response:
    """Enter it into the register."""
    async with visit.transaction() as tx:
        found = await adoption.stranger(tx, said.site, said.gateway, said.device)
        if said.device:
            await adoption.adopt_device(tx, found, said.adoption, visit.now)
        else:
            await adoption.adopt_gateway(tx, found)
    return visit.go("/gateways")


@router.post("/gateways/ignore")
async def ignore(visit: AdoptVisit, site: Annotated[UUID, Form()], gateway: Text, device: Text = "") -> Response:
    """Leave one out of the list for good."""
    async with visit.transaction() as tx:
        await adoption.ignore(tx, await adoption.stranger(tx, site, gateway, device))
    return visit.go("/gateways")


@router.post("/gateways/unit")
async def accept_unit(visit: AdoptVisit, point: PointId, unit: Text = "") -> Response:
    """Let a point have the unit that its device says."""
    async with visit.transaction() as tx:
        await adoption.accept_unit(tx, point, unit)
    return visit.go("/gateways")
