"""People, sites and requests of an organisation for the tests of approvals."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg

from hub.access import service as access
from hub.access.rights import RIGHTS
from hub.approvals import service as approvals
from hub.approvals.rows import Life, Said, Subject
from hub.approvals.views import life
from hub.store.database import Actor, Database
from tests.builders import Park, acting

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
# login: role, and where it is held ('' in the whole organisation)
PEOPLE = {
    "ann": ("manager", "site"), "bob": ("manager", "site"), "nor": ("manager", "north"), "cho": ("billing", ""),
    "dan": ("manager", ""), "eve": ("administrator", ""), "fay": ("engineer", "site"), "gus": ("technician", "site"),
    "hal": ("auditor", ""),
}  # fmt: skip


def later(hours: float) -> datetime:
    """So many hours after NOW."""
    return NOW + timedelta(hours=hours)


@dataclass(frozen=True)
class Office:
    """A park with people and a second site."""

    park: Park
    database: Database
    north: UUID
    users: Mapping[str, UUID]

    def actor(self, login: str) -> Actor:
        """Who somebody is, confined to where he works."""
        role, where = PEOPLE[login]
        site = {"site": self.park.site, "north": self.north}.get(where)
        rights = RIGHTS[role] if site is None else RIGHTS[role] - {"manage_flows", "manage_users", "see_audit"}
        places = None if site is None else frozenset({site})
        return Actor(login, self.users[login], rights, places, address="10.1.2.3", request_id="request-1")

    def as_(self, login: str) -> Any:
        """A transaction of somebody."""
        return self.database.transaction(self.park.organisation, self.actor(login))

    async def submit(self, subject: Subject, login: str = "gus", now: datetime = NOW, **more: Any) -> int:
        """Ask for approval."""
        async with self.as_(login) as tx:
            return await approvals.submit(tx, subject, now, **more)

    async def life(self, number: int, login: str = "eve", now: datetime = NOW) -> Life:
        """One request, as somebody sees it."""
        async with self.as_(login) as tx:
            return await life(tx, number, now)

    async def decide(self, number: int, login: str, verdict: str = "approve", now: datetime = NOW, **more: Any) -> str:
        """Decide on what stands there now, as one who has just opened the page."""
        seen = (await self.life(number, now=now)).request
        said = {"verdict": verdict, "seen_hash": seen.content_hash, "round": seen.round, "step": seen.step,
                "submission_id": uuid4(), "comment": "because" if verdict == "reject" else "", **more}  # fmt: skip
        async with self.as_(login) as tx:
            return (await approvals.decide(tx, number, Said(**said), now)).value

    async def require(self, subject: Subject, now: datetime = NOW, login: str = "dan") -> None:
        """Do what needs approval."""
        async with self.as_(login) as tx:
            await approvals.require(tx, subject, now)

    def mails(self) -> list[tuple[str, str]]:
        """To whom something was written: address and subject, since the last time this was asked."""
        with psycopg.connect(self.park.dsns.owner) as owner:
            found = owner.execute("SELECT split_part(address, '@', 1), subject FROM mails ORDER BY 1, 2").fetchall()
            owner.execute("DELETE FROM mails")
        return found

    def acts(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """What the record says of requests: who, on whose behalf, what, details."""
        with psycopg.connect(self.park.dsns.owner) as owner:
            return owner.execute(
                "SELECT actor, on_behalf_of, action, details FROM audit_entries WHERE entity = 'approval' ORDER BY id"
            ).fetchall()


async def staff(database: Database, park: Park) -> Office:
    """Everybody of PEOPLE, each with a mail address; gus reads Chinese."""
    users = {}
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        for login, (role, _) in PEOPLE.items():
            language = "zh" if login == "gus" else "en"
            mail = f"{login}@example.com"
            users[login] = await access.add_user(tx, login, login.title(), role, email=mail, language=language)
    with psycopg.connect(park.dsns.owner) as owner:
        (north,) = (
            owner.execute(
                """INSERT INTO sites (organisation_id, code, name_zh, name_en, timezone, currency)
               SELECT organisation_id, 'NORTH', name_zh, 'North', timezone, currency FROM sites RETURNING id"""
            ).fetchone()
            or ()
        )
        for login, (_, where) in PEOPLE.items():
            if where:
                site = park.site if where == "site" else north
                owner.execute("UPDATE grants SET scope = 'site', site_id = %s WHERE user_id = %s", [site, users[login]])
    return Office(park, database, north, users)


def expense(office: Office, amount: str | None = "1200.50", **more: Any) -> Subject:
    """Something that gus wants to buy for his site."""
    said: dict[str, Any] = {
        "kind": "expense", "id": "filters", "title_zh": "采购滤网", "title_en": "Filters",
        "content": {"text": "Twelve filters", "price": Decimal("100.04")}, "site_id": office.park.site,
        "amount": Decimal(amount) if amount else None, "currency": "CNY" if amount else None,
    }  # fmt: skip
    return Subject(**{**said, **more})
