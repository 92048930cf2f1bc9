"""Who can be asked now, and how he is reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hub.approvals.rows import LEVELS, Contact, Deputy, Holder
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.roster import Deputation, Holding, Person, Roster

SQL = queries(__package__)


@dataclass(frozen=True, slots=True)
class People:
    """The roster, and everybody on it by login."""

    roster: Roster
    contacts: Mapping[str, Contact]

    @property
    def names(self) -> dict[str, str]:
        """How people are called, by login."""
        return {login: contact.name for login, contact in self.contacts.items()}


async def people(tx: Transaction, now: datetime) -> People:
    """Give everybody of the organisation who can be asked, and those of its group who hold a role over all of it."""
    held: dict[str, set[Holding]] = {}
    contacts: dict[str, Contact] = {}
    for row in await tx.all(Holder, SQL["holders"], {"now": now}):
        place = row.building_id or row.site_id
        held.setdefault(row.login, set()).add(Holding(row.role, LEVELS[row.level], str(place) if place else None))
        contacts[row.login] = Contact(row.login, row.name, row.email, row.language)
    deputies = await tx.all(Deputy, SQL["deputations"], {"since": now, "id": None})
    deputations = tuple(Deputation(one.principal, one.deputy, one.start_at, one.end_at) for one in deputies)
    persons = tuple(Person(login, frozenset(holdings)) for login, holdings in sorted(held.items()))
    return People(Roster(persons, deputations), contacts)
