"""From alarm to work order to the technician who goes, without a person in between."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from hub.alarms import service as alarms
from hub.alarms.rows import Alarm, Turned
from hub.store.database import SYSTEM, Transaction
from hub.store.sql import queries
from hub.work.rows import Link, Order, Place, Technician
from hub.work.transition import Note, Step, fetch, hold, take, tell
from rules.detect.alarm import Turn
from rules.detect.book import RuleBook
from rules.detect.rule import Hands, Rule
from rules.work.dispatch import choose
from rules.work.order import Status, Verb

SQL = queries(__package__)


async def dispatch_for(tx: Transaction, book: RuleBook, turned: Sequence[Turned], now: datetime) -> list[Order]:
    """See to the alarms that were just raised; give the orders that take care of them.

    Ingest and the job of the second call this with what ``judge`` or ``tick`` gave, in the same transaction.
    """
    orders = []
    for event in turned:
        rule = book.version(event.rule, event.rule_version)
        if event.turn is Turn.RAISED and rule is not None and rule.work_order is not None:
            alarm = await alarms.one(tx, event.alarm_id)
            if alarm.standing:  # one that came and went within a batch needs nobody
                orders.append(await open_for_alarm(tx, alarm, rule, rule.work_order, now))
    return orders


async def open_for_alarm(tx: Transaction, alarm: Alarm, rule: Rule, hands: Hands, now: datetime) -> Order:
    """Give the one order of an alarm: the one that it has, the open one of its rule and device, or a new one."""
    links = await tx.all(Link, SQL["links"], {"alarms": [alarm.id]})
    if links:
        return await fetch(tx, links[0].order_id)
    order_id = await tx.value(SQL["open_order"], {"device": alarm.device_id, "rule": rule.code})
    if order_id is not None:
        await tx.run(SQL["link"], {"order": order_id, "alarm": alarm.id})
        await tx.run(SQL["announce"], {"id": order_id})
        return await fetch(tx, order_id)
    order_id = await _open(tx, alarm, rule, hands, now)
    return await send(tx, await hold(tx, order_id), now)


async def send(tx: Transaction, order: Order, now: datetime, without: Collection[str] = ()) -> Order:
    """Assign a held order to who suits it best; when nobody does, the order stays and says why."""
    people = await tx.all(Technician, SQL["technicians"], {"order": order.id})
    choice = choose([person.candidate for person in people if person.kind == "staff"], order.skill, order.zone, without)
    if choice.login is None:
        why = {"id": order.id, "why_zh": choice.why_zh, "why_en": choice.why_en}
        await tx.run(SQL["explain"], why)
        return await fetch(tx, order.id)
    chosen = next(person.id for person in people if person.login == choice.login)
    return await assign(tx, order, chosen, now, Note(choice.why_zh, choice.why_en))


async def assign(tx: Transaction, order: Order, assignee_id: UUID, now: datetime, why: Note) -> Order:
    """Give a held order to a technician in the name of the program."""
    step = Step(Verb.ASSIGN, now, why, assignee_id=assignee_id, why=why)
    return await _as_program(tx, order, step)


async def send_back(tx: Transaction, order: Order, now: datetime) -> Order:
    """Give an order that was reopened to the technician who had it, or to another when he is gone."""
    people = await tx.all(Technician, SQL["technicians"], {"order": order.id})
    if order.assignee_id is None or order.assignee_id not in {person.id for person in people}:
        return await send(tx, order, now)
    return await assign(
        tx,
        order,
        order.assignee_id,
        now,
        Note(
            f"重新打开第 {order.reopened_count} 次，由原技工继续处理。",
            f"Reopened, time no. {order.reopened_count}: the same technician goes on with it.",
        ),
    )


async def _as_program(tx: Transaction, order: Order, step: Step) -> Order:
    """Take a step that follows by itself from what somebody did: in the name of the program, not of that person."""
    actor, tx.actor = tx.actor, tx.actor if tx.actor.rights is None else SYSTEM
    try:
        return await take(tx, order, step)
    finally:
        tx.actor = actor


async def _open(tx: Transaction, alarm: Alarm, rule: Rule, hands: Hands, now: datetime) -> UUID:
    place = await tx.one(Place, SQL["place"], {"device": alarm.device_id}, what="device")
    values = {
        "site": place.site_id,
        "device": alarm.device_id,
        "space": place.space_id,
        "zone": place.zone,
        "number": await tx.value(SQL["next_number"]),
        "rule": rule.code,
        "title_zh": hands.title_zh,
        "title_en": hands.title_en,
        "skill": hands.skill,
        "priority": alarm.priority,
        "now": now,
    }
    order_id: UUID = await tx.value(SQL["open"], values)
    await tx.run(SQL["link"], {"order": order_id, "alarm": alarm.id})
    await tell(tx, order_id, Step(Verb.REQUEST, now, Note(alarm.name_zh, alarm.name_en)), "", Status.REQUESTED)
    return order_id
