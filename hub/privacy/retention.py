"""Remove what has outlived its period, in batches, as the register says; the record counts what went.

The transaction works under the keeper's role, which may delete where the register says so and nowhere else.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from hub.audit import service as audit
from hub.privacy import definitions, erasure
from hub.privacy.rows import Id, Person, Retention, State
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from rules.privacy.register import Entry, Then

SQL = queries(__package__)

ACTOR = Actor("plantroom/keeper")
BATCH = 500
BATCHES_MAX = 200  # of one table in one run; the rest waits for the next


async def due(tx: Transaction, now: datetime) -> list[Retention]:
    """Give, for every table with a period, how much it holds and how much of it a run would remove."""
    found = []
    async with tx.under(Role.KEEPER):
        for entry in definitions.register(now.date()).ending:
            for table in entry.holds:
                state = await tx.maybe(State, SQL[f"state_{table}"], _asked(entry, now))
                assert state is not None
                found.append(Retention(table, entry, state))
    return found


async def run(database: Database, organisation: UUID, now: datetime) -> Mapping[str, int]:
    """Remove what is due and give how many rows of which table went; each batch is a transaction of its own."""
    removed: dict[str, int] = {}
    for entry in definitions.register(now.date()).ending:
        for table in entry.holds:
            for _ in range(BATCHES_MAX):
                async with _batch(database, organisation) as tx:
                    count = await _remove(tx, table, entry, now)
                if count:
                    removed[table] = removed.get(table, 0) + count
                if count < BATCH:
                    break
    return removed


async def _remove(tx: Transaction, table: str, entry: Entry, now: datetime) -> int:
    """Remove or pseudonymise one batch, and record how much it was."""
    if entry.afterwards is Then.PSEUDONYMISE:
        count = await _pseudonymise(tx, table, entry, now)
    else:
        async with tx.under(Role.KEEPER):
            count = await tx.run(SQL[f"remove_{table}"], {**_asked(entry, now), "most": BATCH})
    if count:
        said = {
            "rows": count,
            "kept_days": entry.kept.days if entry.kept else 0,
            "up_to": entry.before(now).isoformat(),
        }
        await audit.record(tx, "removed what had outlived its period", "personal data", table, said)
    return count


async def _pseudonymise(tx: Transaction, table: str, entry: Entry, now: datetime) -> int:
    async with tx.under(Role.KEEPER):
        ids = await tx.all(Id, SQL["due_users"], {**_asked(entry, now), "most": BATCH})
    if table == "users" and ids:
        await erasure.erase(tx, Person(user_ids=tuple(row.id for row in ids)), now)
    return len(ids)


def _asked(entry: Entry, now: datetime) -> dict[str, datetime]:
    return {"before": entry.before(now), "now": now}


@asynccontextmanager
async def _batch(database: Database, organisation: UUID) -> AsyncIterator[Transaction]:
    async with database.transaction(organisation, ACTOR) as tx:
        yield tx
