import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.frame import Frame
from edge_agent.journal import Journal
from edge_agent.spool import Spool, SpoolFullError, SpoolUnusableError
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)


def frame(second: int, *, count: int = 1, value: float | None = 0.1) -> Frame:
    at = START + timedelta(seconds=second, milliseconds=7)
    quality = Quality.BAD if value is None else Quality.GOOD
    return Frame("D-1", tuple(Reading(f"D-1.m{i}", at, value, quality) for i in range(count)))


def fill(spool: Spool) -> None:
    for second in range(1000):
        spool.append([frame(second, count=200)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite"


@pytest.fixture
def opened(path: Path, request: pytest.FixtureRequest) -> Callable[..., Spool]:
    def open_spool(max_mb: int = 16) -> Spool:
        spool = Spool(path, max_mb=max_mb)
        request.addfinalizer(spool.close)
        return spool

    return open_spool


def test_frames_come_back_as_they_went_in_under_the_next_numbers(opened: Callable[..., Spool]) -> None:
    spool = opened()
    assert spool.append([frame(1), frame(2, value=None)]) == 2
    assert spool.append([frame(3, value=123456.78)]) == 3
    kept = spool.pending(0, 10)
    assert [f.number for f in kept] == [1, 2, 3]
    assert [f.readings[0].value for f in kept] == [0.1, None, 123456.78]
    assert kept[0].readings == frame(1).readings
    assert [f.number for f in spool.pending(1, 1)] == [2]


def test_a_commit_forgets_only_what_it_names_and_survives_a_restart(opened: Callable[..., Spool]) -> None:
    spool = opened()
    spool.append([frame(i) for i in range(5)])
    spool.commit(3)
    assert (spool.depth(), spool.committed) == (2, 3)
    spool.commit(2)
    assert spool.committed == 3
    identity = spool.identity
    spool.close()
    again = opened()
    assert (again.identity, again.committed, again.last_number) == (identity, 3, 5)
    assert [f.number for f in again.pending(0, 10)] == [4, 5]
    assert again.newest == frame(4).readings[0].at
    again.commit(5)
    again.close()
    third = opened()
    assert third.append([frame(9)]) == 6


def test_an_abandoned_transaction_leaves_no_gap_in_the_numbers(path: Path, opened: Callable[..., Spool]) -> None:
    spool = opened()
    spool.append([frame(1)])
    spool.close()
    db = sqlite3.connect(path)
    db.execute("INSERT INTO frames (device, historical, readings) VALUES ('D-1', 0, '[]')")
    db.close()  # killed before its commit
    again = opened()
    assert again.append([frame(2)]) == 2


def test_a_full_spool_refuses_new_frames_keeps_the_old_and_resumes(
    opened: Callable[..., Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened(max_mb=1)
    with pytest.raises(SpoolFullError, match="spool_max_mb of 1 MB"):
        fill(spool)
    kept = spool.last_number
    with pytest.raises(SpoolFullError):
        spool.append([frame(5000)])
    assert spool.depth() == kept > 50
    assert spool.refused == 2
    assert sum("polling goes on" in record.message for record in caplog.records) == 1
    spool.commit(kept // 2)
    assert spool.append([frame(5001)]) == kept + 1
    assert "has room again" in caplog.text


def test_a_full_disk_is_a_full_spool(opened: Callable[..., Spool]) -> None:
    spool = opened()
    spool.append([frame(1)])
    ((pages,),) = spool._db.execute("PRAGMA page_count")
    spool._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(SpoolFullError, match="full"):
        fill(spool)
    assert [f.number for f in spool.pending(0, 1000)] == list(range(1, spool.last_number + 1))
    spool.commit(spool.last_number)
    assert spool.depth() == 0


def test_a_damaged_file_is_kept_aside_and_a_new_spool_begins(
    path: Path, opened: Callable[..., Spool], caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"not a database" * 1000)
    spool = opened()
    assert spool.append([frame(1)]) == 1
    assert "is damaged" in caplog.text
    (aside,) = path.parent.glob("spool.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"not a database")


def test_two_agents_cannot_share_a_spool(opened: Callable[..., Spool]) -> None:
    opened()
    with pytest.raises(SpoolUnusableError, match="another edge agent"):
        opened()


def test_an_import_is_remembered_with_its_frames(opened: Callable[..., Spool]) -> None:
    spool = opened()
    assert not spool.imported("abc")
    spool.append([frame(1)], sha256="abc")
    assert spool.imported("abc")
    with pytest.raises(sqlite3.IntegrityError):
        spool.append([frame(2)], sha256="abc")
    assert spool.last_number == 1


def test_birth_numbers_count_on_across_restarts(opened: Callable[..., Spool]) -> None:
    spool = opened()
    assert [spool.next_bd_seq() for _ in range(257)] == [*range(256), 0]
    spool.close()
    assert opened().next_bd_seq() == 1


def test_nobody_else_of_the_machine_reads_what_waits_and_what_was_set(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        spool, journal = Spool(tmp_path / "edge.sqlite", max_mb=1), Journal(tmp_path / "commands.sqlite", START)
        files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        spool.close()
        journal.close()
    finally:
        os.umask(before)
    assert {"edge.sqlite", "edge.sqlite-wal", "commands.sqlite", "commands.sqlite-wal"} <= files.keys()
    assert set(files.values()) == {0o600}
