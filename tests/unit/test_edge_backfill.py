import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.backfill import InvalidBackfillError, bring_in
from edge_agent.config import EdgeConfig, load
from edge_agent.frame import FRAME_READINGS_MAX
from edge_agent.retention import Retention
from edge_agent.spool import Spool, SpoolFullError
from rules.model.quality import Quality
from tests.field import device_text, site_text, write_site

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = "device,measure,at,value\n"


@pytest.fixture
def config(tmp_path: Path) -> EdgeConfig:
    return load(write_site(tmp_path, site_text(1502, device_text("EM-1", 1) + device_text("EM-2", 2))))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool.sqlite", max_mb=64)
    yield spool
    spool.close()


def logger_file(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = folder / "history.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def test_history_is_framed_by_device_and_local_day(tmp_path: Path, config: EdgeConfig, spool: Spool) -> None:
    rows = (
        "EM-1,energy,2026-01-01T23:45:00+08:00,1.25\n"
        "EM-2,energy,2026-01-01T15:50:00Z,7\n"
        "EM-1,energy,2026-01-02T00:00:00.1239+08:00,\n"
    )
    assert bring_in(logger_file(tmp_path, rows), config, spool, NOW) == 3
    frames = spool.pending(0, 10)
    assert [(f.device, f.historical, len(f.readings)) for f in frames] == [
        ("EM-1", True, 1),
        ("EM-2", True, 1),
        ("EM-1", True, 1),
    ]
    assert frames[0].readings[0].value == 1.25
    missing = frames[2].readings[0]
    assert (missing.value, missing.quality) == (None, Quality.BAD)
    assert missing.at == datetime(2026, 1, 1, 16, 0, 0, 123000, tzinfo=UTC)


def test_a_file_comes_in_once_even_after_a_restart(tmp_path: Path, config: EdgeConfig, spool: Spool) -> None:
    path = logger_file(tmp_path, "EM-1,energy,2026-01-01T00:00:00Z,1\n")
    assert bring_in(path, config, spool, NOW) == 1
    assert bring_in(path, config, spool, NOW) == 0
    spool.close()
    again = Spool(tmp_path / "spool.sqlite", max_mb=64)
    assert bring_in(path, config, again, NOW) == 0
    assert again.last_number == 1
    again.close()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("EM-9,energy,2026-01-01T00:00:00Z,1", "is not on this gateway"),
        ("EM-1,energi,2026-01-01T00:00:00Z,1", "is not on this gateway"),
        ("EM-1,energy,2026-01-01T00:00:00,1", "has no offset"),
        ("EM-1,energy,yesterday,1", "yesterday"),
        ("EM-1,energy,2026-01-01T00:00:00Z,one", "could not convert"),
        ("EM-1,energy,2026-01-01T00:00:00Z,nan", "is no number"),
        ("EM-1,energy,2026-01-01T00:00:00Z", "3 fields where 4 belong"),
        ("EM-1,energy,2099-01-01T00:00:00Z,1", "lies in the future"),
        ("EM-1,energy,2025-01-01T00:00:00Z,1", "is older than the row before it"),
        ("EM-1,energy,2025-06-01T00:00:00Z,1", "has two values"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_nothing_comes_in(
    tmp_path: Path, config: EdgeConfig, spool: Spool, row: str, sentence: str
) -> None:
    good = "EM-1,energy,2025-06-01T00:00:00Z,1\n"
    with pytest.raises(InvalidBackfillError, match=f"line 3: .*{sentence}.*nothing was imported"):
        bring_in(logger_file(tmp_path, f"{good}{row}\n"), config, spool, NOW)
    assert spool.last_number == 0


def test_a_file_that_is_not_there_or_not_text_or_headless_gets_one_sentence(
    tmp_path: Path, config: EdgeConfig, spool: Spool
) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xff\n")
    (tmp_path / "empty.csv").touch()
    for path, sentence in (
        (tmp_path / "empty.csv", "the file is empty"),
        (tmp_path / "none.csv", "cannot be read"),
        (tmp_path / "binary.csv", "not UTF-8"),
        (logger_file(tmp_path, "", header="a,b\n"), "line 1: the header must be device,measure,at,value"),
    ):
        with pytest.raises(InvalidBackfillError, match=sentence):
            bring_in(path, config, spool, NOW)


def test_a_spool_without_room_takes_nothing_and_the_file_can_come_again(
    tmp_path: Path, config: EdgeConfig, spool: Spool
) -> None:
    path = logger_file(tmp_path, "EM-1,energy,2026-01-01T00:00:00Z,1\n")
    spool.follow(Retention(0))
    with pytest.raises(SpoolFullError):
        bring_in(path, config, spool, NOW)
    spool.follow(Retention(1))
    assert bring_in(path, config, spool, NOW) == 1


def test_two_months_of_a_park_come_in_within_seconds(tmp_path: Path, config: EdgeConfig, spool: Spool) -> None:
    start = datetime(2025, 12, 1, tzinfo=UTC)
    rows = "".join(
        f"{device},{measure},{(start + i * timedelta(seconds=30)).isoformat()},{i / 100}\n"
        for i in range(50_000)
        for device in ("EM-1", "EM-2")
        for measure in ("energy", "power")
    )
    path = logger_file(tmp_path, rows)
    started_s = time.monotonic()
    assert bring_in(path, config, spool, NOW) == 200_000
    assert time.monotonic() - started_s < 15  # about 2 s on an idle machine
    frames = spool.pending(0, 1000)
    assert max(len(frame.readings) for frame in frames) == FRAME_READINGS_MAX
    assert sum(len(frame.readings) for frame in frames) == 200_000
