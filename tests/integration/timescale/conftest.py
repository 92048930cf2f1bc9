"""The same sentences on a real TimescaleDB (Apache edition): what is in this folder gets its server and databases."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hub.store.migrate import migrate
from tests.builders import Dsns
from tests.cache import or_skipped
from tests.conftest import HUB_PASSWORD, PostgresForTests, fresh_dsns
from tests.timescale import Timescale, root, running

HERE = Path(__file__).parent
TIMEOUT_S = 900  # the first run makes the root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def timescale() -> Iterator[Timescale]:
    """One server for all tests of this folder."""
    with or_skipped():
        root()
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres(timescale: Timescale) -> PostgresForTests:
    """The server as other tests know it."""
    return PostgresForTests(timescale)


@pytest.fixture(scope="session")
def migrated(postgres: PostgresForTests) -> str:
    """The name of a migrated database that others are copied from; its readings are in a hypertable."""
    dsn = postgres.new_database()
    migrate(dsn, HUB_PASSWORD)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT plantroom.on_hypertable()").fetchone() == (True,)
    return conninfo_to_dict(dsn)["dbname"]


@pytest.fixture(scope="session")
def schema(postgres: PostgresForTests, migrated: str) -> Dsns:
    """A migrated database to look at; nothing is written to it."""
    return fresh_dsns(postgres, migrated)
