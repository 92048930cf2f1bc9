"""Migrations: once each, in order, by an owner who need not be a superuser, never changed, never backwards."""

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.register import organisation_id, register
from hub.store import migrate as store
from hub.store.database import Database, Role
from hub.store.migrate import MigrationError, migrate, migrations
from tests.builders import Dsns, site_file
from tests.conftest import HUB_PASSWORD, PostgresForTests


@pytest.fixture
def modest(postgres: PostgresForTests) -> Iterator[str]:
    """A database whose owner may make roles, and is otherwise nobody."""
    dsn = postgres.new_database()
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN CREATE ROLE modest LOGIN CREATEROLE; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        connection.execute("ALTER ROLE modest PASSWORD 'only for tests'")
        # The roles are there already, made by the run's superuser: what they would get with CREATE ROLE.
        for role in ("app", "ingest", "reader", "door", "sealer", "post", "keeper", "backup", "hub"):
            connection.execute(f"GRANT plantroom_{role} TO modest WITH ADMIN OPTION".encode())
        connection.execute(f"ALTER DATABASE {name} OWNER TO modest".encode())
    yield make_conninfo(dsn, user="modest", password="only for tests")
    postgres.drop(dsn)


async def test_an_owner_who_is_no_superuser_can_do_all_of_it(modest: str, migrated: str) -> None:
    assert migrated
    assert migrate(modest, HUB_PASSWORD) == len(migrations())
    hub = make_conninfo(modest, user="plantroom_hub", password=HUB_PASSWORD)
    organisation = await register(modest, hub, site_file())
    assert organisation_id(modest, None) == organisation
    database = Database(hub, pool_max=1)
    await database.open()
    async with database.transaction(None, role=Role.INGEST) as tx:
        await tx.run(b"SELECT plantroom.ensure_week(%(week)s)", {"week": date(2026, 11, 23)})
        assert await tx.run(b"INSERT INTO samples VALUES (1, '2026-11-24T00:00Z', 1.5, 192)") == 1
    await database.close()


def test_a_second_run_applies_nothing(dsns: Dsns) -> None:
    assert migrate(dsns.owner, HUB_PASSWORD) == 0


def test_an_applied_migration_that_was_changed_is_refused(dsns: Dsns) -> None:
    with psycopg.connect(dsns.owner) as connection:
        connection.execute("UPDATE schema_migrations SET sha256 = 'other' WHERE number = 2")
    with pytest.raises(MigrationError, match="0002_access was changed"):
        migrate(dsns.owner, HUB_PASSWORD)


def test_a_database_newer_than_the_program_is_refused(dsns: Dsns, monkeypatch: pytest.MonkeyPatch) -> None:
    older = migrations()[:-1]
    monkeypatch.setattr(store, "migrations", lambda: older)
    with pytest.raises(MigrationError, match="install a newer Plantroom"):
        migrate(dsns.owner, HUB_PASSWORD)
