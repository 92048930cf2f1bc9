"""What the demo tells: a fault at a device becomes an alarm, an order, a repair, and telemetry proves the repair.

Live, the technician's part is played on the phone page by whoever watches; when the order is reported done, the park
mends itself.  ``until_told`` plays that part too and ends with the count of readings and the bills.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from deploy.demo import DemoFailedError, Running, count_stored
from deploy.register import ACTOR
from hub.access.rights import RIGHTS
from hub.alarms import service as alarms
from hub.alarms.rows import Alarm
from hub.billing import service as billing
from hub.ledger import service as ledger
from hub.store.database import Actor, Transaction
from hub.work import service as work
from hub.work.rows import Order
from simulators import control, tally

RULE = "supply-air-temperature-deviation"
FAULT = {"do": "inject", "kind": "offset", "device": "AHU-A", "measure": "supply_temp", "amount": 6.0}
FAULT_AFTER_S = 30.0
WATCH_S = 0.1
STEP_TIMEOUT_S = 120.0
DRAIN_QUIET_S = 3.0

Found = TypeVar("Found")


@dataclass(frozen=True)
class Told:
    """What happened, with seconds on the clock of this process."""

    order: Order
    fault_to_alarm_s: float
    alarm_to_order_s: float


async def play_live(running: Running) -> None:
    """Inject the fault, say what follows, and mend the unit when its order is reported done."""
    say = running.console.print
    say(f"In {FAULT_AFTER_S:.0f} s the air handling unit AHU-A will blow 6 °C too warm.")
    await asyncio.sleep(FAULT_AFTER_S)
    fault_id, told = await _fault_to_order(running)
    await _wait(running, lambda tx: _order_in(tx, told.order, {"done"}), timeout_s=None)
    await control.ask_async(running.control_port, {"do": "clear", "id": fault_id})
    say(f"Order {told.order.number} is reported done: the valve is free again. Telemetry now has to agree ...")
    judged = await _wait(running, lambda tx: _judged(tx, told.order), timeout_s=None)
    say(f"Order {judged.number} is {'verified by telemetry' if judged.state == 'verified' else 'open again'}.")


async def until_told(running: Running, out: Path | None, started: dict[str, float]) -> bool:
    """Play the whole story without a browser, write its figures as JSON, and give whether all is well.

    ``started`` are figures of the start, which go into the JSON too.
    """
    fault_id, told = await _fault_to_order(running)
    await _repair(running, told.order, fault_id)
    verified = await _wait(running, lambda tx: _order_in(tx, told.order, {"verified"}))
    running.console.print(f"Order {verified.number} is verified by telemetry.")
    figures = started | await _figures(running, told)
    text = json.dumps(figures, ensure_ascii=False, indent=1)
    await asyncio.to_thread(out.write_text if out else sys.stdout.write, text + "\n")
    return bool(figures["balanced"] and not figures["lost"] and not figures["duplicated"] and figures["invoices"])


async def _fault_to_order(running: Running) -> tuple[str, Told]:
    injected = await control.ask_async(running.control_port, FAULT)
    if not injected["ok"]:
        raise DemoFailedError(f"The fault could not be put on the unit: {injected['error']}.")
    begun = time.monotonic()
    running.console.print("Fault: AHU-A now blows 6 °C too warm.")
    alarm = await _wait(running, _alarm)
    alarmed = time.monotonic()
    running.console.print(f"Alarm after {alarmed - begun:.1f} s: {alarm.name_zh} / {alarm.name_en}, {alarm.device}.")
    order = await _wait(running, lambda tx: _order_of(tx, alarm))
    ordered = time.monotonic()
    running.console.print(f"Order {order.number} went to {order.assignee_name}: {order.assigned_because_en}")
    return str(injected["id"]), Told(order, alarmed - begun, ordered - alarmed)


async def _repair(running: Running, order: Order, fault_id: str) -> None:
    technician = Actor(order.assignee or "", order.assignee_id, RIGHTS["technician"])
    for verb, note in (("accept", ""), ("arrive", ""), ("complete", "冷水阀执行器卡住，已修复。")):
        if verb == "complete":
            await control.ask_async(running.control_port, {"do": "clear", "id": fault_id})
        async with running.database.transaction(running.organisation, technician) as tx:
            await work.act(tx, order.id, verb, uuid4(), datetime.now(UTC), note=note)
        running.console.print(f"{order.assignee_name}: {verb}.")


async def _wait(
    running: Running,
    look: Callable[[Transaction], Awaitable[Found | None]],
    timeout_s: float | None = STEP_TIMEOUT_S,
) -> Found:
    begun = time.monotonic()
    while True:
        async with running.database.transaction(running.organisation, ACTOR) as tx:
            found = await look(tx)
        if found is not None:
            return found
        if timeout_s is not None and time.monotonic() - begun > timeout_s:
            raise DemoFailedError(f"The story stopped: nothing followed within {timeout_s:.0f} s; see the logs.")
        await asyncio.sleep(WATCH_S)


async def _alarm(tx: Transaction) -> Alarm | None:
    return next((one for one in await alarms.active(tx) if one.rule == RULE and one.standing), None)


async def _order_of(tx: Transaction, alarm: Alarm) -> Order | None:
    link = (await work.of_alarms(tx, [alarm.id])).get(alarm.id)
    order = await work.one(tx, link.order_id) if link else None
    return order if order is not None and order.assignee_id is not None else None


async def _order_in(tx: Transaction, order: Order, states: set[str]) -> Order | None:
    now = await work.one(tx, order.id)
    return now if now.state in states else None


async def _figures(running: Running, told: Told) -> dict[str, Any]:
    counted = await count(running)
    async with running.database.transaction(running.organisation, ACTOR) as tx:
        invoices = await billing.story(tx, running.site)
        balanced = ledger.balanced(await ledger.trial_balance(tx))
    return {
        "stored": counted.stored,
        "lost": counted.lost,
        "duplicated": counted.duplicated,
        "falsified": counted.falsified,
        "fault_to_alarm_s": round(told.fault_to_alarm_s, 2),
        "alarm_to_order_s": round(told.alarm_to_order_s, 2),
        "order_verified": True,
        "invoices": invoices,
        "balanced": balanced,
    }


async def count(running: Running) -> tally.Tally:
    """Hold what is stored against what the park told; it is silenced first, so that both stand still."""
    for device in running.file.device:
        await control.ask_async(running.control_port, {"do": "inject", "kind": "silent", "device": device.code})
    await _drained(running)
    async with running.database.transaction(running.organisation, ACTOR) as tx:
        rows = await tx.all(tally.Stored, STORED)
    return await asyncio.to_thread(tally.take, running.file, running.history, running.truth, rows)


async def _judged(tx: Transaction, order: Order) -> Order | None:
    now = await work.one(tx, order.id)
    return now if now.state == "verified" or now.reopened_count > order.reopened_count else None


STORED = b"""
SELECT split_part(point, '.', 1) AS device, split_part(point, '.', 2) AS measure, at, value FROM readings
"""


async def _drained(running: Running) -> None:
    """Wait until nothing more arrives."""
    stored, since = -1, time.monotonic()
    while time.monotonic() - since < DRAIN_QUIET_S:
        now = await count_stored(running)
        if now != stored:
            stored, since = now, time.monotonic()
        await asyncio.sleep(WATCH_S * 5)
