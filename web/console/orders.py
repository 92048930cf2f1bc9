"""Work orders: the live list, one order with its history, and what can be done with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.alarms.rows import Alarm
from hub.store.database import Transaction
from hub.work import service as work
from hub.work.rows import Entry, Order, Technician
from rules.work.order import Verb
from web.console.alarms import PRIORITIES
from web.export import table
from web.lists import LiveList
from web.session import DispatchVisit, OrdersVisit, zone_of

router = APIRouter()
NUMBERS_END = 10**12
ALARMS_SEEN = 200


@dataclass(frozen=True, slots=True)
class Sheet:
    """One order as its page shows it: history, its alarms, what the asking person can do, who could go."""

    order: Order
    history: tuple[Entry, ...]
    alarms: tuple[Alarm, ...]
    steps: tuple[Verb, ...]
    technicians: tuple[Technician, ...]


async def listed(tx: Transaction, filters: Mapping[str, str]) -> list[Order]:
    """Give the orders that the filter lets through, in the order of the list."""
    found = await work.orders(tx, open_only=filters.get("show") != "all")
    return sorted(found, key=sort)


def sort(order: Order) -> str:
    """Give a text by which orders sort: open, urgent, new first."""
    return f"{int(not order.open)}{PRIORITIES.index(order.priority)}{NUMBERS_END - order.number:013}"


async def sheet(tx: Transaction, filters: Mapping[str, str]) -> list[Sheet]:
    """Give the one order that the filter names."""
    number = filters.get("number", "")
    order = await work.numbered(tx, int(number) if number.isdecimal() else 0)
    steps = work.next_steps(tx, order)
    people = await work.technicians(tx, order.id) if Verb.ASSIGN in steps else []
    about = tuple(await alarms_of(tx, order))
    return [
        Sheet(
            order, tuple(await work.history(tx, order.id)), about, steps, tuple(sorted(people, key=lambda p: p.login))
        )
    ]


async def alarms_of(tx: Transaction, order: Order) -> list[Alarm]:
    """Give the alarms of which an order takes care, newest first."""
    if order.device_id is None:
        return []
    found = await alarms.history(tx, datetime.now(UTC), order.device_id, most=ALARMS_SEEN)
    links = await work.of_alarms(tx, [alarm.id for alarm in found])
    return [alarm for alarm in found if alarm.id in links and links[alarm.id].order_id == order.id]


LIST = LiveList(
    "orders", frozenset({"work_order"}), Right.SEE_ORDERS, "rows/order.html", listed,
    key=lambda order: str(order.number), sort=sort,
)  # fmt: skip
SHEET = LiveList(
    "order", frozenset({"work_order", "alarm"}), Right.SEE_ORDERS, "rows/order_sheet.html", sheet,
    key=lambda row: str(row.order.number), sort=lambda _: "", personal=True,
)  # fmt: skip


@router.get("/orders")
async def show(visit: OrdersVisit, show: str = "") -> HTMLResponse:
    """Show what has to be done."""
    async with visit.transaction() as tx:
        found = await listed(tx, {"show": show})
        rows = LIST.rows(found, visit.language, visit.who.rights, await zone_of(tx))
        return await visit.page(tx, "console/orders.html", rows=rows, show="all" if show == "all" else "")


@router.get("/orders.csv")
async def export(visit: OrdersVisit, show: str = "") -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        return table("work-orders", [_cells(order) for order in await listed(tx, {"show": show})])


@router.get("/orders/{number}")
async def one(visit: OrdersVisit, number: int) -> HTMLResponse:
    """Show one order."""
    async with visit.transaction() as tx:
        found = await sheet(tx, {"number": str(number)})
        rows = SHEET.rows(found, visit.language, visit.who.rights, await zone_of(tx))
        return await visit.page(tx, "console/order.html", rows=rows, order=found[0].order)


@router.post("/orders/{number}/act")
async def act(
    visit: DispatchVisit,
    number: int,
    verb: Annotated[str, Form()],
    submission_id: Annotated[UUID, Form()],
    note: Annotated[str, Form()] = "",
    assignee_id: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Take the next step with an order and answer with its live sheet."""
    async with visit.transaction() as tx:
        order = await work.numbered(tx, number)
        await work.act(tx, order.id, verb, submission_id, visit.now, note=note, assignee_id=assignee_id)
        rows = SHEET.rows(
            await sheet(tx, {"number": str(number)}), visit.language, visit.who.rights, await zone_of(tx)
        )  # fmt: skip
    return HTMLResponse(rows) if visit.partial else visit.go(f"/orders/{number}")


def _cells(order: Order) -> dict[str, Any]:
    return {
        "number": order.number, "priority": order.priority, "state": order.state, "title_zh": order.title_zh,
        "title_en": order.title_en, "device": order.device, "space": order.space, "building": order.zone,
        "skill": order.skill, "assignee": order.assignee, "created_at": order.created_at,
        "changed_at": order.changed_at, "accepted_at": order.accepted_at, "arrived_at": order.arrived_at,
        "done_at": order.done_at, "verified_at": order.verified_at, "reopened": order.reopened_count,
    }  # fmt: skip
