"""Approvals: what waits for me, what I asked, one request with its steps, writing one; on the desk and on the phone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.approvals import forms, views
from hub.approvals import service as approvals
from hub.approvals.forms import Asked
from hub.approvals.rows import Entry, Life, Opinion, Said
from hub.errors import NotFoundError
from hub.store.database import Transaction
from rules.flow.definition import Step
from rules.flow.request import State
from web.export import table
from web.session import ApprovalsVisit, ApproveVisit, RequestVisit, Visit

router = APIRouter()
TABS = ("inbox", "mine", "decided", "all")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a request as its page shows it: whether it applies, is over, or waits, and what was said in it."""

    step: Step
    applies: bool
    waits: bool
    opinions: tuple[Opinion, ...]
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a request's history."""

    at: datetime
    who: str
    principal: str | None
    act: str
    note: str


async def listed(tx: Transaction, tab: str, now: datetime) -> list[Entry]:
    """Give the requests of a tab."""
    asked = {"mine": views.submitted, "decided": views.decided, "all": views.every}
    return await asked.get(tab, views.inbox)(tx, now)


def _tab(visit: Visit, tab: str) -> str:
    if tab not in TABS or (tab == "all" and not visit.who.may(Right.MANAGE_FLOWS)):
        return "inbox" if visit.who.may(Right.APPROVE) else "mine"
    return tab


@router.get("/approvals")
async def show(visit: ApprovalsVisit, tab: str = "") -> HTMLResponse:
    """Show requests: those that wait for the visitor first."""
    chosen = _tab(visit, tab)
    async with visit.transaction() as tx:
        entries = await listed(tx, chosen, visit.now)
        waiting = len(entries) if chosen == "inbox" else len(await views.inbox(tx, visit.now))
        said = {"entries": entries, "tab": chosen, "waiting": waiting}
        return await visit.page(tx, "approvals/list.html", **said)


@router.get("/approvals.csv")
async def export(visit: ApprovalsVisit, tab: str = "") -> Response:
    """Give a tab's requests as CSV."""
    async with visit.transaction() as tx:
        chosen = _tab(visit, tab)
        return table(f"approvals-{chosen}", [_cells(one) for one in await listed(tx, chosen, visit.now)])


@router.get("/approvals/new")
async def write(visit: RequestVisit, kind: str = "", change: int = 0, again: int = 0) -> HTMLResponse:
    """Show the form of a new request, or of one's own that is changed or submitted again."""
    async with visit.transaction() as tx:
        kinds = await forms.kinds(tx, visit.now)
        before = await _own(tx, visit, change or again) if change or again else None
        said = {
            "kinds": kinds, "places": await forms.places(tx), "before": before, "change": change, "again": again,
            "chosen": before.stored.kind if before else kind if kind in kinds else next(iter(kinds), ""),
            "everywhere": tx.actor.places is None,
        }  # fmt: skip
        return await visit.page(tx, "approvals/new.html", **said)


@router.post("/approvals")
async def ask(
    visit: RequestVisit,
    kind: Annotated[str, Form()] = "",
    title: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    amount: Annotated[str, Form()] = "",
    site_id: Annotated[str, Form()] = "",
    change: Annotated[int, Form()] = 0,
    again: Annotated[int, Form()] = 0,
) -> Response:
    """Submit a request, or put other content before the approvers of one's own."""
    asked = Asked(kind, title, text, amount, _identity(site_id))
    async with visit.transaction() as tx:
        number = change
        if change:
            await forms.change(tx, change, asked, visit.now)
        else:
            number = await forms.ask(tx, asked, visit.now, again or None)
    return visit.go(f"/approvals/{number}")


@router.get("/approvals/{number}")
async def one(visit: ApprovalsVisit, number: int) -> HTMLResponse:
    """Show one request."""
    async with visit.transaction() as tx:
        found = await views.life(tx, number, visit.now)
        said = {"life": found, "stages": stages(found), "history": history(found)}
        return await visit.page(tx, "approvals/one.html", **said)


@router.post("/approvals/{number}/decide")
async def decide(
    visit: ApproveVisit,
    number: int,
    verdict: Annotated[str, Form()],
    seen: Annotated[str, Form()],
    round: Annotated[int, Form()],  # noqa: A002 - the field's name
    step: Annotated[int, Form()],
    submission_id: Annotated[UUID, Form()],
    comment: Annotated[str, Form()] = "",
    principal: Annotated[str, Form()] = "",
) -> Response:
    """Approve or reject what the page showed."""
    said = Said(verdict, seen, round, step, submission_id, comment, principal or None)
    async with visit.transaction() as tx:
        await approvals.decide(tx, number, said, visit.now)
    return visit.go(f"/approvals/{number}")


@router.post("/approvals/{number}/withdraw")
async def withdraw(visit: RequestVisit, number: int) -> Response:
    """Take one's own request back."""
    async with visit.transaction() as tx:
        await approvals.withdraw(tx, number, visit.now)
    return visit.go(f"/approvals/{number}")


def stages(life: Life) -> list[Stage]:
    """Give the steps of a request with what was said in each on the content as it is now."""
    request = life.request
    path = set(request.version.path(request.facts))
    held = [one for one in life.opinions if one.round == request.round]
    return [
        Stage(
            step, place in path, request.open and place == request.step,
            tuple(one for one in held if one.step == place),
            request.since + timedelta(hours=step.within_h)
            if request.open and place == request.step and request.since and step.within_h else None,
        )
        for place, step in enumerate(request.version.steps)
    ]  # fmt: skip


def history(life: Life) -> list[Happening]:
    """Give what happened to a request, newest first."""
    row = life.stored
    found = [
        Happening(one.written_at, one.written_by, None, "submitted" if one.round == 1 else "changed", "")
        for one in life.contents
    ]
    found += [Happening(one.at, one.login, one.principal, one.verdict, one.comment) for one in life.opinions]
    if row.ended_at and life.request.state not in (State.REJECTED, State.APPROVED, State.USED):
        who = row.submitted_by if life.request.state is State.WITHDRAWN else ""
        found.append(Happening(row.ended_at, who, None, row.state, ""))
    if row.used_at:
        found.append(Happening(row.used_at, "", None, "used", ""))
    return sorted(found, key=lambda one: one.at, reverse=True)


async def _own(tx: Transaction, visit: Visit, number: int) -> Life:
    found = await views.life(tx, number, visit.now)
    if not found.may_change:
        raise NotFoundError(approvals.NO_SUCH)
    return found


def _identity(text: str) -> UUID | None:
    """Give the site that a form names; what is no identity names a site that is nobody's."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def _cells(one: Entry) -> dict[str, Any]:
    row = one.stored
    return {
        "number": row.number, "kind": row.kind, "title_zh": row.title_zh, "title_en": row.title_en, "state": row.state,
        "step": one.request.current.code if one.request.open else "", "amount": row.amount, "currency": row.currency,
        "site_zh": row.site_zh, "site_en": row.site_en, "submitted_by": row.submitted_by,
        "submitted_at": row.submitted_at, "waits_since": row.since if one.request.open else None,
        "ended_at": row.ended_at, "used_at": row.used_at, "content_sha256": row.content_hash,
    }  # fmt: skip
