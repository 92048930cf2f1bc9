"""Everything of one site as CSV files: whole, of this site alone, recorded, and nothing half."""

import asyncio
import csv
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.care import site as sites
from deploy.cli import app
from hub.store.database import Database
from tests.builders import Dsns, Park
from tests.conftest import HUB_PASSWORD
from tests.integration.test_walls import populate

Run = Callable[..., Result]


@pytest.fixture
async def full(database: Database, park: Park) -> Park:
    """A park with rows in every table, readings with gaps, and a second site with a point of its own."""
    await populate(database, park)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("SELECT plantroom.ensure_week('2026-09-07')")
        connection.execute(
            """INSERT INTO samples SELECT id, '2026-09-08T00:00Z'::timestamptz + n * interval '1 minute',
               CASE WHEN n > 3 THEN 0.1::float8 * n END, CASE WHEN n > 3 THEN 192 ELSE 0 END
               FROM points, generate_series(0, 99) n ON CONFLICT DO NOTHING"""
        )
        connection.execute(
            """INSERT INTO sites SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object(
               'id', gen_random_uuid(), 'code', 'ELSEWHERE')) AS s FROM sites s) x"""
        )
        connection.execute(
            """INSERT INTO spaces SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object(
               'id', gen_random_uuid(), 'code', 'FAR', 'parent_id', NULL, 'site_id',
               (SELECT id FROM sites WHERE code = 'ELSEWHERE'))) AS s FROM spaces s LIMIT 1) x"""
        )
    return park


@pytest.fixture
def run(full: Park, dsns: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PLANTROOM_DATABASE_DSN", dsns.owner)
    monkeypatch.setenv("PLANTROOM_DATA", str(tmp_path))
    (tmp_path / "hub-password").write_text(HUB_PASSWORD)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, ["export", "site", *words, "--quiet"])

    return invoke


def count(dsns: Dsns, query: str) -> int:
    with psycopg.connect(dsns.owner) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])


async def test_everything_of_a_site_is_in_files_that_the_manifest_names(run: Run, dsns: Dsns, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = await asyncio.to_thread(run, "RIVERSIDE", "--out", str(out), "--reason", "moves away")
    assert done.exit_code == 0, done.exception
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} - {"manifest.json"}
    assert there == manifest["files"].keys()
    for name, told in manifest["files"].items():
        body = (out / name).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (told["bytes"], told["sha256"])
    for table in ("devices", "points", "gateways", "alarms", "work_orders", "leases", "invoices", "charges"):
        with (out / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == manifest["files"][f"{table}.csv"]["rows"] == count(dsns, f"SELECT count(*) FROM {table}")
    assert not {"stills.csv", "badge_holders.csv", "users.csv", "credentials.csv"} & there
    readings = sum(told["rows"] for name, told in manifest["files"].items() if name.startswith("readings/"))
    assert readings == manifest["readings"] == count(dsns, "SELECT count(*) FROM samples")
    lines = gzip.decompress((out / "readings" / "EM-A-MAIN.energy.csv.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "at,value,quality"
    assert any(line.startswith("2026-09-08 00:01:00+00,,0") for line in lines)  # missing is empty
    assert any(line == "2026-09-08 00:07:00+00,0.7000000000000001,192" for line in lines)  # to its last digit
    assert count(dsns, "SELECT count(*) FROM audit_entries WHERE action = 'exported' AND reason = 'moves away'") == 1
    assert out.stat().st_mode & 0o077 == 0


async def test_what_is_of_another_site_is_not_there(run: Run, dsns: Dsns, tmp_path: Path) -> None:
    done = await asyncio.to_thread(run, "ELSEWHERE", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.exception
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    rows = {name: told["rows"] for name, told in manifest["files"].items() if told["rows"]}
    assert rows == {"sites.csv": 1, "spaces.csv": 1}


async def test_an_unknown_site_and_a_folder_that_is_there_are_refused(run: Run, tmp_path: Path) -> None:
    done = await asyncio.to_thread(run, "NOWHERE", "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    done = await asyncio.to_thread(run, "RIVERSIDE", "--out", str(tmp_path / "out"))
    assert "is there already" in str(done.exception)


async def test_an_export_that_is_interrupted_is_not_there_and_starts_over(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sites, "_readings", fail)
        assert (await asyncio.to_thread(run, "RIVERSIDE", "--out", str(tmp_path / "out"))).exit_code != 0
    assert not (tmp_path / "out").exists()
    assert (await asyncio.to_thread(run, "RIVERSIDE", "--out", str(tmp_path / "out"))).exit_code == 0


def test_a_point_of_any_name_has_a_file_name() -> None:
    assert sites._named("EM-A-101.energy", 7) == "EM-A-101.energy"
    assert sites._named("line/3 总.temp", 7) == "line%2F3 %E6%80%BB.temp"
    assert sites._named("x" * 300, 7) == "point-7"
    assert sites._named("..", 7) == "point-7"
