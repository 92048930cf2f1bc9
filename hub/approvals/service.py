"""Submit, decide, change, withdraw, use: every act of the approval engine, each recorded with what was seen.

An act that needs approval calls ``require`` in its own transaction: the approval is looked up and spent there and then.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege, UniqueViolation

from hub.access.rights import Right
from hub.approvals import letters, record
from hub.approvals.definitions import book, today
from hub.approvals.people import People, people
from hub.approvals.rows import Said, Stored, Subject
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow import decision as engine
from rules.flow.content import UnclearContentError
from rules.flow.definition import Version, WithoutSteps
from rules.flow.request import RefusedError, Request, State, Verdict
from rules.flow.seats import concerns, seats

SQL = queries(__package__)
COMMENT_CHARACTERS_MAX = 2_000
CONTENT_CHARACTERS_MAX = 100_000
NO_SUCH = "There is no such request for approval."
NO_FLOW = "No flow applies to this kind of request; nothing needs to be approved."
NEEDS_APPROVAL = "This needs an approval first; submit it for approval."
TWO_AT_ONCE = "Somebody else has just submitted this for approval; reload the page."
WHY_REJECTED = "Say in a few words why you reject it."
TOO_LONG = f"A comment has at most {COMMENT_CHARACTERS_MAX} characters; shorten it."
NOT_THERE = "You cannot submit anything for this place; choose a site where you work."
FORBIDDEN = frozenset({engine.OWN, engine.DECIDED, engine.NOT_YOURS, engine.NOT_SUBMITTER})


def refuse(refusal: RefusedError) -> NoReturn:
    """Say the engine's refusal as the hub does."""
    raise (ForbiddenError if str(refusal) in FORBIDDEN else ConflictError)(str(refusal)) from None


async def governing(tx: Transaction, subject: Subject, now: datetime) -> Version | None:
    """Give the version of the flow that governs a subject submitted now; None: nothing needs to be approved."""
    day = await today(tx, now, subject.site_id)
    return (await book(tx, day)).in_force.get(subject.kind)


async def submit(tx: Transaction, subject: Subject, now: datetime, previous: int | None = None) -> int:
    """Ask for approval of ``subject`` and give the request's number; an earlier one for the same subject is superseded.

    ``previous`` is the number of an ended request of the same person in whose place this one stands.  Raises
    InvalidError, ConflictError, or ForbiddenError for a place where the person has no business.
    """
    if tx.actor.rights is not None and not tx.actor.may(Right.REQUEST_APPROVAL):
        raise ForbiddenError("Your role does not include this page or act; ask an administrator if it should.")
    version = await governing(tx, subject, now)
    if version is None:
        raise InvalidError(NO_FLOW)
    everybody = await people(tx, now)
    try:
        facts, content_hash = record.facts_of(subject), _hash(subject)
        request = engine.begin(version, facts, content_hash, tx.actor.name, everybody.roster, now)
    except RefusedError as refusal:
        refuse(refusal)
    await _supersede(tx, subject, everybody, now)
    try:
        request_id = await record.add(tx, subject, request, await _before(tx, previous))
    except UniqueViolation:
        raise ConflictError(TWO_AT_ONCE) from None
    except (InsufficientPrivilege, ForeignKeyViolation):
        raise ForbiddenError(NOT_THERE) from None
    async with tx.unconfined():
        row, _ = await record.lock(tx, request_id)
        await _note(tx, "submitted", row, request, {"title": subject.title_en, "place": str(subject.site_id or "")})
        await _announce(tx, row, None, request, everybody, now)
    return row.number


async def change(tx: Transaction, subject: Subject, now: datetime) -> None:
    """Put other content before the approvers of the subject's living request: what was decided before is void.

    The same content changes nothing.  Raises NotFoundError when no request for the subject is open or approved.
    """
    async with tx.unconfined():
        row, before = await _living(tx, subject)
        everybody = await people(tx, now)
        facts, content_hash = record.facts_of(subject), _hash(subject)
        try:
            after = engine.change(before, facts, content_hash, tx.actor.name, everybody.roster, now)
        except RefusedError as refusal:
            refuse(refusal)
        if after is before:
            return
        await record.replace_content(tx, row.id, subject, after, now)
        await _note(tx, "changed", row, after, {"sha256_before": before.content_hash, "void": before.given})
        row, _ = await record.lock(tx, row.id)
        await _announce(tx, row, None, after, everybody, now)


async def decide(tx: Transaction, number: int, said: Said, now: datetime) -> State:
    """Take somebody's decision; the same submission again changes nothing.  Gives where the request stands then.

    Raises NotFoundError, InvalidError, ConflictError when the request has moved on or its content was changed, and
    ForbiddenError when the decision is not this person's.
    """
    verdict, comment = _checked(said)
    async with tx.unconfined():
        row = await _found(tx, number)
        everybody = await people(tx, now)
        row, before = await record.lock(tx, row.id)
        login = tx.actor.name
        if not concerns(before, everybody.roster, login, now):
            raise NotFoundError(NO_SUCH)
        if await _taken_before(tx, row, said):
            return before.state
        answer = engine.Answer(login, verdict, said.seen_hash, said.round, said.step, said.principal)
        try:
            after = engine.decide(before, answer, everybody.roster, now)
        except RefusedError as refusal:
            refuse(refusal)
        await _write_decision(tx, row, before, said, comment, now)
        await record.save(tx, row.id, after)
        await _announce(tx, row, before, after, everybody, now, comment)
    return after.state


async def withdraw(tx: Transaction, number: int, now: datetime) -> None:
    """Take back one's own undecided request; raises NotFoundError, ForbiddenError or ConflictError."""
    async with tx.unconfined():
        row, before = await record.lock(tx, (await _found(tx, number)).id)
        everybody = await people(tx, now)
        if not concerns(before, everybody.roster, tx.actor.name, now):
            raise NotFoundError(NO_SUCH)
        try:
            after = engine.withdraw(before, tx.actor.name, now)
        except RefusedError as refusal:
            refuse(refusal)
        await record.save(tx, row.id, after)
        await _note(tx, "withdrew", row, after)


async def require(tx: Transaction, subject: Subject, now: datetime) -> None:
    """Let an act happen: spend the approval of just this content, or raise ConflictError that says what is missing.

    Nothing is needed where no flow governs the subject, or the flow asks nobody about it.
    """
    version = await governing(tx, subject, now)
    if version is None:
        return
    facts, content_hash = record.facts_of(subject), _hash(subject)
    if not version.path(facts) and version.without_steps is WithoutSteps.APPROVED:
        return
    async with tx.unconfined():
        found = await record.stored(tx, subject=(subject.kind, subject.id), states=record.ALIVE, most=1)
        if not found:
            raise ConflictError(NEEDS_APPROVAL)
        row, before = await record.lock(tx, found[0].id)
        try:
            after = engine.use(before, content_hash, now)
        except RefusedError as refusal:
            refuse(refusal)
        await record.save(tx, row.id, after, used_at=now)
        await _note(tx, "used", row, after)


async def escalate_due(tx: Transaction, now: datetime) -> int:
    """Remind, escalate and let lapse what is due in the transaction's organisation; gives how many requests moved."""
    waiting = await record.stored(tx, states=record.ALIVE)
    if not waiting:
        return 0
    everybody = await people(tx, now)
    moved = 0
    for row, seen in zip(waiting, await record.requests(tx, waiting), strict=True):
        if engine.escalate(seen, everybody.roster, now) == seen:
            continue
        held, before = await record.lock(tx, row.id)
        after = engine.escalate(before, everybody.roster, now)
        if after == before:
            continue
        await record.save(tx, held.id, after)
        await _tell_what_was_due(tx, held, before, after, everybody, now)
        moved += 1
    return moved


async def _tell_what_was_due(
    tx: Transaction, row: Stored, before: Request, after: Request, everybody: People, now: datetime
) -> None:
    await _announce(tx, row, before, after, everybody, now)
    if after.reminded and not before.reminded:
        await _note(tx, "reminded of", row, after)
        await letters.ask(tx, row, seats(before, everybody.roster, now), everybody, now, again=True)
    if after.escalated and not before.escalated:
        await _note(tx, "escalated", row, after)


async def _announce(
    tx: Transaction,
    row: Stored,
    before: Request | None,
    after: Request,
    everybody: People,
    now: datetime,
    said: str = "",
) -> None:
    """Mail those for whom a request waits now and did not before, or who submitted it, that it is over."""
    if not after.open:
        if after.state is State.EXPIRED:
            await _note(tx, "expired", row, after)
        await letters.tell(tx, row, after, everybody, now, said)
        return
    stays = before is not None and (before.step, before.round) == (after.step, after.round)
    known = set(seats(before, everybody.roster, now)) if before is not None and stays else set()
    asked = seats(after, everybody.roster, now)
    await letters.ask(tx, row, [seat for seat in asked if seat not in known], everybody, now)
    if not asked and not (before is not None and stays and before.short):
        await letters.alarm(tx, row, everybody, now)


async def _write_decision(
    tx: Transaction, row: Stored, request: Request, said: Said, comment: str, now: datetime
) -> None:
    values = {
        "request": row.id, "submission": said.submission_id, "round": request.round, "step": request.step,
        "hash": request.content_hash, "login": tx.actor.name, "principal": said.principal, "verdict": said.verdict,
        "comment": comment, "now": now, "submitter": row.submitted_by,
    }  # fmt: skip
    try:
        await tx.run(SQL["add_decision"], values)
    except UniqueViolation:
        raise ConflictError(engine.DECIDED) from None
    act = "approved" if said.verdict == Verdict.APPROVE else "rejected"
    held, tx.actor = tx.actor, replace(tx.actor, on_behalf_of=said.principal or "")
    try:
        step = request.current
        await _note(tx, act, row, request, {"step": step.code, "step_name": step.name_en, "comment": comment})
    finally:
        tx.actor = held


async def _note(tx: Transaction, act: str, row: Stored, request: Request, more: dict[str, Any] | None = None) -> None:
    """Record an act with the number, the round and the hash of what was seen."""
    amount = "" if row.amount is None else f"{row.amount} {row.currency}"
    seen = {"number": row.number, "kind": row.kind, "subject": row.subject_id, "round": request.round,
            "sha256": request.content_hash, "amount": amount}  # fmt: skip
    await audit.record(tx, act, "approval", row.id, {**seen, **(more or {})})


async def _taken_before(tx: Transaction, row: Stored, said: Said) -> bool:
    by: str | None = await tx.value(SQL["taken_before"], {"request": row.id, "submission": said.submission_id})
    if by is not None and by != tx.actor.name:
        raise ConflictError(engine.STEP_OVER)
    return by is not None


async def _found(tx: Transaction, number: int) -> Stored:
    found = await record.stored(tx, number=number, most=1)
    if not found:
        raise NotFoundError(NO_SUCH)
    return found[0]


async def _living(tx: Transaction, subject: Subject) -> tuple[Stored, Request]:
    found = await record.stored(tx, subject=(subject.kind, subject.id), states=record.ALIVE, most=1)
    if not found:
        raise NotFoundError(NO_SUCH)
    return await record.lock(tx, found[0].id)


async def _supersede(tx: Transaction, subject: Subject, everybody: People, now: datetime) -> None:
    async with tx.unconfined():
        for found in await record.stored(tx, subject=(subject.kind, subject.id), states=record.ALIVE):
            row, before = await record.lock(tx, found.id)
            after = engine.supersede(before, now)
            await record.save(tx, row.id, after)
            await _note(tx, "superseded", row, after)
            if row.submitted_by != tx.actor.name:
                await letters.tell(tx, row, after, everybody, now)


async def _before(tx: Transaction, number: int | None) -> UUID | None:
    """Give the identity of a request of the same person that is over."""
    if number is None:
        return None
    async with tx.unconfined():
        row = await _found(tx, number)
    if row.submitted_by != tx.actor.name or row.state in record.ALIVE:
        raise NotFoundError(NO_SUCH)
    return row.id


def _hash(subject: Subject) -> str:
    try:
        made = record.hash_of(subject)
    except UnclearContentError as error:
        raise InvalidError(f"This cannot be submitted: {error}.") from None
    if len(str(subject.content)) > CONTENT_CHARACTERS_MAX:
        raise InvalidError("This is too much to read for an approver; shorten it.")
    return made


def _checked(said: Said) -> tuple[Verdict, str]:
    comment = said.comment.strip()
    try:
        verdict = Verdict(said.verdict)
    except ValueError:
        raise InvalidError("A decision is to approve or to reject.") from None
    if len(comment) > COMMENT_CHARACTERS_MAX:
        raise InvalidError(TOO_LONG)
    if verdict is Verdict.REJECT and not comment:
        raise InvalidError(WHY_REJECTED)
    return verdict, comment
