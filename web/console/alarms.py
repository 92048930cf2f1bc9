"""Alarms: the live list, one alarm, what was before; acknowledging."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.alarms.rows import Alarm
from hub.store.database import Transaction
from hub.work import service as work
from hub.work.rows import Link, Order
from web.export import table
from web.lists import LiveList
from web.session import AlarmVisit, ConsoleVisit, zone_of

router = APIRouter()
PRIORITIES = ("critical", "high", "medium", "low")
FAR_FUTURE_MS = 10**14
HISTORY_PAGE = 100
HISTORY_EXPORT = 500
TREND = timedelta(hours=4)
AFTER_CLEARING = timedelta(minutes=30)
ORDERS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """An alarm and the work order that takes care of it."""

    alarm: Alarm
    order: Link | None

    @property
    def state(self) -> str:
        """The ISA-18.2 state in which the alarm is shown."""
        if self.alarm.standing:
            return "unacknowledged" if self.alarm.acknowledged_at is None else "acknowledged"
        return "returned" if self.alarm.acknowledged_at is None else "normal"


async def _with_orders(tx: Transaction, found: list[Alarm]) -> list[Row]:
    orders = await work.of_alarms(tx, [alarm.id for alarm in found])
    return [Row(alarm, orders.get(alarm.id)) for alarm in found]


async def active(tx: Transaction, filters: Mapping[str, str]) -> list[Row]:
    """Give the active alarms that the filter lets through, in the order of the list."""
    priority = filters.get("priority", "")
    found = [alarm for alarm in await alarms.active(tx) if priority in ("", alarm.priority)]
    return sorted(await _with_orders(tx, found), key=sort)


def sort(row: Row) -> str:
    """Give a text by which rows sort: standing before returned, urgent first, unacknowledged first, newest first."""
    alarm = row.alarm
    newest_first = FAR_FUTURE_MS - int(alarm.raised_at.timestamp() * 1000)
    seen = int(alarm.acknowledged_at is not None)
    return f"{int(not alarm.standing)}{PRIORITIES.index(alarm.priority)}{seen}{newest_first:015}"


def key(row: Row) -> str:
    """Give the id of a row."""
    return str(row.alarm.id)


@dataclass(frozen=True, slots=True)
class Chip:
    """How many active alarms have a priority (empty: any); ``chosen`` is the filter of the page."""

    priority: str
    count: int
    chosen: bool


async def chips(tx: Transaction, filters: Mapping[str, str]) -> list[Chip]:
    """Count the active alarms, all and by priority."""
    found: list[str] = [alarm.priority for alarm in await alarms.active(tx)]
    chosen = filters.get("priority", "")
    counts = {"": len(found), **{one: found.count(one) for one in PRIORITIES}}
    return [Chip(priority, count, priority == chosen) for priority, count in counts.items()]


CHIPS = LiveList(
    "chips", frozenset({"alarm"}), Right.SEE_CONSOLE, "rows/chip.html", chips,
    key=lambda chip: chip.priority or "all", sort=lambda chip: str(["", *PRIORITIES].index(chip.priority)),
)  # fmt: skip
LIST = LiveList(
    "alarms", frozenset({"alarm", "work_order"}), Right.SEE_CONSOLE, "rows/alarm.html", active, key, sort
)  # fmt: skip


@router.get("/alarms")
async def show(visit: ConsoleVisit, priority: str = "") -> HTMLResponse:
    """Show what is wrong now."""
    chosen = priority if priority in PRIORITIES else ""
    async with visit.transaction() as tx:
        spoken, rights, zone = visit.language, visit.who.rights, await zone_of(tx)
        filters = {"priority": chosen}
        said = {
            "rows": LIST.rows(await active(tx, filters), spoken, rights, zone),
            "chips": CHIPS.rows(await chips(tx, filters), spoken, rights, zone),
            "priority": chosen,
        }
        return await visit.page(tx, "console/alarms.html", **said)


@router.get("/alarms.csv")
async def export(visit: ConsoleVisit, priority: str = "") -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        return table("alarms", [_cells(row) for row in await active(tx, {"priority": priority})])


@router.get("/alarms/history")
async def history(visit: ConsoleVisit, before: datetime | None = None) -> HTMLResponse:
    """Show what was, newest first."""
    async with visit.transaction() as tx:
        past = before if before is not None and before.tzinfo else visit.now
        rows = await _with_orders(tx, await alarms.history(tx, past, most=HISTORY_PAGE))
        said = {"rows": rows, "full": len(rows) == HISTORY_PAGE, "before": before}
        return await visit.page(tx, "console/alarm_history.html", **said)


@router.get("/alarms/history.csv")
async def export_history(visit: ConsoleVisit, before: datetime | None = None) -> Response:
    """Give what was as CSV, newest first, from the page that is shown on."""
    async with visit.transaction() as tx:
        past = before if before is not None and before.tzinfo else visit.now
        rows = await _with_orders(tx, await alarms.history(tx, past, most=HISTORY_EXPORT))
        return table("alarm-history", [_cells(row) for row in rows])


@router.get("/alarms/{alarm_id}")
async def one(visit: ConsoleVisit, alarm_id: UUID) -> HTMLResponse:
    """Show one alarm with its trend, journal, cause and advice, and the last orders of the device."""
    async with visit.transaction() as tx:
        alarm = await alarms.one(tx, alarm_id)
        end = visit.now if alarm.cleared_at is None else min(visit.now, alarm.cleared_at + AFTER_CLEARING)
        said = {
            "row": (await _with_orders(tx, [alarm]))[0],
            "journal": await alarms.journal(tx, alarm_id),
            "rule": visit.rules.version(alarm.rule, alarm.rule_version),
            "start": end - TREND,
            "end": end,
            "orders": await _last_orders(tx, alarm) if visit.who.may(Right.SEE_ORDERS) else [],
        }
        return await visit.page(tx, "console/alarm.html", **said)


async def _last_orders(tx: Transaction, alarm: Alarm) -> list[Order]:
    found = [order for order in await work.orders(tx, open_only=False) if order.device_id == alarm.device_id]
    return sorted(found, key=lambda order: -order.number)[:ORDERS_SHOWN]


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge(visit: AlarmVisit, alarm_id: UUID, comment: Annotated[str, Form()] = "") -> Response:
    """Acknowledge and answer with the live row."""
    async with visit.transaction() as tx:
        alarm = await alarms.acknowledge(tx, alarm_id, datetime.now(UTC), comment)
        row = (await _with_orders(tx, [alarm]))[0]
        zone = await zone_of(tx)
    if not visit.partial:
        return visit.go(f"/alarms/{alarm_id}")
    return HTMLResponse(LIST.row(row, visit.language, visit.who.rights, zone))


def _cells(row: Row) -> dict[str, Any]:
    alarm = row.alarm
    return {
        "priority": alarm.priority, "state": row.state, "rule": alarm.rule, "name_zh": alarm.name_zh,
        "name_en": alarm.name_en, "device": alarm.device, "space": alarm.space, "point": alarm.point,
        "value": alarm.value, "unit": alarm.unit, "threshold": alarm.threshold, "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at, "acknowledged_at": alarm.acknowledged_at,
        "acknowledged_by": alarm.acknowledged_by, "order": row.order.number if row.order else None,
    }  # fmt: skip
