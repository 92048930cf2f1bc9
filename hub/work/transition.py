"""One step of a work order: checked against the table, kept, written into its history, audited, announced."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation

from hub.access.rights import Right
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError
from hub.store.database import Actor, Transaction
from hub.store.sql import queries
from hub.work.rows import Order
from rules.work.order import ImpossibleError, NotYoursError, Part, Status, Verb, move

SQL = queries(__package__)

_NEW_LEG = {Verb.ASSIGN, Verb.RETURN, Verb.REOPEN}  # the clock of the order starts again


@dataclass(frozen=True, slots=True)
class Note:
    """What is written beside a step: a program says it in both languages, a person in his own."""

    zh: str = ""
    en: str = ""


def by_person(text: str) -> Note:
    """Give the note of somebody who wrote it himself."""
    return Note(text, text)


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to an order, by whom it is known (``submission_id``), and for whom it is from now on."""

    verb: Verb
    now: datetime
    note: Note = Note()
    submission_id: UUID | None = None
    assignee_id: UUID | None = None
    why: Note = Note()


def part_of(actor: Actor, order: Order) -> Part | None:
    """In which part ``actor`` acts on ``order``; None: it is not his business."""
    if actor.rights is None:
        return Part.TELEMETRY
    if actor.may(Right.DIRECT_ORDERS):
        return Part.DISPATCHER
    own = actor.user_id is not None and actor.user_id == order.assignee_id
    return Part.ASSIGNEE if own else None


async def fetch(tx: Transaction, order_id: UUID) -> Order:
    """Give one order; raises NotFoundError."""
    return await tx.one(Order, SQL["order"], {"id": order_id}, what="work order")


async def hold(tx: Transaction, order_id: UUID) -> Order:
    """Lock one order until the transaction ends and give it; raises NotFoundError."""
    await tx.value(SQL["lock"], {"id": order_id})
    return await fetch(tx, order_id)


async def take(tx: Transaction, order: Order, step: Step) -> Order:
    """Take ``step`` with an order that is held; raises ConflictError or ForbiddenError with a sentence."""
    try:
        target = move(order.status, step.verb, part_of(tx.actor, order))
    except NotYoursError as error:
        raise ForbiddenError(str(error)) from None
    except ImpossibleError as error:
        raise ConflictError(str(error)) from None
    try:
        await tx.run(SQL["move"], _moved(order, step, target))
    except UniqueViolation as error:
        raise ConflictError(
            f"Work order {order.number} cannot be opened again: another one for the same fault is open; use that one."
        ) from error
    moved = await fetch(tx, order.id)
    await tell(tx, order.id, step, order.state, target, (order.assignee, moved.assignee))
    return moved


async def tell(
    tx: Transaction,
    order_id: UUID,
    step: Step,
    before: str,
    after: Status,
    assignees: tuple[str | None, str | None] = (None, None),
) -> None:
    """Write a step into the order's history and the audit record, and announce it."""
    entry = {
        "id": order_id,
        "submission": step.submission_id or uuid4(),
        "now": step.now,
        "actor": tx.actor.name,
        "verb": step.verb.value,
        "from_state": before,
        "to_state": after.value,
        "note_zh": step.note.zh,
        "note_en": step.note.en,
    }
    changed = {"state": [before, after.value]}
    if assignees[0] != assignees[1]:
        changed["assignee"] = [name or "" for name in assignees]
    async with tx.together():
        await tx.run(SQL["write_history"], entry)
        # Without the note: it stands in the order's history, where a person whom it names can be taken out of it.
        await audit.record(tx, step.verb.value, "work order", order_id, {"changed": changed})
        await tx.run(SQL["announce"], {"id": order_id})


def _moved(order: Order, step: Step, target: Status) -> dict[str, object]:
    leg: dict[str, datetime | None] = {
        "accepted_at": order.accepted_at,
        "arrived_at": order.arrived_at,
        "done_at": order.done_at,
        "verified_at": order.verified_at,
    }
    if step.verb in _NEW_LEG:
        leg = dict.fromkeys(leg)
    stamp = f"{target.value}_at"
    if stamp in leg:
        leg[stamp] = step.now
    assigns, returns = step.verb is Verb.ASSIGN, step.verb is Verb.RETURN
    return {
        **leg,
        "id": order.id,
        "state": target.value,
        "now": step.now,
        "assignee": step.assignee_id if assigns else None if returns else order.assignee_id,
        "why_zh": step.why.zh if assigns else order.assigned_because_zh,
        "why_en": step.why.en if assigns else order.assigned_because_en,
        "reopened_count": order.reopened_count + (step.verb is Verb.REOPEN),
    }
