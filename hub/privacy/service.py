"""What a person may ask for: everything that is known of him, and its erasure.  Who deals with it is recorded."""

from datetime import datetime
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from hub.approvals import record as approvals_record
from hub.approvals import service as approvals
from hub.approvals.rows import Subject
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.privacy import definitions, erasure
from hub.privacy.rows import Export, Found, Image, Person, Record, Report, Request, Section
from hub.store.database import Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

FOUND_MAX = 50
RECORDS_MAX = 50
REQUESTS_MAX = 500
PICTURES_MAX = 200
TEXT_CHARACTERS_MIN = 2
REASON_CHARACTERS_MAX = 500
NOBODY = "Choose at least one record that is the person's."
WHY = "Say in a few words who asked for this and how you know that it is he; do not write his name."
OWN_RECORD = "Somebody else carries out your own erasure: afterwards your session is over."
OVER = "This request is over; ask anew."


async def find(tx: Transaction, text: str) -> list[Found]:
    """Give records that may be a person's, by part of a name, login, number or address; raises InvalidError."""
    text = text.strip()
    if len(text) < TEXT_CHARACTERS_MIN:
        raise InvalidError(f"Give at least {TEXT_CHARACTERS_MIN} characters of a name, login, number or address.")
    digits = "".join(filter(str.isdigit, text))
    asked = {"text": text, "digits": digits if len(digits) > TEXT_CHARACTERS_MIN else "", "most": FOUND_MAX}
    found = await tx.all(Found, SQL["find"], asked)
    await audit.record(tx, "looked for a person", "privacy", "people", {"found": [str(one.id) for one in found]})
    return found


async def named(tx: Transaction, person: Person) -> list[Found]:
    """Give the records of a person; raises NotFoundError where one of them is not there."""
    asked = {"users": list(person.user_ids), "contacts": list(person.contact_ids), "holders": list(person.holder_ids)}
    found = await tx.all(Found, SQL["named"], asked)
    if len(found) != len(set(person.ids)):
        raise NotFoundError("One of these records is no longer there; look for the person again.")
    return found


async def export(tx: Transaction, person: Person, reason: str, now: datetime) -> Export:
    """Give everything that is known of a person, a section for every table of the register; it is recorded."""
    await _check(tx, person, reason)
    sections = []
    async with tx.under(Role.KEEPER):
        asked = await erasure.parameters(tx, person, now)
        for table, entry in definitions.register(now.date()).by_table.items():
            known = SQL.get(f"export_{table}")  # None: nothing in it leads from a person to a row
            records = await tx.all(Record, known, asked) if known else []
            sections.append(Section(table, entry, tuple(one.record for one in records)))
        images = await tx.all(Image, SQL["pictures"], {**asked, "most": PICTURES_MAX})
    report = {section.table: {"rows": len(section.records), "kept": 0} for section in sections if section.records}
    await _note(tx, "export", person, reason, now, request_id=uuid4(), report=report)
    return Export(person, now, tuple(sections), {one.id: one.picture for one in images})


async def ask_erasure(tx: Transaction, person: Person, reason: str, now: datetime) -> UUID:
    """Ask for the erasure of a person, which a second person approves; gives the request's id."""
    await _check(tx, person, reason)
    request_id = uuid4()
    approval = await approvals.submit(tx, subject(request_id, person), now)
    return await _note(tx, "erasure", person, reason, now, request_id=request_id, approval=approval)


async def withdraw(tx: Transaction, request_id: UUID, now: datetime) -> None:
    """Take an erasure back before it is done; raises ConflictError where it is over."""
    request = await _held(tx, request_id)
    assert request.approval is not None
    if await approvals_record.stored(tx, number=request.approval, states=("open",)):
        await approvals.withdraw(tx, request.approval, now)
    await tx.run(SQL["withdraw"], {"id": request_id, "now": now})
    await audit.record(tx, "withdrew", "privacy_request", request_id)


async def carry_out(tx: Transaction, request_id: UUID, now: datetime) -> Report:
    """Erase the person of an approved request; gives the report.

    Raises ConflictError where it is over or not approved, ForbiddenError for one's own record.
    """
    request = await _held(tx, request_id)
    if tx.actor.user_id in request.person.user_ids:
        raise ForbiddenError(OWN_RECORD)
    await named(tx, request.person)
    await approvals.require(tx, subject(request_id, request.person), now)
    report = await erasure.erase(tx, request.person, now)
    await tx.run(SQL["finish"], {"id": request_id, "by": tx.actor.name, "now": now, "report": Jsonb(dict(report))})
    await audit.record(tx, "carried out", "privacy_request", request_id, {"tables": counted(report)})
    return report


async def approved(tx: Transaction, request: Request) -> bool:
    """Whether a request is approved now, so that it can be carried out."""
    states = ("approved",)
    return bool(request.approval and await approvals_record.stored(tx, number=request.approval, states=states))


def subject(request_id: UUID, person: Person) -> Subject:
    """Give what is approved: the erasure of just these records.

    By their ids alone, for what approvers saw is kept for ever; whose they are is shown on the request's own page.
    """
    records = {
        "users": list(person.user_ids),
        "contacts": list(person.contact_ids),
        "badge_holders": list(person.holder_ids),
    }
    many = len(person.ids)
    return Subject(
        "erasure", str(request_id), f"删除个人信息（{many} 条记录）",
        f"Erasure of personal data, {many} record{'s' if many > 1 else ''}", {"records": records},
        link=f"/privacy/requests/{request_id}",
    )  # fmt: skip


async def requests(tx: Transaction) -> list[Request]:
    """Give the requests about personal data, newest first."""
    return await tx.all(Request, SQL["requests"], {"id": None, "most": REQUESTS_MAX})


async def request(tx: Transaction, request_id: UUID) -> Request:
    """Give one request; raises NotFoundError."""
    return await tx.one(Request, SQL["requests"], {"id": request_id, "most": 1}, what="request")


async def _held(tx: Transaction, request_id: UUID) -> Request:
    found = await tx.one(Request, SQL["hold_request"], {"id": request_id}, what="request")
    if found.kind != "erasure" or found.state != "asked":
        raise ConflictError(OVER)
    return found


async def _check(tx: Transaction, person: Person, reason: str) -> None:
    if not person.ids:
        raise InvalidError(NOBODY)
    if len(person.ids) > RECORDS_MAX:
        raise InvalidError(f"At most {RECORDS_MAX} records are one person's; choose fewer.")
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX:
        raise InvalidError(WHY)
    await named(tx, person)


async def _note(
    tx: Transaction, kind: str, person: Person, reason: str, now: datetime, *,
    request_id: UUID, approval: int | None = None, report: Report | None = None,
) -> UUID:  # fmt: skip
    """Keep a request: one about an export is done at once."""
    done = report is not None
    said = {
        "id": request_id,
        "kind": kind,
        "users": list(person.user_ids),
        "contacts": list(person.contact_ids),
        "holders": list(person.holder_ids),
        "reason": reason.strip(),
        "by": tx.actor.name,
        "now": now,
        "approval": approval,
        "done_by": tx.actor.name if done else None,
        "done_at": now if done else None,
        "report": Jsonb(dict(report)) if report is not None else None,
    }
    await tx.run(SQL["ask"], said)
    details = {"records": [str(one) for one in person.ids], "tables": counted(report or {})}
    act = "gave out what is known of a person" if done else "asked for an erasure"
    await audit.record(tx, act, "privacy_request", request_id, details)
    return request_id


def counted(report: Report) -> list[str]:
    """Give a report as the record of acts keeps it."""
    return [f"{table}: {said['rows']}" for table, said in report.items()]
