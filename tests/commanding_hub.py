"""A registered park whose air handling unit may be set, with two engineers, for tests of the hub's side of commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from tomllib import loads
from typing import Any
from uuid import UUID, uuid4

import psycopg

from hub.access import service as access
from hub.approvals import service as approvals
from hub.approvals.rows import Said
from hub.approvals.views import life
from hub.commands import service as commands
from hub.commands.rows import Command, Wish
from hub.store.database import Actor, Database
from rules.model.site import parse
from tests.builders import Dsns, Park, acting, register_park
from tests.commanding import POINT, park_text

PEOPLE = {"fay": "engineer", "gil": "engineer", "max": "manager", "eve": "administrator"}


@dataclass(frozen=True)
class Plantroom:
    """The park, and who acts in it."""

    park: Park
    database: Database
    users: Mapping[str, UUID]

    def actor(self, login: str) -> Actor:
        return acting(login, PEOPLE[login], self.users[login])

    def as_(self, login: str = "fay") -> Any:
        """A transaction of somebody."""
        return self.database.transaction(self.park.organisation, self.actor(login))

    async def give(
        self, value: float | None = 20.0, now: datetime | None = None, *, login: str = "fay", **more: Any
    ) -> Command:
        said = {"id": uuid4(), "point": POINT, "reason": "", **more}
        async with self.as_(login) as tx:
            return await commands.give(tx, Wish(value=value, **said), now or datetime.now(UTC))

    async def give_approved(self, command: Command, now: datetime, login: str = "fay") -> Command:
        async with self.as_(login) as tx:
            return await commands.give_approved(tx, command.id, now)

    async def agree(self, command: Command, now: datetime, login: str = "gil") -> None:
        assert command.approval is not None
        async with self.as_(login) as tx:
            seen = (await life(tx, command.approval, now)).request
            said = Said("approve", seen.content_hash, seen.round, seen.step, uuid4())
            await approvals.decide(tx, command.approval, said, now)

    async def stands(self, command_id: UUID) -> Command:
        async with self.as_() as tx:
            return await commands.command(tx, command_id)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.park.dsns.owner) as owner:
            return owner.execute(statement.encode()).fetchall()

    def acts(self) -> list[tuple[str, str, str]]:
        """What the record says of commands: who, what, why."""
        return self.rows("SELECT actor, action, reason FROM audit_entries WHERE entity = 'command' ORDER BY id")


async def plantroom(database: Database, dsns: Dsns, port: int = 502, **allowed: Any) -> Plantroom:
    """The park of ``tests.commanding``, registered with what may be set."""
    file = parse(loads(park_text(port, **allowed)))
    park = await register_park(database, dsns, file)
    users = {}
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await commands.register(tx, park.site, file)
        for login, role in PEOPLE.items():
            users[login] = await access.add_user(tx, login, login.title(), role, language="en")
    return Plantroom(park, database, users)
