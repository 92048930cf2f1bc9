"""Deputies: who decides for whom, from when to when."""

from datetime import datetime, timedelta
from uuid import UUID

from psycopg.errors import CheckViolation

from hub.access.rights import RIGHTS, Right
from hub.approvals.people import people
from hub.approvals.rows import Contact, Deputy
from hub.audit import service as audit
from hub.errors import ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)
LONGEST = timedelta(days=366)
SHOWN_AFTER_END = timedelta(days=30)
NO_SUCH = "There is no such deputy."
APPROVERS = frozenset(role for role, rights in RIGHTS.items() if Right.APPROVE in rights)


async def candidates(tx: Transaction, now: datetime) -> list[Contact]:
    """Give who can be named as deputy: everybody else of this organisation who has an inbox, by name."""
    everybody = await people(tx, now)
    able = [
        everybody.contacts[person.login]
        for person in everybody.roster.people
        if person.login != tx.actor.name and any(held.role in APPROVERS for held in person.holdings)
    ]
    return sorted(able, key=lambda one: (one.name, one.login))


async def deputies(tx: Transaction, now: datetime) -> list[Deputy]:
    """Give the deputations of which the asking person is a part, or all for who looks after users; lately ended too."""
    found = await tx.all(Deputy, SQL["deputations"], {"since": now - SHOWN_AFTER_END, "id": None})
    if tx.actor.may(Right.MANAGE_USERS):
        return found
    return [one for one in found if tx.actor.name in (one.principal, one.deputy)]


async def name_deputy(
    tx: Transaction, deputy: str, start_at: datetime, end_at: datetime, now: datetime, principal: str | None = None
) -> UUID:
    """Let ``deputy`` decide for the asking person, or for ``principal``, from ``start_at`` to before ``end_at``.

    Only who looks after users names one for somebody else.  Raises ForbiddenError or InvalidError.
    """
    whom = principal or tx.actor.name
    if whom != tx.actor.name and not tx.actor.may(Right.MANAGE_USERS):
        raise ForbiddenError("Only who looks after users names a deputy for somebody else.")
    if not now < end_at <= start_at + LONGEST or start_at >= end_at:
        raise InvalidError("A deputy is named from a day to a later one that is not over, for a year at most.")
    everybody = await people(tx, now)
    able = {
        person.login for person in everybody.roster.people if any(held.role in APPROVERS for held in person.holdings)
    }
    if deputy not in able or whom not in able:
        raise InvalidError("Choose somebody of this organisation who takes part in approvals.")
    values = {"principal": whom, "deputy": deputy, "start": start_at, "end": end_at, "by": tx.actor.name, "now": now}
    try:
        made: UUID | None = await tx.value(SQL["add_deputation"], values)
    except CheckViolation:
        raise InvalidError("Nobody is his own deputy; choose somebody else.") from None
    if made is None:
        raise InvalidError("Choose somebody of this organisation who takes part in approvals.")
    when = {"from": start_at.isoformat(), "to": end_at.isoformat()}
    await audit.record(tx, "named a deputy", "deputation", made, {"principal": whom, "deputy": deputy, **when})
    return made


async def end_deputy(tx: Transaction, deputation_id: UUID, now: datetime) -> None:
    """Take a deputation back at once; raises NotFoundError for one that is not the asking person's to take back."""
    found = await tx.maybe(Deputy, SQL["deputations"], {"since": now, "id": deputation_id})
    if found is None or (found.principal != tx.actor.name and not tx.actor.may(Right.MANAGE_USERS)):
        raise NotFoundError(NO_SUCH)
    await tx.run(SQL["end_deputation"], {"id": deputation_id, "now": now})
    about = {"principal": found.principal, "deputy": found.deputy}
    await audit.record(tx, "ended a deputy", "deputation", deputation_id, about)
