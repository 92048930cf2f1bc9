"""Erase a person: what the law keeps stays, what others rely on gets a pseudonym, the rest goes.

The pseudonym is made from the id of the record, so an act in the record of acts still leads to one and the same erased
user; whose login that was, nothing in the database says any more.
"""

from datetime import datetime
from uuid import UUID

from hub.audit import service as audit
from hub.privacy import definitions
from hub.privacy.rows import Person, Planned, Report, Traits
from hub.store.database import Role, Transaction
from hub.store.sql import queries
from rules.privacy.register import Then

SQL = queries(__package__)

LAST = "users"  # others are renamed by the logins that users still have
ROWS_MAX = 100_000


def pseudonym(record_id: UUID) -> str:
    """Give what a record is called after an erasure, as the database calls it."""
    return f"erased-{record_id.hex[:12]}"


async def traits(tx: Transaction, person: Person) -> Traits:
    """Give by what else a person is known; runs under the keeper's role."""
    found = await tx.maybe(Traits, SQL["traits"], _ids(person))
    assert found is not None
    return found


async def parameters(tx: Transaction, person: Person, now: datetime) -> dict[str, object]:
    """Give what the statements about a person ask for; runs under the keeper's role."""
    known = await traits(tx, person)
    return {
        **_ids(person),
        "ids": [str(one) for one in person.ids],
        "logins": known.logins,
        "emails": known.emails,
        "tenants": known.tenant_ids,
        "words": sorted(known.words, key=len, reverse=True),  # "Li Wei" before "Li"
        "instead": pseudonym(person.ids[0]),
        "now": now,
        "most": ROWS_MAX,
    }


async def plan(tx: Transaction, person: Person, now: datetime) -> list[Planned]:
    """Give what an erasure would do, table by table: what goes, and what stays with the register's reason."""
    found = []
    async with tx.under(Role.KEEPER):
        asked = await parameters(tx, person, now)
        evidence = await tx.value(SQL["evidence"], asked)
        for table, entry in definitions.register(now.date()).by_table.items():
            known = SQL.get(f"export_{table}")  # None: nothing in it leads from a person to a row
            count = await tx.value(b"SELECT count(*)::int FROM (" + known + b") AS known", asked) if known else 0
            kept = count if entry.erasure is Then.KEEP else evidence if table == "stills" else 0
            found.append(Planned(table, entry, count, kept))
    return found


async def erase(tx: Transaction, person: Person, now: datetime) -> Report:
    """Erase a person and give, by table, how many rows spoke of him and how many of them stay as they are."""
    planned = await plan(tx, person, now)
    async with tx.under(Role.KEEPER):
        asked = await parameters(tx, person, now)
        for one in sorted(planned, key=lambda one: one.table == LAST):
            statement = SQL.get(f"erase_{one.table}")
            if statement is not None and one.entry.erasure is not Then.KEEP:
                await tx.run(statement, asked)
    report = {one.table: {"rows": one.count, "kept": one.kept} for one in planned if one.count}
    for kind, ids in (("user", person.user_ids), ("contact", person.contact_ids), ("badge_holder", person.holder_ids)):
        for record_id in ids:
            await audit.record(tx, "erased", kind, record_id, {"called_now": pseudonym(record_id)})
    return report


def _ids(person: Person) -> dict[str, object]:
    return {"users": list(person.user_ids), "contacts": list(person.contact_ids), "holders": list(person.holder_ids)}
