"""Ask for corrections, and look them up.

A wish becomes a plan (``plan``: the same for preview and deed) and a plan a stored correction, whose lines never
change.  Where a bill stands on the point a second person has to agree first; elsewhere it is in force at
once (``force``).
"""

import hashlib
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.access.rights import Right
from hub.approvals import service as approvals
from hub.approvals.rows import Subject
from hub.audit import service as audit
from hub.corrections import force
from hub.corrections.plan import plan
from hub.corrections.rows import Correction, Kind, Line, Photo, Plan, Standing, StoredExchange, Wish
from hub.documents.picture import Picture, shrunk
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.content import digest

SQL = queries(__package__)
KIND = "correction"  # of subject, in the flows
REASON_CHARACTERS_MAX = 500
LISTED_MAX = 500
EXPORTED_MAX = 10_000
LINES_SHOWN_MAX = 200
LINES_AGREED_MAX = 20  # that an approver reads one by one; the digest stands for all
PHOTO_BYTES_MAX = 2_097_152  # as migration 0026 says
PHOTO_SIDE = 1_600
NUMBER_MAX = 2**63 - 1
FORBIDDEN = "Your role does not include correcting readings; ask an engineer."
USED = "This id was used for another correction; take a new one."
WHY = f"Say in 1 to {REASON_CHARACTERS_MAX} characters why."
SAID = {  # to approvers of both languages
    Kind.DISPUTE: "标记坏值 / dispute readings",
    Kind.REPLACE: "替换读数 / replace a reading",
    Kind.ADD: "补录读数 / add a reading",
    Kind.EXCHANGE: "换表或复位 / meter exchange or reset",
    Kind.WITHDRAW: "撤销更正 / withdraw a correction",
}
BY_HAND = frozenset({Kind.ADD, Kind.EXCHANGE})  # what a technician at the meter records


def keep_picture(found: Picture) -> Picture:
    """Give a cleaned picture as it is kept with a correction; takes a moment of a core."""
    return found if len(found.data) <= PHOTO_BYTES_MAX else shrunk(found, PHOTO_SIDE)


async def propose(tx: Transaction, wish: Wish, now: datetime) -> Correction:
    """Ask for a correction; the same wish again gives the same one.

    It is in force at once where nobody else has to agree.  Raises ForbiddenError, NotFoundError for a point that is not
    there, InvalidError, or ConflictError when another correction of the same readings waits.
    """
    check_right(tx, wish.kind)
    wish = replace(wish, reason=wish.reason.strip())
    if not 1 <= len(wish.reason) <= REASON_CHARACTERS_MAX:
        raise InvalidError(WHY)
    known = await _found(tx, id=wish.id)
    if known:
        return _same(known[0], wish, tx.actor.name)
    held = await plan(tx, wish, now)
    await tx.run(SQL["hold_point"], {"point": held.target.id})
    held = await plan(tx, wish, now)  # as it stands now that nobody else corrects this point
    await _check_open(tx, held)
    await _store(tx, wish, held, now)
    made = await correction(tx, id=wish.id)
    if not made.billing:
        await audit.record(tx, "corrected", "correction", made.number, said(made), reason=made.reason)
        await force.enforce(tx, made, None, now)
        return await correction(tx, id=wish.id)
    number = await approvals.submit(tx, await subject(tx, made), now)
    await tx.run(SQL["note_approval"], {"id": made.id, "approval": number})
    await audit.record(
        tx, "asked for", "correction", made.number, {**said(made), "approval": number}, reason=made.reason
    )
    return await correction(tx, id=wish.id)


async def carry_out(tx: Transaction, number: int, now: datetime) -> Correction:
    """Bring a correction into force to which a second person has agreed; one that is in force is only shown.

    Raises NotFoundError, ForbiddenError, or ConflictError: nobody has agreed, or its readings were corrected meanwhile.
    """
    found = await correction(tx, number=number)
    check_right(tx, Kind(found.kind))
    await tx.run(SQL["hold_point"], {"point": found.point_id})
    held = await tx.value(SQL["hold"], {"number": number})
    if held is None:
        found = await correction(tx, number=number)  # as it is now that nobody else is at it
        if found.in_force_at is not None:
            return found
        raise ConflictError(f"Correction {number} no longer waits for anybody.")
    await approvals.require(tx, await subject(tx, found), now)
    async with tx.unconfined():
        second = await tx.value(SQL["seconded_by"], {"approval": found.approval, "by": found.asked_by})
    if second is None:
        raise ConflictError(
            "Nobody but its author has agreed to this; let the flow for corrections ask a second person."
        )
    await force.check_standing(tx, found, now)
    await force.enforce(tx, found, second, now)
    details = {**said(found), "seconded_by": second}
    await audit.record(tx, "corrected", "correction", number, details, reason=found.reason)
    return await correction(tx, number=number)


async def take_back(tx: Transaction, number: int, now: datetime) -> None:
    """Drop one's own correction before it is in force; raises NotFoundError or ConflictError."""
    found = await correction(tx, number=number)
    if found.asked_by != tx.actor.name:
        raise ConflictError("Only who asked for a correction takes it back.")
    if await tx.value(SQL["hold"], {"number": number}) is None:
        raise ConflictError(f"Correction {number} no longer waits; withdraw it by another correction.")
    if found.approval is not None and found.approval_state == "open":
        await approvals.withdraw(tx, found.approval, now)
    await tx.run(SQL["drop"], {"id": found.id, "now": now})
    await audit.record(tx, "took back", "correction", number, {"point": found.point})


async def correction(tx: Transaction, *, number: int | None = None, id: UUID | None = None) -> Correction:  # noqa: A002
    """Give one correction; raises NotFoundError."""
    found = [] if number is not None and abs(number) > NUMBER_MAX else await _found(tx, number=number, id=id)
    if not found:
        raise NotFoundError("There is no such correction.")
    return found[0]


async def corrections(
    tx: Transaction,
    *,
    point: str | None = None,
    kind: str | None = None,
    stage: str | None = None,
    by: str | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
    most: int = LISTED_MAX,
) -> list[Correction]:
    """Give corrections, newest first; ``stage`` is one of waiting, ready, refused, in_force, withdrawn."""
    return await _found(tx, point=point, kind=kind, stage=stage, by=by, since=since, before=before, most=most)


async def lines(tx: Transaction, found: Correction, most: int = LINES_SHOWN_MAX) -> list[Line]:
    """Give the first lines of a correction."""
    return await tx.all(Line, SQL["lines"], {"id": found.id, "most": most})


async def exchange(tx: Transaction, found: Correction) -> StoredExchange | None:
    """Give the exchange that a correction records, None where it records none."""
    return await tx.maybe(StoredExchange, SQL["exchange"], {"id": found.id})


async def photo(tx: Transaction, number: int) -> Photo:
    """Give the picture kept with a correction; raises NotFoundError."""
    found = await correction(tx, number=number)
    return await tx.one(Photo, SQL["photo"], {"id": found.id}, what="photo")


async def readings_between(
    tx: Transaction, point_id: int, first: datetime, last: datetime, most: int = LINES_SHOWN_MAX
) -> list[Standing]:
    """Give a point's readings as they stand, newest first, with the correction over each and what was measured."""
    return await tx.all(
        Standing, SQL["readings_around"], {"point": point_id, "first": first, "last": last, "most": most}
    )


def check_right(tx: Transaction, kind: Kind) -> None:
    """Let somebody correct in this way; raises ForbiddenError."""
    if not (tx.actor.may(Right.CORRECT_READINGS) or (kind in BY_HAND and tx.actor.may(Right.ENTER_READINGS))):
        raise ForbiddenError(FORBIDDEN)


async def subject(tx: Transaction, found: Correction) -> Subject:
    """Give what a second person agrees to: made of what is stored with the correction alone, which never changes."""
    swap = await exchange(tx, found)
    shown = await lines(tx, found, LINES_AGREED_MAX)
    content: dict[str, Any] = {
        "correction": found.number, "kind": SAID[Kind(found.kind)], "point": found.point, "from": found.first_at,
        "to": found.last_at, "reason": found.reason, "readings": found.lines,
        "lines": [f"{one.at:%Y-%m-%d %H:%M:%S} UTC: {_face(one.before_value)} → {_face(one.value)}" for one in shown],
        "exchange": None if swap is None else {key: value for key, value in asdict(swap).items() if value is not None},
        "effect": [
            f"{day['day']}: {day['before'] or '–'} → {day['after'] or '–'} {day['unit']}" for day in found.effect
        ],
        "bills": found.bills, "photo": found.photo_sha256, "digest": found.digest,
    }  # fmt: skip
    content = {name: held for name, held in content.items() if held not in (None, [], 0)}
    return Subject(
        KIND, str(found.id), f"读数更正 {found.number}：{found.point}", f"Correction {found.number} of {found.point}",
        content, site_id=found.site_id, building_id=found.building_id, link=f"/corrections/{found.number}",
    )  # fmt: skip


def said(found: Correction) -> dict[str, Any]:
    """Give what the record says of a correction."""
    return {
        "point": found.point, "kind": found.kind, "from": found.first_at.isoformat(), "to": found.last_at.isoformat(),
        "readings": found.lines, "bills": found.bills, "sha256": found.digest,
    }  # fmt: skip


async def _found(tx: Transaction, **asked: Any) -> list[Correction]:
    nothing = dict.fromkeys(("id", "number", "point", "kind", "by", "stage", "since", "before"))
    return await tx.all(Correction, SQL["corrections"], {"most": 1, **nothing, **asked}, afresh=True)


def _same(known: Correction, wish: Wish, login: str) -> Correction:
    asked = (known.kind, known.reason, known.asked_by)
    if asked != (wish.kind, wish.reason, login) or wish.point not in (known.point, known.code_now):
        raise ConflictError(USED)
    return known


async def _check_open(tx: Transaction, held: Plan) -> None:
    async with tx.unconfined():
        asked = {
            "point": held.target.id, "ats": [line.at for line in held.lines], "withdraws": held.withdraws_id,
            "exchange": held.exchange is not None,
        }  # fmt: skip
        number = await tx.value(SQL["open_for"], asked)
    if number is not None:
        raise ConflictError(
            f"Correction {number} of the same readings waits for a decision; wait for it, or take it back."
        )


async def _store(tx: Transaction, wish: Wish, held: Plan, now: datetime) -> None:
    columns: dict[str, list[Any]] = {
        "ats": [one.at for one in held.lines],
        "original_values": [one.original_value for one in held.lines],
        "original_qualities": [one.original_quality for one in held.lines],
        "before_values": [one.before_value for one in held.lines],
        "before_qualities": [one.before_quality for one in held.lines],
        "values": [one.value for one in held.lines],
        "qualities": [one.quality for one in held.lines],
    }
    swap = None if held.exchange is None else asdict(held.exchange)
    told = {name: [_face(one) if isinstance(one, float) else one for one in column] for name, column in columns.items()}
    row = {
        "id": wish.id, "number": await tx.value(SQL["take_number"]), "point": held.target.id, "code": held.target.code,
        "kind": wish.kind.value, "withdraws": held.withdraws_id, "first": held.first_at, "last": held.last_at,
        "lines": len(held.lines), "digest": digest({"lines": told, "exchange": swap}), "reason": wish.reason,
        "billing": held.target.billed, "bills": [bill.number for bill in held.bills],
        "effect": Jsonb(list(held.effect)),
        "by": tx.actor.name, "now": now,
    }  # fmt: skip
    if not await tx.run(SQL["add"], row):
        raise ConflictError(USED)
    if held.lines:
        await tx.run(SQL["add_lines"], {"id": wish.id, **columns})
    if swap is not None and held.withdraws_id is None:
        await tx.run(SQL["add_exchange"], {"id": wish.id, "point": held.target.id, **swap})
    if wish.photo is not None:
        kept = {
            "id": wish.id, "sha256": hashlib.sha256(wish.photo.data).digest(), "media_type": wish.photo.media_type,
            "picture": wish.photo.data,
        }  # fmt: skip
        await tx.run(SQL["add_photo"], kept)


def _face(value: float | None) -> str:
    return "–" if value is None else f"{Decimal(repr(value)):f}"
