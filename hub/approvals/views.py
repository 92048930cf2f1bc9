"""What somebody sees of requests: what waits for him, what he asked, what he decided, and one request whole."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from hub.access.rights import Right
from hub.approvals import record
from hub.approvals.definitions import book, today
from hub.approvals.people import People, people
from hub.approvals.rows import Content, Entry, Life, Opinion, Stored
from hub.approvals.service import NO_SUCH
from hub.errors import NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.request import State
from rules.flow.seats import concerns, seats

SQL = queries(__package__)
LISTED_MOST = 500


async def inbox(tx: Transaction, now: datetime) -> list[Entry]:
    """Give what waits for the asking person, the longest waiting first."""
    async with tx.unconfined():
        found = await _entries(tx, await record.stored(tx, states=[State.OPEN]), now)
    return sorted((one for one in found if one.seats), key=lambda one: one.request.since or one.request.submitted_at)


async def submitted(tx: Transaction, now: datetime) -> list[Entry]:
    """Give what the asking person has asked for, newest first."""
    async with tx.unconfined():
        return await _entries(tx, await record.stored(tx, submitter=tx.actor.name, most=LISTED_MOST), now)


async def decided(tx: Transaction, now: datetime) -> list[Entry]:
    """Give what the asking person has decided on, newest first."""
    async with tx.unconfined():
        return await _entries(tx, await record.stored(tx, decider=tx.actor.name, most=LISTED_MOST), now)


async def every(tx: Transaction, now: datetime) -> list[Entry]:
    """Give all requests of the organisation, newest first, to those who look after flows."""
    if not _sees_all(tx):
        raise NotFoundError(NO_SUCH)
    async with tx.unconfined():
        return await _entries(tx, await record.stored(tx, most=LISTED_MOST), now)


async def life(tx: Transaction, number: int, now: datetime) -> Life:
    """Give one request with its contents, decisions and people.

    Raises NotFoundError for one that is not there, and for one that is nothing of the asking person's business.
    """
    async with tx.unconfined():
        found = await record.stored(tx, number=number, most=1)
        if not found:
            raise NotFoundError(NO_SUCH)
        row, everybody = found[0], await people(tx, now)
        said = (await record.opinions(tx, found))[row.id]
        request = record.request_of(row, said)
        login = tx.actor.name
        if not _sees_all(tx) and not concerns(request, everybody.roster, login, now):
            raise NotFoundError(NO_SUCH)
        contents = await tx.all(Content, SQL["contents"], {"request": row.id})
        flows = (await book(tx, await today(tx, now, row.site_id))).flows
    able = seats(request, everybody.roster, now)
    own = request.submitter == login
    return Life(
        row, request, flows.get(row.kind), tuple(contents), tuple(said), able,
        tuple(seat for seat in able if seat.login == login), _names(everybody, row, said),
        may_withdraw=own and request.open and request.version.self_withdraw,
        may_change=own and row.kind in flows and flows[row.kind].form is not None and request.state is not State.USED,
    )  # fmt: skip


async def of_id(tx: Transaction, request_id: UUID) -> Stored:
    """Give the request of that identity, for who sees its place; raises NotFoundError."""
    found = await record.stored(tx, request_id=request_id, most=1)
    if not found:
        raise NotFoundError(NO_SUCH)
    return found[0]


async def requests_about(tx: Transaction, kind: str, subjects: Sequence[str]) -> dict[str, Stored]:
    """Give for each of several subjects of a kind its newest request, whose number and state anybody may know."""
    found: dict[str, Stored] = {}
    async with tx.unconfined():
        for subject in subjects:
            for row in await record.stored(tx, subject=(kind, subject), most=1):
                found[subject] = row
    return found


def _sees_all(tx: Transaction) -> bool:
    return tx.actor.may(Right.MANAGE_FLOWS)


async def _entries(tx: Transaction, rows: Sequence[Stored], now: datetime) -> list[Entry]:
    everybody = await people(tx, now)
    flows = (await book(tx, await today(tx, now))).flows
    return [
        Entry(
            row, request, flows.get(row.kind),
            tuple(seat for seat in seats(request, everybody.roster, now) if seat.login == tx.actor.name),
            everybody.names.get(row.submitted_by, row.submitted_by),
        )
        for row, request in zip(rows, await record.requests(tx, rows), strict=True)
    ]  # fmt: skip


def _names(everybody: People, row: Stored, said: Sequence[Opinion]) -> dict[str, str]:
    """Name everybody whom the page mentions; who is no longer there keeps his login."""
    logins = {*row.authors, *(one.login for one in said), *(one.principal for one in said if one.principal)}
    return {**{login: login for login in logins}, **everybody.names}
