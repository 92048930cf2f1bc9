"""Flows: who approves what, as it holds on a day; versions, and proposing another."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from hub.approvals import definitions, proposals
from hub.approvals.views import requests_about
from hub.errors import InvalidError, NotFoundError
from hub.store.database import Transaction
from rules.flow.text import Problem
from web.export import table
from web.session import ApprovalsVisit, FlowsVisit, Visit, first_site

router = APIRouter()
NO_SUCH = "There is no such flow."


@router.get("/flows")
async def show(visit: ApprovalsVisit, on: str = "") -> HTMLResponse:
    """Show all flows with the version that holds on a day."""
    async with visit.transaction() as tx:
        book = await definitions.book(tx, await _day(tx, visit, on))
        return await visit.page(tx, "approvals/flows.html", book=book)


@router.get("/flows.csv")
async def export(visit: ApprovalsVisit, on: str = "") -> Response:
    """Give the steps of all flows, as they hold on a day, as CSV."""
    async with visit.transaction() as tx:
        book = await definitions.book(tx, await _day(tx, visit, on))
    return table("flows", [
        {"kind": kind, "name_zh": book.flows[kind].name_zh, "name_en": book.flows[kind].name_en,
         "version": version.version, "valid_from": version.valid_from, "step": step.code, "step_zh": step.name_zh,
         "step_en": step.name_en, "roles": " ".join(step.roles), "where": step.where.value, "needs": step.needs,
         "within_h": step.within_h, "escalation_after_h": step.escalation.after_h if step.escalation else None,
         "amount": " ".join(f"{currency}: {span.first} to {'any' if span.below is None else span.below}"
                            for currency, span in step.amount.items())}
        for kind, version in book.in_force.items() for step in version.steps
    ])  # fmt: skip


@router.get("/flows/{kind}")
async def one(visit: ApprovalsVisit, kind: str, on: str = "") -> HTMLResponse:
    """Show one flow: the version of the day, step by step, and all versions."""
    async with visit.transaction() as tx:
        day = await _day(tx, visit, on)
        book = await definitions.book(tx, day)
        if kind not in book.flows:
            raise NotFoundError(NO_SUCH)
        versions = await definitions.history(tx, kind, day)
        own = [str(one.own.id) for one in versions if one.own is not None]
        asked = await requests_about(tx, proposals.KIND, own)
        said = {"kind": kind, "flow": book.flows[kind], "version": book.in_force.get(kind), "day": day,
                "versions": versions, "requests": asked}  # fmt: skip
        return await visit.page(tx, "approvals/flow.html", **said)


@router.get("/flows/{kind}/propose")
async def draft(visit: FlowsVisit, kind: str) -> HTMLResponse:
    """Show the text of the version in force, to change into a new one."""
    async with visit.transaction() as tx:
        text = await proposals.draft(tx, kind, visit.now)
        return await visit.page(tx, "approvals/propose.html", kind=kind, text=text, problems=())


@router.post("/flows/propose")
async def propose(visit: FlowsVisit, text: Annotated[str, Form()] = "", kind: Annotated[str, Form()] = "") -> Response:
    """Propose a version; a text that cannot be used comes back with what is wrong, line by line."""
    try:
        async with visit.transaction() as tx:
            row, number = await proposals.propose(tx, text, visit.now)
    except proposals.UnreadableFlowError as refused:
        return await _again(visit, kind, text, refused.problems)
    return visit.go(f"/approvals/{number}" if number else f"/flows/{row.kind}")


@router.post("/flows/versions/{version_id}/adopt")
async def adopt(visit: FlowsVisit, version_id: UUID) -> Response:
    """Put an approved version in force."""
    async with visit.transaction() as tx:
        row = await proposals.adopt(tx, version_id, visit.now)
    return visit.go(f"/flows/{row.kind}")


async def _again(visit: Visit, kind: str, text: str, problems: tuple[Problem, ...]) -> HTMLResponse:
    async with visit.transaction() as tx:
        said = {"kind": kind[:64], "text": text, "problems": problems}
        return HTMLResponse(visit.text("approvals/propose.html", await first_site(tx), **said), 422)


async def _day(tx: Transaction, visit: Visit, on: str) -> date:
    if not on:
        return await definitions.today(tx, visit.now)
    try:
        return date.fromisoformat(on)
    except ValueError:
        raise InvalidError(f"'{on[:20]}' is not a day; write it like 2026-01-31.") from None
