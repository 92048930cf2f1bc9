"""The first page: what is wrong, what is open, what is heard, what was used today."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.assets import service as assets
from hub.assets.rows import Site
from hub.store.database import Transaction
from hub.work import service as work
from web.console import alarms as alarm_pages
from web.console import usage
from web.lists import LiveList
from web.session import Anyone, ConsoleVisit, Visit, first_site, zone_of

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the overview; ``numbers`` go with what ``name`` says, ``bad`` asks for a look."""

    name: str
    link: str
    numbers: tuple[int, ...]
    bad: bool


async def tiles(tx: Transaction, filters: Mapping[str, str]) -> list[Tile]:  # noqa: ARG001 - a list's signature
    """Count what stands, what is open and what is heard."""
    standing: list[str] = [alarm.priority for alarm in await alarms.active(tx)]
    open_orders = await work.orders(tx)
    gateways = await assets.gateways(tx)
    heard = sum(gateway.devices_online for gateway in gateways)
    every = sum(gateway.devices for gateway in gateways)
    online = sum(gateway.online for gateway in gateways)
    unassigned = sum(order.assignee_id is None for order in open_orders)
    return [
        Tile("alarms", "/alarms", tuple(standing.count(one) for one in alarm_pages.PRIORITIES), bool(standing)),
        Tile("orders", "/orders", (len(open_orders), unassigned), unassigned > 0),
        Tile("gateways", "/gateways", (online, len(gateways)), online < len(gateways)),
        Tile("devices", "/points", (heard, every), heard < every),
    ]


TILES = LiveList(
    "tiles",
    frozenset({"alarm", "work_order", "gateway"}),
    Right.SEE_CONSOLE,
    "rows/tile.html",
    tiles,
    key=lambda tile: tile.name,
    sort=lambda tile: str(["alarms", "orders", "gateways", "devices"].index(tile.name)),
)


@router.get("/")
async def show(visit: Anyone) -> Response:
    """Show the overview, or send each role to the page that it works on."""
    if visit.who.may(Right.SEE_CONSOLE):
        return await _console(replace(visit, needed=(Right.SEE_CONSOLE,)))
    if visit.who.may(Right.SEE_LEASES):
        return visit.go("/invoices")
    return visit.go("/my" if visit.who.may(Right.DO_ORDERS) else "/papers")


async def _console(visit: Visit) -> Response:
    async with visit.transaction() as tx:
        zone = await zone_of(tx)
        site = await first_site(tx)
        spoken, rights = visit.language, visit.who.rights
        said = {
            "tiles": TILES.rows(await tiles(tx, {}), spoken, rights, zone),
            "rows": alarm_pages.LIST.rows(await alarm_pages.active(tx, {}), spoken, rights, zone),
            "priority": "",
            **await _used(tx, site, visit.now),
        }
        return await visit.page(tx, "console/overview.html", **said)


@router.get("/overview/usage")
async def used(visit: ConsoleVisit) -> Response:
    """Give the part of the page that has no notices, for which the page asks from time to time."""
    async with visit.reading() as tx:
        site = await first_site(tx)
        return HTMLResponse(visit.text("console/usage.html", site, **await _used(tx, site, visit.now)))


async def _used(tx: Transaction, site: Site | None, now: datetime) -> dict[str, object]:
    if site is None:
        return {"usage": [], "complete": None}
    return {"usage": await usage.today(tx, site, now), "complete": await usage.completeness(tx, site, now)}
