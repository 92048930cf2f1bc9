"""``plantroom privacy``: what goes next is said and stays; what is known of a person is written for one reader."""

import asyncio
import json
import stat
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from deploy.seen import seen
from hub.leases import service as leases
from hub.store.database import Database
from hub.surveillance import service as surveillance
from tests.builders import Park
from tests.builders_people import OFFICER, Watched, watch
from tests.conftest import HUB_PASSWORD

NOW = datetime.now(UTC).replace(microsecond=0)


class Operator:
    """Somebody at the command line of an installation."""

    def __init__(self, park: Park, data: Path) -> None:
        (data / "hub-password").write_text(HUB_PASSWORD)
        self.settings = {"PLANTROOM_DATABASE_DSN": park.dsns.owner, "PLANTROOM_DATA": str(data)}

    async def __call__(self, *words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["privacy", *words], env=self.settings)


@pytest.fixture
async def watched(database: Database, park: Park) -> Watched:
    return await watch(database, park, NOW)


@pytest.fixture
def operator(watched: Watched, tmp_path: Path) -> Operator:
    return Operator(watched.park, tmp_path)


async def test_what_is_due_is_said_and_stays(watched: Watched, operator: Operator) -> None:
    with psycopg.connect(watched.park.dsns.owner) as owner:
        owner.execute("UPDATE stills SET at = %s WHERE camera LIKE '%%LOBBY'", [NOW - timedelta(days=31)])
    told = {one["table"]: one for one in json.loads((await operator("due", "--json")).output)}
    assert (told["stills"]["kept"], told["stills"]["due"], told["stills"]["kept_days"]) == (2, 1, 30)
    said = (await operator("due")).output
    assert "1 go next time" in said
    assert "get a pseudonym" in said
    with psycopg.connect(watched.park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM stills").fetchone() == (2,)


async def test_what_is_known_of_a_person_is_written_once_for_its_owner_alone(
    watched: Watched, operator: Operator, tmp_path: Path
) -> None:
    out = tmp_path / "person.zip"
    done = await operator("export", "孙悦", f"contact:{watched.contact}", "--out", str(out), "--reason", "by letter")
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with zipfile.ZipFile(out) as archive:
        names = set(archive.namelist())
        page = archive.read("index.html").decode()
    assert {"index.html", "data.json", "contacts.csv", "badge_events.csv"} <= names
    assert sum(name.startswith("stills/") for name in names) == 2
    assert "孙悦" in page
    assert "<script" not in page
    again = await operator("export", "孙悦", "--out", str(out), "--reason", "by letter")
    assert isinstance(again.exception, FileExistsError)
    assert (await operator("export", "孙悦", "--out", str(tmp_path / "p.json"), "--reason", "x")).exit_code == 0
    assert "badge_holders" in json.loads((tmp_path / "p.json").read_text())["tables"]


async def test_who_is_meant_has_to_be_clear(watched: Watched, operator: Operator, tmp_path: Path) -> None:
    with psycopg.connect(watched.park.dsns.owner) as owner:
        owner.execute("UPDATE contacts SET name = '孙悦'")
    out = ("--out", str(tmp_path / "x.zip"), "--reason", "x")
    for words, sentence in (
        (("孙悦", *out), "Several records are known by"),
        (("nobody-at-all", *out), "Nobody is known by"),
        (("contact:7", *out), "is not the id of a record"),
        (("孙悦", "--out", str(tmp_path / "x.pdf"), "--reason", "x"), "zip or .json"),
    ):
        refused = await operator("export", *words)
        assert sentence in str(refused.exception), words
    assert not (tmp_path / "x.zip").exists()


async def test_the_demo_has_something_to_see_once(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, OFFICER) as tx:
        await leases.register(tx, park.site, park.file)
        await surveillance.register(tx, park.site, park.file)
    for now in (NOW, NOW + timedelta(minutes=5)):
        await seen(database, park.organisation, park.file, now)
    with psycopg.connect(park.dsns.owner) as owner:
        for table, count in (("stills", 2), ("badge_events", 8), ("badge_holders", 3), ("contacts", 1), ("zones", 4)):
            assert owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (count,), table
