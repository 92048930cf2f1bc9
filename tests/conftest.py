"""Shared fixtures: one embedded PostgreSQL and one broker per test run."""

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import pytest_socket
from argon2 import PasswordHasher
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.broker import Broker
from deploy.postgres import Postgres
from hub.access import password, session
from hub.store.database import Database
from hub.store.migrate import migrate
from rules.model.sign_in import OFFERED
from tests.builders import Dsns, Park, register_park, site_file
from tests.timescale import Timescale

HUB_PASSWORD = "only for tests"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Unit and property tests reach nothing: a socket in one of them is an error."""
    alone = {"unit", "property"} & set(item.path.parts)
    if alone:
        pytest_socket.disable_socket(allow_unix_socket=True)  # an event loop needs a pair of those
    else:
        pytest_socket.enable_socket()


@pytest.fixture(scope="session", autouse=True)
def _an_easy_door() -> Iterator[None]:
    """Hashes are cheap, and where a test names no policy nobody needs a second factor; tests of the door name one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(password, "_hasher", PasswordHasher(time_cost=1, memory_cost=64))
        patch.setattr(session, "shipped", lambda: OFFERED)
        yield


@dataclass(frozen=True)
class PostgresForTests:
    """The run's server: ``dsn`` of the owner, and fresh databases."""

    server: Postgres | Timescale
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def dsn(self) -> str:
        return self.server.dsn

    def new_database(self, template: str | None = None) -> str:
        """The owner's DSN of a fresh database: empty, or a copy of ``template`` (nobody may be connected to it)."""
        name = f"test_{next(self._numbers)}"
        copied = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")  # a quarter of the other's time
        with psycopg.connect(self.server.dsn_of("postgres"), autocommit=True) as connection:
            connection.execute(copied.format(sql.Identifier(name), sql.Identifier(template or "template1")))
        return self.server.dsn_of(name)

    def drop(self, dsn: str) -> None:
        """Drop a database that ``new_database`` gave, whoever is connected to it."""
        name = sql.Identifier(conninfo_to_dict(dsn)["dbname"])
        with psycopg.connect(self.server.dsn_of("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A directory that other users can walk into: as root the server runs as somebody else, pytest's is closed."""
    folder = Path(tempfile.mkdtemp(prefix="plantroom-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(open_directory: Path) -> Iterator[PostgresForTests]:
    """An embedded PostgreSQL for the whole run; it waits for no disk, for nobody wants its data after a power cut."""
    server = Postgres(open_directory / "session-postgres")
    server.start()
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for setting in (b"fsync = off", b"full_page_writes = off"):
            connection.execute(b"ALTER SYSTEM SET " + setting)
        connection.execute(b"SELECT pg_reload_conf()")
    yield PostgresForTests(server)
    server.stop()


@pytest.fixture(scope="session")
def broker(open_directory: Path) -> Iterator[Broker]:
    """A broker for the whole run: ``host``, ``port``, ``username``, ``password``."""
    server = Broker(open_directory / "session-broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(postgres: PostgresForTests) -> str:
    """The name of a migrated database that others are copied from."""
    dsn = postgres.new_database()
    migrate(dsn, HUB_PASSWORD)
    return conninfo_to_dict(dsn)["dbname"]


def fresh_dsns(postgres: PostgresForTests, template: str) -> Dsns:
    owner = make_conninfo(postgres.new_database(template), options="-c search_path=public")
    return Dsns(owner, make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))


@pytest.fixture(scope="session")
def schema(postgres: PostgresForTests, migrated: str) -> Dsns:
    """A migrated database to look at; nothing is written to it."""
    return fresh_dsns(postgres, migrated)


@pytest.fixture
def dsns(postgres: PostgresForTests, migrated: str) -> Iterator[Dsns]:
    """A fresh migrated database, gone after the test."""
    fresh = fresh_dsns(postgres, migrated)
    yield fresh
    postgres.drop(fresh.owner)


@pytest.fixture
async def database(dsns: Dsns) -> AsyncIterator[Database]:
    """The hub's pool on a fresh migrated database."""
    opened = Database(dsns.hub)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def park(database: Database, dsns: Dsns) -> Park:
    """Riverside Park, registered, with points."""
    return await register_park(database, dsns, site_file())
