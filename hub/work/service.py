"""What people do with work orders: see them and take the next step."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from hub.access.rights import Right
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from hub.work.dispatch import send, send_back
from hub.work.rows import Entry, Link, Login, Order, Submission, Technician
from hub.work.transition import Note, Step, by_person, fetch, hold, part_of, take
from rules.work.order import Verb, possible

SQL = queries(__package__)

LIST_MAX = 500
NUMBER_MAX = 2**63 - 1
NOTE_CHARACTERS_MAX = 2_000
RECENT = timedelta(hours=24)


async def orders(tx: Transaction, *, open_only: bool = True, most: int = LIST_MAX) -> list[Order]:
    """Give the organisation's orders: open ones first, most urgent first, newest first."""
    asked = {"assignee": None, "changed_since": None, "open": open_only, "most": min(most, LIST_MAX)}
    return await tx.all(Order, SQL["orders"], asked)


async def mine(tx: Transaction, now: datetime) -> list[Order]:
    """Give the orders of the technician who asks: what is open, and what ended within a day."""
    asked = {
        "assignee": tx.actor.user_id or UUID(int=0),
        "changed_since": now - RECENT,
        "open": False,
        "most": LIST_MAX,
    }
    return await tx.all(Order, SQL["orders"], asked)


async def one(tx: Transaction, order_id: UUID) -> Order:
    """Give one order; raises NotFoundError, also for an order that is not for the asking person's eyes."""
    order = await fetch(tx, order_id)
    sees_all = tx.actor.rights is None or tx.actor.may(Right.SEE_ORDERS)
    if not sees_all and part_of(tx.actor, order) is None:
        raise NotFoundError("There is no such work order.")
    return order


async def numbered(tx: Transaction, number: int) -> Order:
    """Give the order of that number; raises NotFoundError as ``one`` does."""
    found: UUID | None = await tx.value(SQL["id_of_number"], {"number": number}) if number <= NUMBER_MAX else None
    if found is None:
        raise NotFoundError("There is no such work order.")
    return await one(tx, found)


async def history(tx: Transaction, order_id: UUID) -> list[Entry]:
    """Give every step of an order, oldest first."""
    await one(tx, order_id)
    return await tx.all(Entry, SQL["history"], {"id": order_id})


async def of_alarms(tx: Transaction, alarm_ids: Sequence[UUID]) -> dict[UUID, Link]:
    """Give, per alarm that has one, the order that takes care of it."""
    return {link.alarm_id: link for link in await tx.all(Link, SQL["links"], {"alarms": list(alarm_ids)})}


async def technicians(tx: Transaction, order_id: UUID) -> list[Technician]:
    """Give who can be sent to an order, with the number of orders that wait for each."""
    return await tx.all(Technician, SQL["technicians"], {"order": order_id})


def next_steps(tx: Transaction, order: Order) -> tuple[Verb, ...]:
    """Give what the asking person can do with an order now: the buttons of a page."""
    return possible(order.status, part_of(tx.actor, order))


async def act(
    tx: Transaction,
    order_id: UUID,
    verb: str,
    submission_id: UUID,
    now: datetime,
    *,
    note: str = "",
    assignee_id: UUID | None = None,
) -> Order:
    """Take the next step with an order; the same ``submission_id`` again changes nothing.

    ``assignee_id`` is the technician for the verb "assign".  An order given back goes to the next technician, one
    that is reopened to the same.  Raises NotFoundError, ForbiddenError, InvalidError, or ConflictError when the
    order's state does not allow the step.
    """
    order = await hold(tx, order_id)
    if await _taken_before(tx, order_id, submission_id):
        return order
    step = Step(_verb(verb), now, by_person(_note(note)), submission_id)
    async with tx.unconfined():  # it may go to somebody, or from somewhere, that this person does not see
        if step.verb is Verb.ASSIGN:
            return await take(tx, order, await _to_person(tx, order_id, step, assignee_id))
        moved = await take(tx, order, step)
        if step.verb is Verb.RETURN:
            return await send(tx, moved, now, without=await _gave_back(tx, order_id))
        if step.verb is Verb.REOPEN:
            return await send_back(tx, moved, now)
        return moved


async def _taken_before(tx: Transaction, order_id: UUID, submission_id: UUID) -> bool:
    before = await tx.maybe(Submission, SQL["submission"], {"submission": submission_id})
    if before is None:
        return False
    if before != Submission(order_id, tx.actor.name):
        raise ConflictError("This step was already sent for another work order; reload the page and try again.")
    return True


def _verb(text: str) -> Verb:
    if text not in set(Verb) - {Verb.REQUEST}:
        raise InvalidError(f"'{text[:40]}' is nothing that one can do with a work order.")
    return Verb(text)


def _note(text: str) -> str:
    note = text.strip()
    if len(note) > NOTE_CHARACTERS_MAX:
        raise InvalidError(f"A note has at most {NOTE_CHARACTERS_MAX} characters; shorten it.")
    return note


async def _to_person(tx: Transaction, order_id: UUID, step: Step, assignee_id: UUID | None) -> Step:
    people = {person.id: person for person in await technicians(tx, order_id)}
    if assignee_id is None or assignee_id not in people:
        raise InvalidError("Choose an active technician to whom the work order goes.")
    by = tx.actor.name
    return Step(
        step.verb, step.now, step.note, step.submission_id, assignee_id, Note(f"由 {by} 指派。", f"Assigned by {by}.")
    )


async def _gave_back(tx: Transaction, order_id: UUID) -> set[str]:
    return {row.login for row in await tx.all(Login, SQL["gave_back"], {"id": order_id})}
