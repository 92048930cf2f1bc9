"""Personal data: the register, how long things are kept, and what people may ask for."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import RIGHTS, Right
from hub.errors import NotFoundError
from hub.privacy import definitions, erasure, retention
from hub.privacy import service as privacy
from hub.privacy.rows import Person
from hub.store.database import Transaction
from rules.privacy.register import Entry
from web.export import table
from web.session import Needs, Visit, zone_of
from web.takeout import packed

router = APIRouter()

PrivacyVisit = Annotated[Visit, Depends(Needs(Right.MANAGE_PRIVACY))]
PrivacyAgain = Annotated[Visit, Depends(Needs(Right.MANAGE_PRIVACY, fresh=True))]
Reason = Annotated[str, Form(max_length=privacy.REASON_CHARACTERS_MAX)]
KINDS = ("user", "contact", "badge")
NOT_THERE = "There is no such person."


def key_of(records: list[str]) -> str:
    """Give the address of a person: his records, like 'user:<id>,contact:<id>'; a name never stands in an address."""
    return ",".join(sorted(set(records)))


def person_of(key: str) -> Person:
    """Give the person of an address; raises NotFoundError."""
    found: dict[str, list[UUID]] = {kind: [] for kind in KINDS}
    for record in key.split(",")[: privacy.RECORDS_MAX + 1]:
        kind, _, identity = record.partition(":")
        try:
            found[kind].append(UUID(identity))
        except (KeyError, ValueError):
            raise NotFoundError(NOT_THERE) from None
    return Person(tuple(found["user"]), tuple(found["contact"]), tuple(found["badge"]))


def seen_by(entry: Entry) -> list[str]:
    """Give who may see it: roles, and 'himself'."""
    roles = [role for role in RIGHTS if any(right in RIGHTS[role] for right in entry.seen_by)]
    return [f"role.{role}" for role in roles] + [
        f"privacy.{one}" for one in entry.seen_by if one in ("himself", "nobody")
    ]


@router.get("/privacy")
async def show(visit: PrivacyVisit) -> HTMLResponse:
    """Show the register, what the next run removes, and the requests."""
    async with visit.transaction() as tx:
        said: dict[str, Any] = {
            "entries": definitions.register(visit.now.date()).entries,
            "seen_by": seen_by,
            "due": {one.table: one.state for one in await retention.due(tx, visit.now)},
            "requests": await privacy.requests(tx),
        }
        return await visit.page(tx, "privacy/register.html", **said)


@router.get("/privacy.csv")
async def export_register(visit: PrivacyVisit) -> Response:
    """Give the register as CSV."""
    return table("personal-data", [_cells(entry) for entry in definitions.register(visit.now.date()).entries])


@router.post("/privacy/people")
async def look_for(visit: PrivacyVisit, text: Annotated[str, Form(max_length=254)] = "") -> HTMLResponse:
    """Show records that may be a person's."""
    async with visit.transaction() as tx:
        found = await privacy.find(tx, text)
        return await visit.page(tx, "privacy/people.html", found=found, text=text)


@router.post("/privacy/person")
async def choose(visit: PrivacyVisit, record: Annotated[list[str] | None, Form()] = None) -> Response:
    """Go on with the records that were chosen as one person's."""
    key = key_of(record or [])
    person_of(key)
    return visit.go(f"/privacy/person/{key}")


@router.get("/privacy/person/{key}")
async def person(visit: PrivacyVisit, key: str) -> HTMLResponse:
    """Show what is known of a person, and what an erasure would do to it."""
    async with visit.transaction() as tx:
        whose = person_of(key)
        said = {"key": key_of(key.split(",")), "named": await privacy.named(tx, whose),
                "planned": await erasure.plan(tx, whose, visit.now)}  # fmt: skip
        return await visit.page(tx, "privacy/person.html", **said)


@router.post("/privacy/person/{key}/export")
async def export(visit: PrivacyAgain, key: str, reason: Reason = "") -> Response:
    """Give everything that is known of a person as a file."""
    async with visit.transaction() as tx:
        made = await privacy.export(tx, person_of(key), reason, visit.now)
        zone = await zone_of(tx)
    headers = {"Content-Disposition": f'attachment; filename="personal-data-{visit.now:%Y%m%d-%H%M}.zip"'}
    return Response(packed(made, visit.language, zone), media_type="application/zip", headers=headers)


@router.post("/privacy/person/{key}/erasure")
async def ask_erasure(visit: PrivacyAgain, key: str, reason: Reason = "") -> Response:
    """Ask for the erasure of a person."""
    async with visit.transaction() as tx:
        request_id = await privacy.ask_erasure(tx, person_of(key), reason, visit.now)
    return visit.go(f"/privacy/requests/{request_id}")


@router.get("/privacy/requests/{request_id}")
async def request(visit: PrivacyVisit, request_id: UUID) -> HTMLResponse:
    """Show a request: what will be done, or what was."""
    async with visit.transaction() as tx:
        asked = await privacy.request(tx, request_id)
        waits = asked.kind == "erasure" and asked.state == "asked"
        said = {
            "asked": asked,
            "approved": waits and await privacy.approved(tx, asked),
            "named": await _named(tx, asked.person) if waits else [],
            "planned": await erasure.plan(tx, asked.person, visit.now) if waits else [],
            "by_table": definitions.register(visit.now.date()).by_table,
        }
        return await visit.page(tx, "privacy/request.html", **said)


@router.post("/privacy/requests/{request_id}/carry-out")
async def carry_out(visit: PrivacyAgain, request_id: UUID) -> Response:
    """Erase the person of an approved request."""
    async with visit.transaction() as tx:
        await privacy.carry_out(tx, request_id, visit.now)
    return visit.go(f"/privacy/requests/{request_id}")


@router.post("/privacy/requests/{request_id}/withdraw")
async def withdraw(visit: PrivacyVisit, request_id: UUID) -> Response:
    """Take a request back."""
    async with visit.transaction() as tx:
        await privacy.withdraw(tx, request_id, visit.now)
    return visit.go(f"/privacy/requests/{request_id}")


async def _named(tx: Transaction, whose: Person) -> list[Any]:
    try:
        return list(await privacy.named(tx, whose))
    except NotFoundError:  # one of his records went meanwhile; the request can be withdrawn
        return []


def _cells(entry: Entry) -> dict[str, Any]:
    return {
        "code": entry.code, "name_zh": entry.name_zh, "name_en": entry.name_en, "whose_zh": entry.whose_zh,
        "whose_en": entry.whose_en, "purpose_zh": entry.purpose_zh, "purpose_en": entry.purpose_en,
        "basis_zh": entry.basis_zh, "basis_en": entry.basis_en, "confirmed": entry.confirmed,
        "sensitive": entry.sensitive,
        "columns": "; ".join(f"{name}.{column}" for name, columns in entry.holds.items() for column in columns),
        "kept_days": entry.kept.days if entry.kept else None, "afterwards": entry.afterwards.value,
        "on_erasure": entry.erasure.value, "reason_zh": entry.reason_zh, "reason_en": entry.reason_en,
        "seen_by": " ".join(entry.seen_by),
    }  # fmt: skip
