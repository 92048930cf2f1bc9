"""A backup goes from a hypertable to native partitions and the other way, for it holds rows and not their store."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deploy.care import dump, load
from deploy.care.archive import Reader, Writer
from deploy.care.backup import verify
from deploy.postgres import Postgres
from hub.store.migrate import migrate
from tests.conftest import HUB_PASSWORD
from tests.timescale import Timescale

READINGS = """
SELECT plantroom.ensure_week(d::date) FROM generate_series('2026-08-03'::date, '2026-09-28'::date, '7 days') d;
INSERT INTO samples SELECT p, '2026-08-10T00:00Z'::timestamptz + n * interval '3 hours', 0.1::float8 * n, 192
FROM generate_series(1, 20) p, generate_series(0, 300) n;
"""
HASH = "SELECT count(*), md5(string_agg(s::text, '|' ORDER BY point_id, at)) FROM samples s"
KIND = "SELECT plantroom.on_hypertable()"


@pytest.fixture
def other(open_directory: Path) -> Iterator[Postgres]:
    """A server without TimescaleDB."""
    server = Postgres(open_directory / "plain-postgres")
    server.start()
    yield server
    server.stop()


def silent(*_: object) -> None:
    """Tell nobody."""


def new_database(server: Timescale, name: str) -> str:
    with psycopg.connect(server.dsn_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.dsn_of(name)


def saved(dsn: str, path: Path) -> Path:
    with dump.opened(dsn) as connection, path.open("wb") as file:
        writer = Writer(file, {**dump.begin(connection), "program": "test"}, None)
        writer.close(dump.dump(connection, writer, silent))
    return path


def brought_back(dsn: str, path: Path) -> None:
    with dump.opened(dsn) as connection, path.open("rb") as file:
        connection.autocommit = True
        load.load(connection, Reader(file), verify(path, "", silent), path.stat().st_size, silent)


def asked(dsn: str, query: str) -> tuple[object, ...]:
    with psycopg.connect(dsn, options="-c search_path=public") as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return tuple(row)


def test_readings_come_back_whatever_store_they_were_in_and_go_to(
    timescale: Timescale, other: Postgres, tmp_path: Path
) -> None:
    hyper, again, plain = new_database(timescale, "kept"), new_database(timescale, "back"), other.dsn
    migrate(hyper, HUB_PASSWORD)
    with psycopg.connect(hyper, options="-c search_path=public") as connection:
        connection.execute(READINGS.encode())
    wanted = asked(hyper, HASH)
    assert asked(hyper, KIND) == (True,)
    brought_back(plain, saved(hyper, tmp_path / "of-a-hypertable"))
    assert asked(plain, KIND) == (False,)
    assert asked(plain, HASH) == wanted
    brought_back(again, saved(plain, tmp_path / "of-partitions"))
    assert asked(again, KIND) == (True,)
    assert asked(again, HASH) == wanted
