"""Migrations of a database that holds data: all of it is there afterwards, and a kill in the middle costs nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.care import dump, load
from deploy.care.archive import Reader
from deploy.care.backup import verify
from hub.assets import service as assets
from hub.audit import chain
from hub.audit.anchor import Anchors
from hub.store.database import Database, Role
from hub.store.migrate import Progress, migrate, migrations
from tests.builders import ENGINEER, Dsns
from tests.conftest import HUB_PASSWORD, PostgresForTests

FILES = sorted(Path(__file__).parent.glob("schema_*.backup"))  # made by tests/old_schema.py, one for each release
ROOT = Path(__file__).parents[2]

# A migration with data to move, in pieces of 500: 20,000 rows, each a little slow.
MOVING = """
import sys
from hub.store import migrate as store, moves
from hub.store.migrate import Migration
moves.ROWS_PER_PIECE = 500
made = store.migrations()
step = Migration(9000, "example", "CREATE TABLE moved (id bigint PRIMARY KEY, tenfold bigint);", '''
WITH piece AS (
    SELECT id FROM heap WHERE id > coalesce(nullif(%(after)s, '')::bigint, 0) ORDER BY id LIMIT %(most)s
), done AS (INSERT INTO moved SELECT id, 10 * id FROM piece RETURNING id)
SELECT coalesce(max(id), 0)::text, count(*), pg_sleep(0.02) FROM done
''')
store.migrations = lambda: [*made, step]
def tell(at):
    print(at.moved, flush=True)
print("applied", store.migrate(sys.argv[1], sys.argv[2], tell), flush=True)
"""


@pytest.fixture
def empty(postgres: PostgresForTests) -> Iterator[Dsns]:
    owner = make_conninfo(postgres.new_database(), options="-c search_path=public")
    yield Dsns(owner, make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))
    postgres.drop(owner)


def restored(owner: str, file: Path) -> None:
    """Bring the database of a release back, at the migration that it had."""
    with dump.opened(owner) as connection, file.open("rb") as source:
        connection.autocommit = True
        load.load(connection, Reader(source), verify(file, "", silent), file.stat().st_size, silent)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_database_of_an_earlier_release_keeps_every_row_and_serves_everybody(
    empty: Dsns, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {part.name: part.rows for part in verify(file, "", silent).parts.values()}
    assert sum(1 for rows in held.values() if rows) > 50
    older = int(file.stem.removeprefix("schema_"))
    newer = [step for step in migrations() if step.number > older]
    heard: list[Progress] = []
    restored(empty.owner, file)
    assert await asyncio.to_thread(migrate, empty.owner, HUB_PASSWORD, heard.append) == len(newer)
    assert [at.migration.number for at in heard] == [step.number for step in newer]
    with psycopg.connect(empty.owner, options="-c row_security=off -c search_path=public") as connection:
        for name, rows in held.items():
            if name not in (
                "schema_migrations",
                "schema_moves",
                "dirty_buckets",
            ):  # hours are marked: their form is newer
                assert connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() == (rows,), name
        row = connection.execute("SELECT id FROM organisations").fetchone()
    assert row is not None
    database = Database(empty.hub, pool_max=2)
    await database.open()
    async with database.transaction(row[0], ENGINEER) as tx:
        for view, table in (("readings", "samples"), ("latest_readings", "latest"), ("hourly_readings", "hourly")):
            assert await tx.value(f"SELECT count(*) FROM {view}".encode()) == held[table]
        assert len(await assets.devices(tx)) == held["devices"]
    async with database.transaction(None, role=Role.SEALER) as tx:
        verdict = await chain.verify(tx, Anchors(tmp_path, (), ()), datetime.now(UTC).date(), lambda *_: None)
    assert (verdict.holds, verdict.held) == (True, held["audit_entries"])
    await database.close()


def silent(*_: object) -> None:
    """Tell nobody."""


def _start(dsn: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", MOVING, dsn, HUB_PASSWORD]
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_move_that_is_killed_goes_on_where_it_stood_and_moves_every_row_once(dsns: Dsns) -> None:
    with psycopg.connect(dsns.owner) as connection:
        connection.execute("CREATE TABLE heap AS SELECT generate_series(1, 20000)::bigint AS id")
    kills, furthest = 0, 0
    until_s = time.monotonic() + 90
    while True:
        assert time.monotonic() < until_s
        process = _start(dsns.owner)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said = line.strip()
            if kills < 3 and said.isdigit() and int(said) > furthest + 3_000:
                furthest = int(said)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
        process.stdout.close()
        if process.wait() == 0:
            assert said == "applied 1"
            break
        with psycopg.connect(dsns.owner) as connection:
            stood = connection.execute("SELECT position, moved FROM schema_moves WHERE number = 9000").fetchone()
            moved = connection.execute("SELECT count(*) FROM moved").fetchone()
        assert stood is not None
        assert moved == (stood[1],) == (int(stood[0]),)
        assert stood[1] >= furthest
    assert kills == 3
    with psycopg.connect(dsns.owner) as connection:
        assert connection.execute("SELECT count(*), sum(tenfold) FROM moved").fetchone() == (20_000, 10 * 200_010_000)
        assert connection.execute("SELECT count(*) FROM schema_moves").fetchone() == (0,)
        assert connection.execute("SELECT 1 FROM schema_migrations WHERE number = 9000").fetchone() == (1,)
