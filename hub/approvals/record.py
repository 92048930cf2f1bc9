"""Between the tables and the pure request: read one, lock one, write one back."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg.types.json import Json, Jsonb

from hub.approvals.rows import Opinion, Stored, Subject
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.content import digest, plain
from rules.flow.definition import Facts, Version
from rules.flow.request import Decision, Request, State, Verdict

SQL = queries(__package__)
MOST = 2_000
NUMBER_MAX = 2**63 - 1
ALIVE = (State.OPEN.value, State.APPROVED.value)


async def stored(
    tx: Transaction,
    *,
    number: int | None = None,
    request_id: UUID | None = None,
    states: Collection[str] | None = None,
    submitter: str | None = None,
    decider: str | None = None,
    subject: tuple[str, str] | None = None,
    most: int = MOST,
) -> list[Stored]:
    """Give requests as the table holds them, newest first; no request has a number beyond NUMBER_MAX."""
    if number is not None and abs(number) > NUMBER_MAX:
        return []
    kind, identity = subject or (None, None)
    asked = {
        "id": request_id, "number": number, "states": list(states) if states is not None else None,
        "submitter": submitter, "decider": decider, "kind": kind, "subject": identity, "most": most,
    }  # fmt: skip
    return await tx.all(Stored, SQL["requests"], asked)


async def opinions(tx: Transaction, found: Sequence[Stored]) -> dict[UUID, list[Opinion]]:
    """Give what was decided on each of several requests, in the order in which it was."""
    by_request: dict[UUID, list[Opinion]] = defaultdict(list)
    for one in await tx.all(Opinion, SQL["opinions"], {"requests": [row.id for row in found]}):
        by_request[one.request_id].append(one)
    return by_request


async def requests(tx: Transaction, found: Sequence[Stored]) -> list[Request]:
    """Give the pure requests of rows."""
    decided = await opinions(tx, found)
    return [request_of(row, decided[row.id]) for row in found]


async def lock(tx: Transaction, request_id: UUID) -> tuple[Stored, Request]:
    """Keep a request until the transaction ends: two who decide at the same moment come one after the other."""
    await tx.value(SQL["lock"], {"id": request_id})
    (row,) = await stored(tx, request_id=request_id)
    (request,) = await requests(tx, [row])
    return row, request


def request_of(row: Stored, decided: Sequence[Opinion]) -> Request:
    """Give the pure request."""
    return Request(
        _version(row.flow), _facts(row), row.content_hash, tuple(row.authors), row.submitted_at,
        row.asked_at, State(row.state), row.round, row.step, row.since, row.needed, row.reminded, row.escalated,
        row.short, tuple(_decision(one) for one in decided), row.ended_at,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _version(text: str) -> Version:
    """Give the version that governs; many requests share one."""
    return Version.model_validate_json(text)


def _decision(one: Opinion) -> Decision:
    return Decision(one.login, one.principal, Verdict(one.verdict), one.round, one.step, one.at)


def _facts(row: Stored | Subject) -> Facts:
    return Facts(
        site=str(row.site_id) if row.site_id else None, building=str(row.building_id) if row.building_id else None,
        amount=row.amount, currency=row.currency, attributes=dict(row.attributes),
    )  # fmt: skip


def facts_of(subject: Subject) -> Facts:
    """Give what of a subject decides its steps."""
    return _facts(subject)


def hash_of(subject: Subject) -> str:
    """Give the hash over everything that an approver decides on; the wording of the title is not among it."""
    whole = {
        "kind": subject.kind, "subject": subject.id, "site": subject.site_id, "building": subject.building_id,
        "amount": subject.amount, "currency": subject.currency, "attributes": subject.attributes,
        "content": subject.content,
    }  # fmt: skip
    return digest(whole)


async def add(tx: Transaction, subject: Subject, request: Request, previous: UUID | None) -> UUID:
    """Write a new request with what is asked; gives its id."""
    number = await tx.value(SQL["next_number"])
    values = {
        **_place(subject), "number": number, "kind": subject.kind, "subject": subject.id, "link": subject.link,
        "flow": Jsonb(request.version.model_dump(mode="json", by_alias=True)), "submitter": request.submitter,
        "submitted_at": request.submitted_at, "previous": previous, **_standing(request),
    }  # fmt: skip
    request_id: UUID = await tx.value(SQL["add"], values)
    await _add_content(tx, request_id, subject, request, request.submitter, request.submitted_at)
    return request_id


async def save(tx: Transaction, request_id: UUID, request: Request, used_at: datetime | None = None) -> None:
    """Write where a request stands."""
    await tx.run(SQL["save"], {"id": request_id, "used_at": used_at, **_standing(request)})


async def replace_content(tx: Transaction, request_id: UUID, subject: Subject, request: Request, now: datetime) -> None:
    """Write what is asked now, beside what was asked before."""
    await save(tx, request_id, request)
    await tx.run(SQL["put_subject"], {"id": request_id, **_place(subject)})
    await _add_content(tx, request_id, subject, request, tx.actor.name, now)


async def _add_content(
    tx: Transaction, request_id: UUID, subject: Subject, request: Request, by: str, now: datetime
) -> None:
    values = {"request": request_id, "round": request.round, "content": Json(plain(subject.content)),
              "hash": request.content_hash, "by": by, "now": now}  # fmt: skip
    await tx.run(SQL["add_content"], values)


def _place(subject: Subject) -> dict[str, Any]:
    return {
        "title_zh": subject.title_zh, "title_en": subject.title_en, "site": subject.site_id,
        "building": subject.building_id, "amount": subject.amount, "currency": subject.currency,
        "attributes": Jsonb(dict(subject.attributes)),
    }  # fmt: skip


def _standing(request: Request) -> dict[str, Any]:
    return {
        "authors": list(request.authors), "content_hash": request.content_hash, "round": request.round,
        "asked_at": request.asked_at, "state": request.state.value, "step": request.step, "since": request.since,
        "needed": request.needed, "reminded": request.reminded, "escalated": request.escalated, "short": request.short,
        "ended_at": request.ended_at, "usable_until": request.usable_until,
    }  # fmt: skip
