"""The file of anchors: appended to, signed, each line knowing the one before; what was done to it is named."""

import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.audit.anchor import AnchorFile, AnchorFileError
from hub.audit.rows import Seal

NOW = datetime(2026, 11, 24, 10, 0, 0, 123_456, tzinfo=UTC)
DAYS = 5


@pytest.fixture
def file(tmp_path: Path) -> AnchorFile:
    return AnchorFile(tmp_path / "anchors" / "audit.jsonl", tmp_path / "anchor-key")


@pytest.fixture
def lines(file: AnchorFile) -> list[bytes]:
    for day in range(DAYS):
        file.append(Seal(day * 10, bytes([day]) * 32), NOW + timedelta(days=day))
    return file.path.read_bytes().splitlines(keepends=True)


def test_a_line_says_the_day_the_place_the_hash_and_the_line_before(file: AnchorFile, lines: list[bytes]) -> None:
    told = json.loads(lines[2])
    assert (told["date"], told["sealed_number"], told["entries"]) == ("2026-11-26", 20, 10)
    assert told["hash"] == "02" * 32
    found = file.read()
    assert found.problems == ()
    assert [anchor.sealed_number for anchor in found.found] == [0, 10, 20, 30, 40]
    assert file.last() == found.found[-1]


def test_only_its_user_reads_the_file_and_the_key_and_the_key_shows_nowhere(
    file: AnchorFile, lines: list[bytes]
) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file.path, file.key_path)} == {0o600}
    secret = file.key_path.read_bytes().strip()
    assert secret not in b"".join(lines)
    assert secret.decode() not in repr(file)
    assert len(bytes.fromhex(file.public())) == 32


def older(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"sealed_number": 10', b'"sealed_number": 11'), *lines[2:]]


def taken_out(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def begun_later(lines: list[bytes]) -> list[bytes]:
    return lines[2:]


def exchanged(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def doubled(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[-1]]


def with_more(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"{", b'{"more": 1, ', 1), *lines[2:]]


def garbled(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"not a line\n", *lines[2:]]


def last_hash(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b"0404", b"0505", 1)]


@pytest.mark.parametrize("tamper", [older, taken_out, begun_later, exchanged, doubled, with_more, garbled, last_hash])
def test_an_anchor_that_somebody_touched_is_named(
    file: AnchorFile, lines: list[bytes], tamper: Callable[[list[bytes]], list[bytes]]
) -> None:
    file.path.write_bytes(b"".join(tamper(lines)))
    assert file.read().problems


def test_whoever_lacks_the_key_cannot_write_the_anchors_anew(
    file: AnchorFile, lines: list[bytes], tmp_path: Path
) -> None:
    forger = AnchorFile(tmp_path / "forged", tmp_path / "another-key")
    for day in range(DAYS):
        forger.append(Seal(day * 9, bytes([99]) * 32), NOW + timedelta(days=day))
    file.path.write_bytes(forger.path.read_bytes())
    found = file.read()
    assert len([said for said in found.problems if "was not signed by this Plantroom" in said]) == DAYS
    file.key_path.unlink()
    assert any("The key of the anchors is gone" in said for said in file.read().problems)


def test_a_line_that_a_power_cut_tore_is_no_tampering(file: AnchorFile, lines: list[bytes]) -> None:
    file.path.write_bytes(b"".join(lines) + lines[-1][:40])
    assert "Line 6 of the anchors cannot be read" in file.read().problems[0]
    assert file.last() is not None
    file.append(Seal(50, bytes(32)), NOW + timedelta(days=DAYS))
    found = file.read()
    assert (len(found.found), found.problems) == (DAYS + 1, ())


def test_a_record_that_became_shorter_is_named(file: AnchorFile, lines: list[bytes]) -> None:
    file.append(Seal(7, bytes(32)), NOW + timedelta(days=DAYS))
    assert "saw fewer acts than the one before it" in file.read().problems[0]


def test_two_programs_that_anchor_at_once_write_one_after_the_other(file: AnchorFile, lines: list[bytes]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: file.append(Seal(1_000, bytes(32)), NOW + timedelta(days=9, seconds=n)), range(40)))
    found = file.read()
    assert (len(found.found), found.problems) == (DAYS + 40, ())


def test_an_anchor_is_on_disk_before_it_counts(file: AnchorFile, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    file.append(Seal(1, bytes(32)), NOW)
    assert synced == [file.path.stat().st_size]


def test_a_file_that_cannot_be_used_is_one_sentence(file: AnchorFile, lines: list[bytes]) -> None:
    file.path.unlink()
    file.path.mkdir()
    for use in (file.read, file.last, lambda: file.append(Seal(1, bytes(32)), NOW)):
        with pytest.raises(
            AnchorFileError, match=r"The anchors of the audit record, .* cannot be used \(Is a directory\)"
        ):
            use()


def test_where_there_is_no_file_there_is_no_anchor(file: AnchorFile) -> None:
    assert (file.read().found, file.last(), file.public()) == ((), None, "")
