"""The same park twice on one server: within its walls, and in a copy without them; and one operation on each in turn.

"Bare" is what the walls and the record are measured against: a copy of the database whose row-level security is off and
whose views are no barriers, reached by its owner in transactions that take no role and name nobody.
"""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.postgres import Postgres, create_database
from hub.leases import service as leases
from hub.store.database import SYSTEM, Actor, Database, Role, Transaction
from hub.store.migrate import migrate
from tests.bench.row import Row, at_most
from tests.builders import ENGINEER, Dsns, Park, register_park, site_file

HUB_PASSWORD = "only for benches"
BAR_PERCENT = 15.0
DEVICES, ALARMS, ACTIVE, ORDERS = 1_500, 20_000, 1_300, 5_000

# A park of a few thousand points; alarms and orders of some years, most of them over.
FILL = f"""
INSERT INTO devices (organisation_id, site_id, gateway_id, space_id, code, name_zh, name_en, profile, role, commodity)
SELECT d.organisation_id, d.site_id, d.gateway_id, d.space_id, 'X-' || n, 'x', 'X', d.profile, d.role, d.commodity
FROM generate_series(1, {DEVICES}) n, (SELECT * FROM devices WHERE code = 'EM-A-MAIN') d;
INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution)
SELECT organisation_id, site_id, id, code || '.' || measure, measure, 'gauge', 'kW', 0.1
FROM devices, unnest(ARRAY['power', 'flow']) measure WHERE code LIKE 'X-%';
INSERT INTO latest (point_id, at, value, quality) SELECT id, now(), id % 100, 192 FROM points ON CONFLICT DO NOTHING;
INSERT INTO alarms (id, organisation_id, site_id, device_id, point_id, rule, rule_version, priority, name_zh, name_en,
                    condition_began_at, raised_at, cleared_at, acknowledged_at, acknowledged_by)
SELECT gen_random_uuid(), d.organisation_id, d.site_id, d.id, p.id, 'rule-' || n, 1, 'high', 'x', 'X', at, at,
       CASE WHEN n > {ACTIVE} THEN at END, CASE WHEN n > {ACTIVE} THEN at END, CASE WHEN n > {ACTIVE} THEN 'x' END
FROM generate_series(1, {ALARMS}) n CROSS JOIN LATERAL (SELECT now() - n * interval '10 min' AS at) t
JOIN devices d ON d.code = 'X-' || (n % {DEVICES} + 1) JOIN points p ON p.device_id = d.id AND p.measure = 'power';
INSERT INTO work_orders (organisation_id, site_id, device_id, space_id, number, rule, title_zh, title_en, skill, zone,
                         priority, state, created_at, changed_at)
SELECT d.organisation_id, d.site_id, d.id, d.space_id, 10000 + n, 'rule-' || n, 'x', 'X', 'hvac', 'A', 'high',
       CASE WHEN n > {ACTIVE} THEN 'closed' ELSE 'requested' END, now() - n * interval '1 h', now() - n * interval '1 h'
FROM generate_series(1, {ORDERS}) n JOIN devices d ON d.code = 'X-' || (n % {DEVICES} + 1);
"""
STRIP = """
DO $$
DECLARE
    target regclass;
BEGIN
    FOR target IN SELECT oid FROM pg_class WHERE relrowsecurity LOOP
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', target);
    END LOOP;
    FOR target IN SELECT oid FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER VIEW %s SET (security_barrier = false)', target);
        EXECUTE format('ALTER VIEW %s OWNER TO CURRENT_USER', target);
    END LOOP;
END
$$;
"""


@dataclass(slots=True)
class BareTransaction(Transaction):
    """A transaction that takes no role and names nobody."""

    async def become(self, role: Role, organisation: UUID | None = None) -> None:
        self.role, self.organisation = role, organisation or self.organisation

    @asynccontextmanager
    async def under(self, role: Role) -> AsyncIterator[None]:  # noqa: ARG002
        yield

    @asynccontextmanager
    async def unconfined(self) -> AsyncIterator[None]:
        yield


class BareDatabase(Database):
    """The pool of somebody whom no wall holds back."""

    @asynccontextmanager
    async def transaction(
        self, organisation: UUID | None, actor: Actor = SYSTEM, role: Role = Role.APP
    ) -> AsyncIterator[Transaction]:
        async with self._pool.connection() as connection, connection.transaction():
            yield BareTransaction(connection, organisation, actor, role)


@dataclass(frozen=True)
class Bed:
    """One of the two databases."""

    database: Database
    park: Park
    alarms: list[UUID]
    orders: list[UUID]
    technician: UUID


@asynccontextmanager
async def beds(folder: Path) -> AsyncIterator[tuple[Bed, Bed]]:
    """Give the park within its walls, and the bare copy."""
    server = Postgres(folder / "postgres")
    server.start()
    try:
        walled = await _walled(server)
        create_database(server.dsn_of("postgres"), "bare", "walled")
        with psycopg.connect(server.dsn_of("bare"), autocommit=True) as owner:
            owner.execute(STRIP.encode())
            owner.execute(f"ALTER DATABASE bare SET plantroom.organisation = '{walled.organisation}'".encode())
        for name in ("walled", "bare"):
            with psycopg.connect(server.dsn_of(name), autocommit=True) as owner:
                owner.execute("VACUUM ANALYZE")
        hub = make_conninfo(server.dsn_of("walled"), user="plantroom_hub", password=HUB_PASSWORD)
        inside, outside = Database(hub), BareDatabase(server.dsn_of("bare"))
        await inside.open()
        await outside.open()
        try:
            yield _bed(inside, walled, server.dsn_of("walled")), _bed(outside, walled, server.dsn_of("bare"))
        finally:
            await inside.close()
            await outside.close()
    finally:
        server.stop()


async def _walled(server: Postgres) -> Park:
    create_database(server.dsn_of("postgres"), "walled")
    owner = make_conninfo(server.dsn_of("walled"), options="-c search_path=public")
    migrate(owner, HUB_PASSWORD)
    database = Database(make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))
    await database.open()
    park = await register_park(database, Dsns(owner, ""), site_file())
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file)
        await tx.value(
            b"""INSERT INTO users (organisation_id, login, name, kind, skills, zones)
                VALUES (plantroom.organisation(), 'wang', 'Wang', 'staff', '{hvac}', '{A}') RETURNING id"""
        )
        await tx.run(
            b"""INSERT INTO grants (organisation_id, user_id, kind, role, scope, granted_by)
                SELECT organisation_id, id, kind, 'technician', 'organisation', 'bench' FROM users"""
        )
    await database.close()
    with psycopg.connect(owner) as connection:
        connection.execute(FILL.encode())
    return park


def _bed(database: Database, park: Park, owner: str) -> Bed:
    with psycopg.connect(owner) as connection:

        def ids(query: str) -> list[UUID]:
            return [key for (key,) in connection.execute(query.encode()).fetchall()]

        return Bed(
            database,
            park,
            ids("SELECT id FROM alarms WHERE acknowledged_at IS NULL ORDER BY rule"),
            ids("SELECT id FROM work_orders WHERE state = 'requested' ORDER BY number"),
            ids("SELECT id FROM users")[0],
        )


Work = Callable[[Bed, int], Awaitable[object]]


async def over(name: str, ours: tuple[Bed, Work], other: tuple[Bed, Work], rounds: int) -> Row:
    """How many per cent longer ours takes than the other: the median over pairs, one right after the other.

    What else the machine does meets both of a pair alike.
    """
    took: tuple[list[float], list[float]] = ([], [])
    for n in range(rounds):
        for which in (0, 1) if n % 2 else (1, 0):
            bed, work = (ours, other)[which]
            begun = time.perf_counter()
            await work(bed, n)
            took[which].append(time.perf_counter() - begun)
    pairs = list(zip(*took, strict=True))[rounds // 10 :]
    with_ms, without_ms = (statistics.median(times) * 1_000 for times in zip(*pairs, strict=True))
    said = f"{name}: {with_ms:.2f} ms, {without_ms:.2f} ms without"
    return at_most(said, (statistics.median(one / two for one, two in pairs) - 1) * 100, BAR_PERCENT, "% more")
