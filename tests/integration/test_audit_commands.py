"""``plantroom audit``: verify, search, anchor, and an export that needs nothing of ours to be checked."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from hub.audit import service as audit
from hub.store.database import Database
from tests.builders import ENGINEER, Dsns, Park
from tests.conftest import HUB_PASSWORD

Run = Callable[..., Result]


@pytest.fixture
async def acts(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        for n in range(12):
            details = {"changed": {"colour": ["red", f"蓝 {n}"]}, "ratio": 0.10}
            await audit.record(tx, "painted", "widget", n, details, reason='=HYPERLINK("x")' if n == 3 else "")


@pytest.fixture
def run(acts: None, dsns: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the test's database; asyncio.run wants a thread without a loop."""
    monkeypatch.setenv("PLANTROOM_DATABASE_DSN", dsns.owner)
    monkeypatch.setenv("PLANTROOM_DATA", str(tmp_path))
    (tmp_path / "hub-password").write_text(HUB_PASSWORD)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["audit", *words])

    return invoke


async def test_an_anchored_record_is_verified_in_words_and_in_json(run: Run) -> None:
    made = await asyncio.to_thread(run, "anchor")
    assert made.exit_code == 0
    assert json.loads(made.stdout.splitlines()[-1])["sealed_number"] >= 12
    said = await asyncio.to_thread(run, "verify")
    assert (said.exit_code, "acts hold" in said.stdout) == (0, True)
    told = json.loads((await asyncio.to_thread(run, "verify", "--json")).stdout)
    assert (told["holds"], told["broken"], told["problems"]) == (True, None, [])
    assert told["held"] == told["anchored"] >= 12


async def test_a_break_is_told_with_its_number_and_day_and_ends_with_one(run: Run, dsns: Dsns, tmp_path: Path) -> None:
    await asyncio.to_thread(run, "anchor")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((tmp_path / "anchors" / "audit-anchors.jsonl").read_bytes())
    with psycopg.connect(dsns.owner) as owner:
        owner.execute("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
        day = owner.execute(
            "UPDATE audit_entries SET actor = 'x' WHERE sealed_number = 5 RETURNING at::date"
        ).fetchone()
        assert day is not None
    for words in (("verify",), ("verify", "--anchors", str(copy))):
        said = await asyncio.to_thread(run, *words)
        assert said.exit_code == 1
        assert f"Audit entry no. 5 of {day[0]} was changed after it was written." in said.stdout
    told = json.loads((await asyncio.to_thread(run, "verify", "--json")).stdout)
    assert (told["holds"], told["broken"]["number"], told["broken"]["day"]) == (False, 5, str(day[0]))


async def test_acts_are_found_by_actor_text_and_time_and_given_as_words_json_or_csv(run: Run) -> None:
    said = await asyncio.to_thread(run, "search", "--actor", "test-engineer", "--entity", "widget", "--id", "7")
    assert 'test-engineer: painted widget 7 {"ratio": 0.1, "changed": {"colour": ["red", "蓝 7"]}}' in said.stdout
    found = json.loads((await asyncio.to_thread(run, "search", "--text", "蓝 1", "--json")).stdout)
    assert [one["entity_id"] for one in found] == ["11", "10", "1"]
    table = (await asyncio.to_thread(run, "search", "--text", "HYPERLINK", "--csv")).stdout
    assert "'=HYPERLINK" in table  # no formula in a spreadsheet
    assert len(table.splitlines()) == 2
    nothing = await asyncio.to_thread(run, "search", "--to", "2020-01-01")
    assert "Nothing of the kind" in nothing.stdout
    assert len(json.loads((await asyncio.to_thread(run, "search", "--most", "5", "--json")).stdout)) == 5
    wide = await asyncio.to_thread(run, "search", "--text", "x", "--from", "2000-01-01")
    assert "366 days at most" in str(wide.exception)


def recomputed(path: Path) -> list[dict[str, Any]]:
    """The recipe of deploy/security/audit.md: an export checked with nothing but SHA-256 and JSON."""
    head, *lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    previous, number, said = bytes.fromhex(head["previous"]), head["first"] - 1, []
    for line in lines:
        if "anchor" in line:
            anchor = json.loads(line["anchor"])
            seen = next(one for one in said if one["number"] == anchor["sealed_number"])
            assert seen["hash"] == anchor["hash"], f"the anchor of {anchor['date']} saw another record"
            continue
        number += 1
        assert line["number"] == number, f"no. {number} is missing"
        previous = hashlib.sha256(previous + line["said"].encode()).digest()
        assert line["hash"] == previous.hex(), f"no. {number} was changed"
        said.append(line)
    assert number == head["last"], "the end is missing"
    return [json.loads(one["said"]) for one in said]


async def test_an_export_is_computed_again_without_anything_of_ours(run: Run, tmp_path: Path) -> None:
    await asyncio.to_thread(run, "anchor")
    out = tmp_path / "audit.jsonl"
    words = ("export", "--from", "2026-01-01", "--to", "2100-01-01", "--out", str(out))
    done = await asyncio.to_thread(run, *words)
    assert (done.exit_code, out.stat().st_mode & 0o777) == (0, 0o600)
    acts = recomputed(out)
    painted = [act for act in acts if act["action"] == "painted"]
    assert [act["entity_id"] for act in painted] == [str(n) for n in range(12)]
    assert json.loads(painted[3]["details"])["changed"]["colour"] == ["red", "蓝 3"]
    assert out.read_text().count('"anchor"') == 1
    again = await asyncio.to_thread(run, *words)
    assert isinstance(again.exception, FileExistsError)


@pytest.mark.parametrize("what", ["said", "hash", "taken out", "cut off", "exchanged"])
async def test_an_export_that_somebody_touched_does_not_compute(run: Run, tmp_path: Path, what: str) -> None:
    await asyncio.to_thread(run, "anchor")
    out = tmp_path / "audit.jsonl"
    await asyncio.to_thread(run, "export", "--from", "2026-01-01", "--to", "2100-01-01", "--out", str(out))
    lines = out.read_text("utf-8").splitlines()
    if what == "said":
        lines[5] = lines[5].replace("test-engineer", "somebody-else")
    elif what == "hash":
        lines[5] = json.dumps({**json.loads(lines[5]), "hash": "00" * 32})
    elif what == "taken out":
        del lines[5]
    elif what == "cut off":
        del lines[-3:]
    else:
        lines[5], lines[6] = lines[6], lines[5]
    out.write_text("\n".join(lines), "utf-8")
    with pytest.raises(AssertionError):
        recomputed(out)


async def test_an_export_is_itself_recorded(run: Run, database: Database, park: Park, tmp_path: Path) -> None:
    await asyncio.to_thread(run, "anchor")
    await asyncio.to_thread(run, "export", "--from", "2026-01-01", "--to", "2100-01-01", "--out", str(tmp_path / "x"))
    async with database.transaction(park.organisation, ENGINEER) as tx:
        (entry,) = await audit.of_entity(tx, "audit", "")
    assert (entry.actor, entry.action) == ("plantroom/command", "exported")
    assert entry.details["first"] == 1


async def test_a_time_without_acts_gives_no_file_of_acts(run: Run, tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        run, "export", "--from", "2020-01-01", "--to", "2020-01-02", "--out", str(tmp_path / "x")
    )
    assert "Nothing was done in that time" in str(done.exception)
