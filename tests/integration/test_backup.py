"""Backup and restore: everything comes back into another server, or nothing changes there."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typer.testing import CliRunner

from deploy.care import load
from deploy.care.archive import Part
from deploy.care.backup import verify
from deploy.cli import app
from deploy.postgres import Postgres
from hub.store.database import Database
from hub.store.migrate import migrations
from tests.builders import Dsns, register_park, site_file
from tests.conftest import HUB_PASSWORD, PostgresForTests
from tests.integration.test_walls import populate

FIRST = datetime(2026, 9, 1, tzinfo=UTC)
SECRET = "a passphrase of the tests"
_NAMES = itertools.count()
Run = Callable[..., Result]

COUNTED = """SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             AND NOT relispartition ORDER BY 1"""


@pytest.fixture(scope="module")
def second(open_directory: Path) -> Iterator[Postgres]:
    """Another server: nothing of ours was ever there, no role either."""
    server = Postgres(open_directory / "second-postgres")
    server.start()
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for setting in (b"fsync = off", b"full_page_writes = off"):
            connection.execute(b"ALTER SYSTEM SET " + setting)
        connection.execute(b"SELECT pg_reload_conf()")
    yield server
    server.stop()


@pytest.fixture
def place(second: Postgres) -> str:
    """The owner's DSN of an empty database of the second server."""
    name = f"restored_{next(_NAMES)}"
    with psycopg.connect(second.dsn_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return second.dsn_of(name)


@pytest.fixture(scope="module")
def full(postgres: PostgresForTests, migrated: str) -> Iterator[Dsns]:
    """A park with rows in every table and 40 days of readings."""
    owner = make_conninfo(postgres.new_database(migrated), options="-c search_path=public")
    dsns = Dsns(owner, make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))
    asyncio.run(filled(dsns))
    with psycopg.connect(owner) as connection:
        for week in range(7):
            connection.execute("SELECT plantroom.ensure_week(%s)", [(FIRST + timedelta(weeks=week)).date()])
        connection.execute(
            """INSERT INTO samples SELECT p.id, %s::timestamptz + n * interval '4 hours', CASE WHEN n %% 7 > 0
               THEN 0.1 * n END, 192 FROM points p, generate_series(0, 239) n ON CONFLICT DO NOTHING""",
            [FIRST],
        )
    yield dsns
    postgres.drop(owner)


async def filled(dsns: Dsns) -> None:
    database = Database(dsns.hub, pool_max=2)
    await database.open()
    await populate(database, await register_park(database, dsns, site_file()))
    await database.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command on a database, with a data directory for each side."""

    def invoke(dsn: str, data: str, *words: str) -> Result:
        folder = tmp_path / data
        folder.mkdir(exist_ok=True)
        (folder / "hub-password").write_text(HUB_PASSWORD)
        monkeypatch.setenv("PLANTROOM_DATABASE_DSN", dsn)
        monkeypatch.setenv("PLANTROOM_DATA", str(folder))
        return CliRunner().invoke(app, list(words))

    return invoke


def everything(dsn: str) -> dict[str, tuple[int, str]]:
    """Rows and a hash of them by table; what each side says of its own backups is its own."""
    found = {}
    with psycopg.connect(dsn, options="-c row_security=off") as connection:
        for (table,) in connection.execute(COUNTED).fetchall():
            if table not in ("platform_marks", "audit_entries"):
                asked = f"SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t"
                found[table] = connection.execute(asked.encode()).fetchone()
    return found  # type: ignore[return-value]


async def test_everything_comes_back_into_another_server(
    run: Run, full: Dsns, place: str, tmp_path: Path, postgres: PostgresForTests
) -> None:
    assert (await asyncio.to_thread(run, full.owner, "here", "audit", "anchor")).exit_code == 0
    file, secret = tmp_path / "whole.backup", tmp_path / "passphrase"
    secret.write_text(SECRET)
    words = ("backup", str(file), "--passphrase-file", str(secret))
    made = await asyncio.to_thread(run, full.owner, "here", *words)
    assert made.exit_code == 0, made.exception
    assert "read again and whole" in made.stdout
    assert file.stat().st_mode & 0o077 == 0
    before = everything(full.owner)
    back = ("restore", str(file), "--passphrase-file", str(secret))
    done = await asyncio.to_thread(run, place, "there", *back)
    assert done.exit_code == 0, done.exception
    assert everything(place) == before
    assert before["samples"][0] > 10_000
    verified = await asyncio.to_thread(run, place, "there", "audit", "verify", "--json")
    told = json.loads(verified.stdout)
    assert (verified.exit_code, told["holds"], told["problems"]) == (0, True, [])
    assert told["anchored"] > 0
    assert min(before[table][0] for table in ("postings", "posting_lines", "invoices", "stills")) > 0
    again = await asyncio.to_thread(run, place, "there", *back)
    assert "give an empty database, or --replace" in str(again.exception)
    replaced = await asyncio.to_thread(run, place, "there", *back, "--replace")
    assert replaced.exit_code == 0, replaced.exception
    assert everything(place) == before


async def test_the_schema_of_a_restored_database_is_that_of_a_migrated_one(
    run: Run, full: Dsns, place: str, tmp_path: Path, schema: Dsns
) -> None:
    file = tmp_path / "x.backup"
    await asyncio.to_thread(run, full.owner, "here", "backup", str(file), "--quiet")
    done = await asyncio.to_thread(run, place, "there", "restore", str(file), "--quiet")
    assert done.exit_code == 0, done.exception
    asked = (
        """SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint
           WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ '^samples_'""",
        "SELECT tablename, policyname, qual, with_check FROM pg_policies",
        """SELECT oid::regclass::text, relrowsecurity, relforcerowsecurity FROM pg_class
           WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition""",
        "SELECT tgrelid::regclass::text, tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal",
    )
    for question in asked:
        found = []
        for dsn in (schema.owner, place):
            with psycopg.connect(dsn) as connection:
                found.append(sorted(map(str, connection.execute(question.encode()).fetchall())))
        assert found[0] == found[1]


async def test_keys_go_only_into_an_archive_that_is_encrypted(run: Run, full: Dsns, tmp_path: Path) -> None:
    await asyncio.to_thread(run, full.owner, "here", "audit", "anchor")
    (tmp_path / "here" / "keys.json").write_text('{"keys": [{"id": "1", "key": "' + "A" * 43 + '="}]}')
    (tmp_path / "here" / "keys.json").chmod(0o600)
    plain, locked, secret = (tmp_path / name for name in ("plain", "locked", "secret"))
    secret.write_text(SECRET)
    made = await asyncio.to_thread(run, full.owner, "here", "backup", str(plain))
    assert "Not in it" in made.stdout
    assert "keys.json" in made.stdout
    made = await asyncio.to_thread(run, full.owner, "here", "backup", str(locked), "--passphrase-file", str(secret))
    assert "Not in it" not in made.stdout
    assert b"file.keys" not in plain.read_bytes()
    assert b"file.keys" in locked.read_bytes()
    wrong = tmp_path / "wrong"
    wrong.write_text("not this passphrase")
    for words, said in (((), "is encrypted"), (("--passphrase-file", str(wrong)), "does not open this backup")):
        done = await asyncio.to_thread(run, full.owner, "here", "restore", "--check", str(locked), *words)
        assert said in str(done.exception)
    short = tmp_path / "short"
    short.write_text("short")
    done = await asyncio.to_thread(run, full.owner, "here", "backup", str(locked), "--passphrase-file", str(short))
    assert "at least 12 characters" in str(done.exception)


@pytest.mark.parametrize("locked", [False, True], ids=["open", "encrypted"])
async def test_a_damaged_archive_is_named_and_changes_nothing(
    run: Run, full: Dsns, place: str, tmp_path: Path, locked: bool
) -> None:
    file, secret = tmp_path / "whole", tmp_path / "passphrase"
    secret.write_text(SECRET)
    words = ("--passphrase-file", str(secret)) if locked else ()
    await asyncio.to_thread(run, full.owner, "here", "backup", str(file), *words)
    whole = file.read_bytes()
    size = len(whole)
    bad = {
        "cut": whole[: size // 2],
        "no end": whole[: size - 3000],
        "empty": b"",
        "other": b"PK" + whole,
        "head": whole[:520] + bytes([whole[520] ^ 1]) + whole[521:],
        **{
            f"bit {n}": whole[: size * n // 7] + bytes([whole[size * n // 7] ^ 4]) + whole[size * n // 7 + 1 :]
            for n in range(1, 7)
        },
    }
    for name, body in bad.items():
        damaged = tmp_path / "damaged"
        damaged.write_bytes(body)
        done = await asyncio.to_thread(run, place, "there", "restore", str(damaged), *words)
        assert done.exit_code == 1, name
        sentence = str(done.exception)
        assert any(word in sentence for word in ("damaged", "cut off", "not a backup")), (name, sentence)
    with psycopg.connect(place) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone() == (0,)


async def test_a_restore_that_fails_in_the_middle_leaves_nothing(
    run: Run, full: Dsns, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    await asyncio.to_thread(run, full.owner, "here", "backup", str(file))

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(load, "_set_sequences", fail)
        done = await asyncio.to_thread(run, place, "there", "restore", str(file))
        assert done.exit_code != 0
    with psycopg.connect(place) as connection:
        assert connection.execute("SELECT to_regclass('public.organisations')").fetchone() == (None,)
    done = await asyncio.to_thread(run, place, "there", "restore", str(file))
    assert done.exit_code == 0, done.exception


async def test_a_backup_of_a_newer_plantroom_is_refused(
    run: Run, full: Dsns, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    await asyncio.to_thread(run, full.owner, "here", "backup", str(file))
    older = migrations()[:-1]
    monkeypatch.setattr(load, "migrations", lambda: older)
    done = await asyncio.to_thread(run, place, "there", "restore", str(file))
    assert "install the Plantroom that made it, or a newer one" in str(done.exception)


async def test_an_owner_who_is_no_superuser_backs_up_every_row(
    run: Run, full: Dsns, tmp_path: Path, postgres: PostgresForTests
) -> None:
    name = conninfo_to_dict(full.owner)["dbname"]
    with psycopg.connect(postgres.server.dsn_of("postgres"), autocommit=True) as connection:
        connection.execute(
            """DO $$ BEGIN CREATE ROLE lender LOGIN PASSWORD 'only for tests';
               EXCEPTION WHEN duplicate_object THEN NULL; END $$"""
        )
        connection.execute(f"GRANT CONNECT ON DATABASE {name} TO lender".encode())
    lender = make_conninfo(full.owner, user="lender", password="only for tests")
    with psycopg.connect(full.owner) as connection:
        connection.execute("GRANT USAGE ON SCHEMA public TO lender")
        connection.execute("GRANT SELECT ON schema_migrations TO lender")
    done = await asyncio.to_thread(run, lender, "here", "backup", str(tmp_path / "x"))
    assert "use the owner's DSN" in str(done.exception)
    assert not (tmp_path / "x").exists() | (tmp_path / "x.part").exists()
    with psycopg.connect(full.owner) as connection:
        connection.execute("GRANT plantroom_backup TO lender")
    done = await asyncio.to_thread(run, lender, "here", "backup", str(tmp_path / "x"))
    assert done.exit_code == 0, done.exception
    with psycopg.connect(full.owner, options="-c row_security=off") as connection:
        count = connection.execute("SELECT (SELECT count(*) FROM samples) + (SELECT count(*) FROM users)").fetchone()
    rows = {part.name: part.rows for part in backups_of(tmp_path / "x")}
    assert count == (rows["samples"] + rows["users"],)


def backups_of(path: Path) -> list[Part]:
    return list(verify(path, "", lambda *_: None).parts.values())
