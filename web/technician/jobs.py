"""The technician's page: his jobs, and one job with its next step."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.errors import InvalidError
from hub.store.database import Transaction
from hub.work import service as work
from hub.work.rows import Entry, Order
from rules.work.order import Verb
from web.console.orders import sort
from web.lists import LiveList
from web.session import TechnicianVisit, zone_of

router = APIRouter()
NEXT = (Verb.ACCEPT, Verb.ARRIVE, Verb.COMPLETE)  # the main button is the first of these that is possible


@dataclass(frozen=True, slots=True)
class Job:
    """One job as its page shows it."""

    order: Order
    history: tuple[Entry, ...]
    main: Verb | None
    may_return: bool


async def mine(tx: Transaction, filters: Mapping[str, str]) -> list[Order]:  # noqa: ARG001 - a list's signature
    """Give the jobs of the technician who asks."""
    return sorted(await work.mine(tx, datetime.now(UTC)), key=sort)


async def job(tx: Transaction, filters: Mapping[str, str]) -> list[Job]:
    """Give the job that the filter names; none when it went to somebody else."""
    number = filters.get("number", "")
    order = await work.numbered(tx, int(number) if number.isdecimal() else 0)
    steps = work.next_steps(tx, order)
    main = next((verb for verb in NEXT if verb in steps), None)
    return [Job(order, tuple(await work.history(tx, order.id)), main, Verb.RETURN in steps)]


LIST = LiveList(
    "jobs", frozenset({"work_order"}), Right.DO_ORDERS, "rows/job.html", mine,
    key=lambda order: str(order.number), sort=sort, personal=True,
)  # fmt: skip
JOB = LiveList(
    "job", frozenset({"work_order"}), Right.DO_ORDERS, "rows/job_card.html", job,
    key=lambda row: str(row.order.number), sort=lambda _: "", personal=True,
)  # fmt: skip


@router.get("/my")
async def show(visit: TechnicianVisit) -> HTMLResponse:
    """Show the jobs, most urgent first."""
    async with visit.transaction() as tx:
        rows = LIST.rows(await mine(tx, {}), visit.language, visit.who.rights, await zone_of(tx))
        return await visit.page(tx, "technician/jobs.html", rows=rows)


@router.get("/my/{number}")
async def one(visit: TechnicianVisit, number: int) -> HTMLResponse:
    """Show one job."""
    async with visit.transaction() as tx:
        found = await job(tx, {"number": str(number)})
        rows = JOB.rows(found, visit.language, visit.who.rights, await zone_of(tx))
        return await visit.page(tx, "technician/job.html", rows=rows, order=found[0].order)


@router.post("/my/{number}/act")
async def act(
    visit: TechnicianVisit,
    number: int,
    verb: Annotated[str, Form()],
    submission_id: Annotated[UUID, Form()],
    note: Annotated[str, Form()] = "",
) -> Response:
    """Take the next step and answer with the live card; a job given back leads to the list."""
    if verb in (Verb.COMPLETE, Verb.RETURN) and not note.strip():
        raise InvalidError("Say in a few words what was done, or why the job goes back.")
    async with visit.transaction() as tx:
        order = await work.numbered(tx, number)
        await work.act(tx, order.id, verb, submission_id, visit.now, note=note)
        if verb == Verb.RETURN:
            return visit.go("/my")
        rows = JOB.rows(await job(tx, {"number": str(number)}), visit.language, visit.who.rights, await zone_of(tx))
    return HTMLResponse(rows) if visit.partial else visit.go(f"/my/{number}")
