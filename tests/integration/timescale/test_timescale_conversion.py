"""Plain readings move into a hypertable when somebody says so, lose nothing, and everything goes on around them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy import doctor_servers
from hub.keeping import partitions
from hub.readings import service
from hub.store import convert as conversion
from hub.store.backend import Kind, detect
from hub.store.convert import ConversionError, convert
from hub.store.database import Database
from hub.store.migrate import MigrationError, migrate, migrations
from rules.model.period import Period
from tests.builders import ENGINEER, Dsns, register_park, site_file
from tests.conftest import HUB_PASSWORD, PostgresForTests
from tests.timescale import Timescale, cluster, running, serving

START = datetime(2022, 3, 1, tzinfo=UTC)
CODE = "EM-A-MAIN.energy"
ROLES = ("app", "ingest", "reader", "door", "sealer", "post", "keeper", "backup", "hub")


@contextmanager
def superuser(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def migrate_until(owner: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [step for step in migrations() if step.number < number]
    with monkeypatch.context() as patch:
        patch.setattr("hub.store.migrate.migrations", lambda: before)
        migrate(owner, HUB_PASSWORD)


def plain_database(postgres: PostgresForTests, monkeypatch: pytest.MonkeyPatch) -> Dsns:
    """A database with a reading from before there was a hypertable, which keeps migration 0022 from moving anything."""
    owner = postgres.new_database()
    migrate_until(owner, 22, monkeypatch)
    with superuser(owner) as connection:
        connection.execute("SELECT plantroom.ensure_week('2022-03-01')")
        connection.execute("INSERT INTO samples VALUES (999, '2022-03-01 12:00Z', 7, 192)")
    migrate(owner, HUB_PASSWORD)
    return Dsns(
        make_conninfo(owner, options="-c search_path=public"),
        make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD),
    )


def put(owner: str, points: list[int], weeks: int) -> None:
    with superuser(owner) as connection:
        for week in range(weeks + 1):
            connection.execute("SELECT plantroom.ensure_week(%s)", [(START + timedelta(weeks=week)).date()])
        connection.execute(
            """INSERT INTO samples SELECT p, t, extract(epoch FROM t) / 1e6, 192
               FROM unnest(%s::bigint[]) p, generate_series(%s, %s, interval '1 hour') t""",
            [points, START, START + timedelta(weeks=weeks) - timedelta(hours=1)],
        )


def told(owner: str) -> list[tuple[Any, ...]]:
    with superuser(owner) as connection:
        return connection.execute("SELECT * FROM samples ORDER BY point_id, at").fetchall()


async def test_readings_move_week_by_week_and_people_see_them_as_before(
    postgres: PostgresForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsns = plain_database(postgres, monkeypatch)
    database = Database(dsns.hub, pool_max=2)
    await database.open()
    park = await register_park(database, dsns, site_file())
    put(dsns.owner, [park.points[CODE]], 3)
    before = told(dsns.owner)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        seen = await service.series(tx, CODE, Period(START, START + timedelta(weeks=3)))
    with superuser(dsns.owner) as connection:
        assert detect(connection).kind is Kind.PLAIN
        assert "'plantroom store convert'" in detect(connection).hint
        connection.execute("CREATE VIEW dependent AS SELECT point_id, max(at) AS at FROM samples GROUP BY 1")
        connection.execute("CREATE VIEW on_top AS SELECT count(*) AS n FROM dependent")

    heard: list[tuple[str, int]] = []
    assert convert(dsns.owner, lambda part, rows: heard.append((part, rows))).kind is Kind.APACHE
    assert [rows for _, rows in heard] == [6 * 24 + 1, 168, 168, 24]
    assert told(dsns.owner) == before
    with superuser(dsns.owner) as connection:
        assert connection.execute("SELECT n FROM on_top").fetchone() == (2,)
        assert connection.execute("SELECT to_regclass('samples_before'), to_regclass('samples_next')").fetchone() == (
            None, None,
        )  # fmt: skip
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert await service.series(tx, CODE, Period(START, START + timedelta(weeks=3))) == seen
    await partitions.make_ahead(database, START)
    assert await partitions.compact(database, START + timedelta(weeks=20)) == 4
    await database.close()
    assert convert(dsns.owner).kind is Kind.APACHE  # again: nothing to do
    assert migrate(dsns.owner, HUB_PASSWORD) == 0


async def test_a_move_that_was_cut_off_is_taken_up_and_what_came_meanwhile_is_there(
    postgres: PostgresForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsns = plain_database(postgres, monkeypatch)
    put(dsns.owner, [1, 2], 3)

    class CutError(Exception):
        pass

    def cut(part: str, _rows: int) -> None:
        if part.endswith("0307"):
            raise CutError

    with pytest.raises(CutError):
        convert(dsns.owner, cut)
    with superuser(dsns.owner) as connection:
        assert detect(connection).kind is Kind.PLAIN
        connection.execute("INSERT INTO samples VALUES (3, '2022-03-02 00:00Z', NULL, 0)")
    copy, hub = conversion._copy, dsns.owner

    def late(connection: Any, week: Any) -> int:
        """Another reading comes between the copy of its week and the end."""
        rows = copy(connection, week)
        if week.part.endswith("0314"):
            with superuser(hub) as writer:
                writer.execute("SET lock_timeout = '100ms'")
                with suppress(psycopg.errors.LockNotAvailable):  # the second time writers wait
                    writer.execute("INSERT INTO samples VALUES (4, '2022-03-03 00:00Z', 1, 192) ON CONFLICT DO NOTHING")
        return rows

    monkeypatch.setattr(conversion, "_copy", late)
    convert(dsns.owner)
    with superuser(dsns.owner) as connection:
        [(n, points)] = connection.execute("SELECT count(*), array_agg(DISTINCT point_id) FROM samples").fetchall()
    assert (n, points) == (1 + 2 * 3 * 168 + 2, [1, 2, 3, 4, 999])


def test_an_owner_who_may_not_gets_partitions_and_hears_what_to_do(
    postgres: PostgresForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = postgres.new_database()
    name = conninfo_to_dict(dsn)["dbname"]
    with superuser(dsn) as connection:
        connection.execute(
            "DO $$ BEGIN CREATE ROLE humble LOGIN CREATEROLE; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        connection.execute("ALTER ROLE humble PASSWORD 'only for tests'")
        for role in ROLES:
            connection.execute(f"GRANT plantroom_{role} TO humble WITH ADMIN OPTION".encode())
        connection.execute(f"ALTER DATABASE {name} OWNER TO humble".encode())
    humble = make_conninfo(dsn, user="humble", password="only for tests")
    migrate_until(humble, 22, monkeypatch)
    with superuser(humble) as connection:
        connection.execute(f"REVOKE CREATE ON DATABASE {name} FROM humble".encode())
    migrate(humble, HUB_PASSWORD)
    with superuser(humble) as connection:
        found = detect(connection)
    assert (found.kind, found.usable) == (Kind.PLAIN, True)
    assert "let a superuser say CREATE EXTENSION timescaledb" in found.hint
    with pytest.raises(ConversionError, match="CREATE EXTENSION timescaledb"):
        convert(humble)
    with superuser(dsn) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
    assert convert(humble).kind is Kind.APACHE


def test_a_server_that_no_longer_loads_the_extension_or_lacks_its_version_is_named(migrated: str) -> None:
    assert migrated
    with cluster() as home:
        with serving(home) as server:
            migrate(server.dsn, HUB_PASSWORD)
        with serving(home, shared_preload_libraries="") as server:
            _refused(server, "has not loaded it", "set shared_preload_libraries")
        with serving(home) as server:
            with superuser(server.dsn) as connection:
                assert detect(connection).kind is Kind.APACHE
                connection.execute("UPDATE pg_extension SET extversion = '2.9.9' WHERE extname = 'timescaledb'")
            _refused(server, "no longer installed", "ALTER EXTENSION timescaledb UPDATE")


def test_a_server_that_has_the_extension_but_does_not_load_it_serves_partitions(migrated: str) -> None:
    assert migrated
    with running(shared_preload_libraries="") as server:
        migrate(server.dsn, HUB_PASSWORD)
        with superuser(server.dsn) as connection:
            found = detect(connection)
            connection.execute("SELECT plantroom.ensure_week('2022-03-01')")
            connection.execute("INSERT INTO samples VALUES (1, '2022-03-01Z', 1, 192)")
        assert (found.kind, found.usable) == (Kind.PLAIN, True)
        assert "shared_preload_libraries = 'timescaledb'" in found.hint
        with pytest.raises(ConversionError, match="shared_preload_libraries"):
            convert(server.dsn)


def _refused(server: Timescale, problem: str, advice: str) -> None:
    with superuser(server.dsn) as connection:
        found = detect(connection)
        [check] = [check for check in doctor_servers._connected(server.dsn, "a test") if check.name == "Store"]
    assert problem in found.problem
    assert advice.lower() in found.advice.lower()
    assert not check.ok
    with pytest.raises(MigrationError, match=problem):
        migrate(server.dsn, HUB_PASSWORD)
    with pytest.raises(ConversionError, match=problem):
        convert(server.dsn)
