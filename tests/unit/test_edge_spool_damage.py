"""A spool whose file is hurt saves what can be read; a number is never given twice."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from edge_agent.frame import Frame
from edge_agent.retention import Retention
from edge_agent.spool import Spool, SpoolUnusableError
from rules.model.event import BadgeEvent
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = 4096


def frame(n: int) -> Frame:
    at = START + timedelta(seconds=n)
    return Frame("D", (Reading("D.c", at, n / 8, Quality.GOOD), Reading("D.g", at, n / 4, Quality.GOOD)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.sqlite"


def filled(path: Path, count: int = 2_000) -> Spool:
    spool = Spool(path, max_mb=16)
    spool.follow(Retention(16, loose=frozenset({"D.g"})))
    for start in range(0, count, 100):
        spool.append([frame(n) for n in range(start, start + 100)])
    spool.append([Frame("DOOR", (), event=BadgeEvent(UUID(int=7), "DOOR", START, "denied", "4711"))])
    return spool


def values(spool: Spool) -> list[float]:
    found: list[Frame] = []
    while more := spool.pending(found[-1].number if found else spool.committed, 1000):
        found += more
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    return [r.value for one in found for r in one.readings if r.point == "D.c" and r.value is not None]


def test_a_hurt_page_costs_its_own_frames_only(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = filled(path)
    identity, newest = spool.identity, spool.newest
    spool.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // PAGE * PAGE)
        file.write(b"\xa5" * PAGE)
    again = Spool(path, max_mb=16)
    kept = values(again)
    assert 1_700 < len(kept) < 2_000 or len(kept) == 2_000  # a page of frames, or of loose readings
    assert kept == sorted(set(kept))
    assert again.identity != identity
    assert again.before == identity
    assert again.newest == newest
    assert "is damaged" in caplog.text
    assert len(list(path.parent.glob("*.damaged-*"))) >= 1
    number = again.last_number
    assert again.append([frame(9_999)]) == number + 1
    again.close()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_of_a_file_that_was_cut_off_the_front_is_saved(path: Path, share: float) -> None:
    filled(path).close()
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    again = Spool(path, max_mb=16)
    kept = values(again)
    assert kept == sorted(set(kept))
    assert again.append([frame(9_999)]) == again.last_number
    again.close()
    third = Spool(path, max_mb=16)  # and the new one is sound
    assert values(third)[:-1] == kept
    third.close()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00", b"\x00" * 10_000, b"\xff" * 3])
def test_a_file_that_holds_nothing_is_begun_anew(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    spool = Spool(path, max_mb=16)
    assert spool.append([frame(1)]) == 1
    spool.close()
    again = Spool(path, max_mb=16)
    assert values(again) == [1 / 8]
    again.close()


@pytest.mark.parametrize("hurt", ["cut", "garbled"])
def test_a_torn_log_keeps_every_frame_before_the_tear_and_gives_no_number_twice(path: Path, hurt: str) -> None:
    """A power cut while the log was written: what was not yet promised may be gone, what is left is in order."""
    spool = filled(path, 100)
    copy = path.with_name("copy.sqlite")
    shutil.copy(path, copy)
    log = Path(f"{path}-wal").read_bytes()
    spool.close()
    torn = (
        log[: len(log) * 2 // 3] if hurt == "cut" else log[: len(log) // 2] + b"\x5a" * 100 + log[len(log) // 2 + 100 :]
    )
    Path(f"{copy}-wal").write_bytes(torn)
    again = Spool(copy, max_mb=16)
    kept = values(again)
    assert kept == [n / 8 for n in range(len(kept))]
    assert again.append([frame(500)]) == again.last_number
    again.close()


def test_damage_that_shows_while_in_use_ends_the_agent_with_a_sentence(path: Path) -> None:
    spool = filled(path)
    spool.close()
    again = Spool(path, max_mb=16)
    with path.open("r+b") as file:
        file.seek(PAGE)
        again._db.execute("PRAGMA shrink_memory")  # what it still knows of the pages
        file.write(b"\xa5" * (path.stat().st_size - PAGE))
    with pytest.raises(SpoolUnusableError, match=r"is damaged .* start the edge agent again"):
        values(again)
    again.close()
    third = Spool(path, max_mb=16)
    assert third.append([frame(1)]) == third.last_number
    third.close()


def test_what_the_damaged_file_had_committed_is_not_believed_of_the_new_one(path: Path) -> None:
    spool = filled(path)
    spool.commit(1_500)
    spool.close()
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'loose'")
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xa5" * PAGE)
    again = Spool(path, max_mb=16)
    assert again.committed == 0
    assert values(again) == [n / 8 for n in range(1_500, 2_000)]
    assert again.pending(500, 10)[0].event == BadgeEvent(UUID(int=7), "DOOR", START, "denied", "4711")
    again.close()


def test_a_row_that_was_garbled_without_the_file_s_notice_holds_up_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = filled(path, 100)
    spool._db.execute("UPDATE frames SET readings = '[[\"c\",' WHERE number = 7")
    spool._db.execute("UPDATE loose SET readings = '[[1,2]]' WHERE number = 8")
    spool._db.execute("UPDATE events SET head = '{}'")
    spool._db.commit()
    for _ in range(3):
        found = spool.pending(0, 200)
    assert [one.number for one in found] == list(range(1, 102))
    assert [one.number for one in found if not one.readings] == [7, 8, 101]
    assert sum("is garbled" in record.message for record in caplog.records) == 3
    assert spool.dropped == 3
    spool.close()
