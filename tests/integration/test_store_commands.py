"""``plantroom store``: where readings lie and how long they stay; nothing moves where it cannot."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from hub.keeping import partitions
from hub.store.database import Database
from tests.builders import Park
from tests.conftest import HUB_PASSWORD
from tests.integration.test_keeping import LEVEL, NOW, SOME_YEARS_AGO, let, put

Run = Callable[..., Result]


@pytest.fixture
def run(park: Park, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the test's database; asyncio.run wants a thread without a loop."""
    monkeypatch.setenv("PLANTROOM_DATABASE_DSN", park.dsns.owner)
    monkeypatch.setenv("PLANTROOM_DATA", str(tmp_path))
    (tmp_path / "hub-password").write_text(HUB_PASSWORD)
    return lambda *words: CliRunner().invoke(app, ["store", *words])


async def test_the_store_says_what_lies_where_and_how_long_it_stays(database: Database, park: Park, run: Run) -> None:
    await let(database, park, SOME_YEARS_AGO.date(), NOW.date())
    put(park, [park.points[LEVEL]], SOME_YEARS_AGO)
    await partitions.compact(database, NOW)
    told = json.loads((await asyncio.to_thread(run, "show", "--json")).stdout)
    assert (told["store"], told["parts"], told["compacted"]) == ("plain", 1, 1)
    assert told["bytes"] > 8192
    kept = {one["class"]: one for one in told["retention"]}
    assert kept["levels"]["raw_days"] == 400
    assert kept["consumption"]["bound"] == kept["consumption"]["points"] > 0
    assert sum(one["points"] for one in kept.values()) == len(park.points)
    said = (await asyncio.to_thread(run, "show")).stdout
    assert "Store: plain." in said
    assert "Parts: 1, 1 of them compacted" in said
    assert "stay with their papers" in said


async def test_a_server_without_the_extension_moves_nothing_and_says_so(run: Run) -> None:
    done = await asyncio.to_thread(run, "convert")
    assert done.exit_code == 1
    assert "its server does not have it; install it" in str(done.exception)
