"""History from files: the dry run writes nothing, the word stores it once, nothing that is there changes."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from hub.assets import service as assets
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.ingest import history
from hub.ingest.rows import Import
from hub.store.database import Actor, Database, Transaction
from rules.model.site import Organisation
from tests.builders import ENGINEER, Park, acting
from tests.conftest import HUB_PASSWORD

NOW = datetime(2026, 11, 29, 4, tzinfo=UTC)
CODE, OTHER = "EM-A-MAIN.energy", "EM-A-MAIN.power"
HEAD = "point,at,value\n"
FILE = (HEAD + "".join(f"{CODE},2026-11-0{day} 00:00,{day}00\n" for day in range(1, 10))).encode()
Opened = Callable[[], AbstractAsyncContextManager[Transaction]]


def opener(database: Database, park: Park, actor: Actor = ENGINEER) -> Opened:
    return lambda: database.transaction(park.organisation, actor)


def ask(park: Park, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(park.dsns.owner) as owner:
        return owner.execute(statement.encode(), values).fetchall()


async def bring(opened: Opened, body: bytes, name: str = "old.csv") -> Import:
    number = await history.check(opened, "RIVERSIDE", name, body, NOW)
    return await history.store(opened, number, NOW)


def counts(one: Import) -> tuple[int, int, int, int, int]:
    return one.readings, one.good, one.duplicates, one.conflicts, one.refused


async def report(opened: Opened, number: UUID) -> str:
    async with opened() as tx:
        return (await history.report(tx, number)).decode()


async def test_a_dry_run_writes_no_reading_and_the_word_stores_it_once(database: Database, park: Park) -> None:
    opened = opener(database, park)
    number = await history.check(opened, "RIVERSIDE", "C:\\old\\2026.csv", FILE, NOW)
    assert ask(park, "SELECT count(*) FROM samples") == [(0,)]
    async with opened() as tx:
        seen = await history.imported(tx, number)
    assert (seen.state, seen.name, seen.sha256) == ("checked", "2026.csv", hashlib.sha256(FILE).hexdigest())
    stored = await history.store(opened, number, NOW)
    assert (stored.state, counts(stored), stored.stored_by) == ("stored", (9, 9, 0, 0, 0), ENGINEER.name)
    assert stored.first_at == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert ask(park, "SELECT count(*), min(value), max(value) FROM samples") == [(9, 100.0, 900.0)]
    assert ask(park, "SELECT value FROM latest") == [(900.0,)]
    assert ask(park, "SELECT count(*) FROM dirty_buckets") == [(9,)]
    assert ask(park, "SELECT count(*) FROM import_files") == [(0,)]
    assert ask(park, "SELECT count(*) FROM alarms") == [(0,)]
    with pytest.raises(ConflictError, match="stored already"):
        await history.store(opened, number, NOW)
    again = await bring(opened, FILE)
    assert counts(again) == (9, 0, 9, 0, 0)
    acts = ask(park, "SELECT action, details->>'sha256' FROM audit_entries WHERE entity = 'import' ORDER BY id")
    assert [act for act, _ in acts] == ["checked", "imported", "checked", "imported"]
    assert {sha for _, sha in acts} == {hashlib.sha256(FILE).hexdigest()}


async def test_which_readings_came_from_which_file_stays_known(database: Database, park: Park) -> None:
    opened = opener(database, park)
    first = await bring(opened, FILE)
    more = FILE + f"{CODE},2026-11-10 00:00,1000\n".encode()
    second = await bring(opened, more, "more.csv")
    async with opened() as tx:
        ours = await history.moments(tx, first.id, park.points[CODE])
        theirs = await history.moments(tx, second.id, park.points[CODE])
        listed = await history.imports(tx)
    assert [at.day for at in ours] == [31, *range(1, 9)]
    assert theirs == [datetime(2026, 11, 9, 16, tzinfo=UTC)]
    assert {one.name for one in listed} == {"old.csv", "more.csv"}


async def test_what_is_there_is_never_overwritten_and_latest_never_moves_back(database: Database, park: Park) -> None:
    opened = opener(database, park)
    await bring(opened, f"{HEAD}{CODE},2026-11-20 00:00,5000\n{CODE},2026-11-02 00:00,222\n".encode())
    one = await bring(opened, FILE + f"{CODE},2026-11-03 00:00,300\n{CODE},2026-11-04 00:00,1\n".encode())
    assert counts(one) == (11, 8, 1, 2, 0)
    said = await report(opened, one.id)
    assert "3,EM-A-MAIN.energy,Stored at this moment is 222; it stays." in said
    assert "12,EM-A-MAIN.energy,Row 5 has another value at the same moment; that one is taken." in said
    assert ask(park, "SELECT value FROM samples WHERE at = '2026-11-01T16:00Z'") == [(222.0,)]
    assert ask(park, "SELECT value FROM latest") == [(5000.0,)]


async def test_rows_that_cannot_be_used_are_told_and_the_rest_goes_on(database: Database, park: Park) -> None:
    opened = opener(database, park)
    rows = [
        "NO.such,2026-11-01 00:00,1",
        f"{CODE},2099-01-01 00:00,1",
        f"{CODE},2026-11-01 00:00,=1",
        f"{CODE},2026-11-01,7",
    ]
    body = HEAD + "\n".join(rows)
    one = await bring(opened, body.encode())
    assert counts(one) == (4, 1, 0, 0, 3)
    said = await report(opened, one.id)
    assert said.startswith("row,point,problem\r\n2,NO.such,There is no such point 'NO.such' at RIVERSIDE.\r\n")
    assert "'=1' is a formula" in said
    assert "\r\n=" not in said


async def test_a_point_of_another_organisation_or_site_is_no_such_point(database: Database, park: Park) -> None:
    other = assets.open_organisation(park.dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other"))
    with pytest.raises(NotFoundError, match="site 'RIVERSIDE'"):
        await history.check(lambda: database.transaction(other, ENGINEER), "RIVERSIDE", "f", FILE, NOW)
    number = await history.check(opener(database, park), "RIVERSIDE", "f", FILE, NOW)
    async with database.transaction(other, ENGINEER) as tx:
        assert await history.imports(tx) == []
        with pytest.raises(NotFoundError):
            await history.imported(tx, number)
        with pytest.raises(NotFoundError):
            await history.report(tx, number)


async def test_only_who_may_brings_files(database: Database, park: Park) -> None:
    with pytest.raises(ForbiddenError, match="importing readings"):
        await history.check(opener(database, park, acting("b", "billing")), "RIVERSIDE", "f", FILE, NOW)


async def test_files_that_nobody_stores_are_dropped(database: Database, park: Park) -> None:
    opened = opener(database, park)
    numbers = [await history.check(opened, "RIVERSIDE", f"{n}.csv", FILE, NOW + timedelta(seconds=n)) for n in range(8)]
    assert ask(park, "SELECT count(*) FROM import_files") == [(history.FILES_KEPT,)]
    with pytest.raises(NotFoundError, match="send it again"):
        await history.store(opened, numbers[0], NOW)
    await history.check(opened, "RIVERSIDE", "x.csv", FILE, NOW + timedelta(days=2))
    assert ask(park, "SELECT count(*) FROM import_files") == [(1,)]


async def test_a_file_over_too_many_weeks_is_refused(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "WEEKS_MAX", 1)
    with pytest.raises(InvalidError, match="weeks"):
        await history.check(opener(database, park), "RIVERSIDE", "f", FILE, NOW)


async def test_long_files_are_compared_and_stored_in_parts(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "AT_ONCE", 7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        f"{code},{start + timedelta(minutes=15 * n):%Y-%m-%dT%H:%MZ},{n}\n" for code in (CODE, OTHER) for n in range(50)
    ]
    opened = opener(database, park)
    await bring(opened, (HEAD + "".join(rows[:33])).encode())
    one = await bring(opened, (HEAD + "".join(rows)).encode())
    assert counts(one) == (100, 67, 33, 0, 0)
    assert ask(park, "SELECT point_id, count(*) FROM samples GROUP BY 1 ORDER BY 1") == sorted(
        (park.points[code], 50) for code in (CODE, OTHER)
    )


async def test_the_command_line_brings_a_file_too(database: Database, park: Park, tmp_path: Path) -> None:
    (tmp_path / "hub-password").write_text(HUB_PASSWORD)
    file, problems = tmp_path / "old.csv", tmp_path / "problems.csv"
    file.write_bytes(FILE + b"NO.such,2026-11-01 00:00,1\n")
    told = {"PLANTROOM_DATABASE_DSN": park.dsns.owner, "PLANTROOM_DATA": str(tmp_path)}

    async def run(*words: str) -> str:
        asked = ["readings", "import", str(file), "--site", "RIVERSIDE", *words]
        done = await asyncio.to_thread(CliRunner().invoke, app, asked, env=told)
        assert done.exit_code == 0, done.output
        return done.output

    assert "9 would be stored" in await run("--dry-run", "--problems", str(problems))
    assert "There is no such point 'NO.such' at RIVERSIDE." in problems.read_text()
    assert ask(park, "SELECT count(*) FROM samples") == [(0,)]
    assert "10 readings, 9 stored, 0 known already, 0 contradicted by what is stored, 1 refused." in await run()
    assert "9 known already" in await run("--dry-run")
