"""People who correct readings, and what the tests of corrections ask again and again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg

from hub.access import service as access
from hub.approvals import service as approvals
from hub.approvals.rows import Said
from hub.approvals.views import life
from hub.corrections import service as corrections
from hub.corrections.rows import Correction, Kind, Wish
from hub.jobs import rollups
from hub.readings import service as readings
from hub.store.database import Actor, Database
from rules.model.period import Period
from tests.builders import Park, acting

NOW = datetime(2026, 10, 20, 8, tzinfo=UTC)
DAY = datetime(2026, 10, 12, 16, tzinfo=UTC)  # midnight of the 13th in Shanghai
BILLED = "EM-A-101.energy"
FREE = "AHU-A.supply_temp"


@dataclass(frozen=True)
class Desk:
    """A park, its database and the people who correct."""

    park: Park
    database: Database
    users: dict[str, Actor]

    def as_(self, login: str) -> Any:
        """A transaction of somebody."""
        return self.database.transaction(self.park.organisation, self.users[login])

    async def propose(self, wish: Wish, login: str = "eng", now: datetime = NOW) -> Correction:
        """Ask for a correction."""
        async with self.as_(login) as tx:
            return await corrections.propose(tx, wish, now)

    async def decide(self, found: Correction, verdict: str = "approve", login: str = "man") -> None:
        """Decide on a correction's request."""
        assert found.approval is not None
        async with self.as_(login) as tx:
            seen = (await life(tx, found.approval, NOW)).request
            said = Said(verdict, seen.content_hash, seen.round, seen.step, uuid4(), "because")
            await approvals.decide(tx, found.approval, said, NOW)

    async def carry_out(self, number: int, login: str = "eng", now: datetime = NOW) -> Correction:
        """Bring a correction into force."""
        async with self.as_(login) as tx:
            return await corrections.carry_out(tx, number, now)

    async def done(self, wish: Wish) -> Correction:
        """Ask, agree, carry out."""
        made = await self.propose(wish)
        if made.billing:
            await self.decide(made)
            made = await self.carry_out(made.number)
        assert made.stage == "in_force"
        return made

    async def series(self, code: str) -> list[tuple[datetime, float | None, int]]:
        """How a point's readings stand."""
        async with self.as_("eng") as tx:
            found = await readings.series(tx, code, Period(DAY - timedelta(days=40), DAY + timedelta(days=40)))
        return [(one.at, one.value, one.quality) for one in found]

    async def latest(self, code: str) -> tuple[datetime | None, float | None, int | None]:
        """The latest reading of a point."""
        async with self.as_("eng") as tx:
            found = next(one for one in await readings.latest(tx) if one.point == code)
        return found.at, found.value, found.quality

    async def hourly(self, code: str) -> list[tuple[datetime, int, int, float | None, float | None]]:
        """The rollups of a point after the job has run: bucket, n, good_n, sum, last."""
        await rollups.rebuild(self.database)
        with psycopg.connect(self.park.dsns.owner) as owner:
            return owner.execute(
                "SELECT bucket, n, good_n, sum, last FROM hourly WHERE point_id = %s ORDER BY bucket",
                [self.park.points[code]],
            ).fetchall()

    def put(self, code: str, rows: Sequence[tuple[datetime, float | None, int]]) -> None:
        """Store readings as ingest would have."""
        point = self.park.points[code]
        with psycopg.connect(self.park.dsns.owner) as owner:
            for at, value, quality in rows:
                owner.execute("SELECT plantroom.ensure_week(%s)", [at.date()])
                owner.execute("INSERT INTO samples VALUES (%s, %s, %s, %s)", [point, at, value, quality])
                bucket = at.replace(minute=0, second=0, microsecond=0)
                owner.execute("INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, %s)", [point, bucket])
            last = max(rows)
            owner.execute(
                """INSERT INTO latest VALUES (%s, %s, %s, %s) ON CONFLICT (point_id) DO UPDATE
                   SET at = excluded.at, value = excluded.value, quality = excluded.quality
                   WHERE excluded.at > latest.at""",
                [point, *last],
            )


def wish(kind: Kind, point: str, first: datetime, last: datetime | None = None, **more: Any) -> Wish:
    """What somebody wants corrected."""
    value = more.pop("value", None)
    return Wish(
        more.pop("id", None) or uuid4(), kind, point, more.pop("reason", "the face shows something else"), first,
        last or first, None if value is None else Decimal(str(value)), **more,
    )  # fmt: skip


def faces(start: float, step: float, count: int, first: datetime = DAY, every_h: float = 1) -> list[Any]:
    """A counter that runs evenly."""
    return [(first + timedelta(hours=every_h * n), round(start + step * n, 4), 192) for n in range(count)]


async def staff(database: Database, park: Park) -> Desk:
    """An engineer, a manager, a technician, somebody from billing, an auditor."""
    roles = {"eng": "engineer", "man": "manager", "tec": "technician", "bil": "billing", "aud": "auditor"}
    users = {}
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        for login, role in roles.items():
            users[login] = acting(login, role, await access.add_user(tx, login, login.title(), role))
    return Desk(park, database, users)
