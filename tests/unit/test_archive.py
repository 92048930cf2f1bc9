"""The archive of a backup: whatever happens to one byte of it, it is said, and nothing damaged is given as whole."""

import io
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.care.archive import ArchiveError, Reader, Writer
from deploy.care.backup import drop_old, named
from deploy.care.load import RestoreRefusedError, check_head
from deploy.care.lock import Lock, WrongPassphraseError

PHRASE = "a passphrase of the tests"
PIECES = {
    "users": [b"1\tli\n", b"2\twang\n"],
    "empty": [],
    "file.anchors": [b'{"at": 1}\n'],
    "samples": [b"1\t2\n" * 500],
}


def written(lock: Lock | None = None) -> bytes:
    target = io.BytesIO()
    writer = Writer(target, {"migrations": {"1": "00"}}, lock)
    for name, pieces in PIECES.items():
        writer.begin(name)
        for piece in pieces:
            writer.add(piece, piece.count(b"\n"))
    writer.close({"sequences": {"a": 7}})
    return target.getvalue()


def read(body: bytes, phrase: str = "") -> dict[str, bytes]:
    reader = Reader(io.BytesIO(body), phrase)
    found = dict.fromkeys(PIECES, b"")
    for name, piece in reader.pieces():
        found[name] += piece
    assert reader.manifest is not None
    assert reader.manifest.said["sequences"] == {"a": 7}
    return found


WHOLE: dict[str, Callable[[], bytes]] = {"": written, PHRASE: lambda: written(Lock.new(PHRASE))}


@pytest.mark.parametrize("phrase", WHOLE, ids=["open", "encrypted"])
def test_what_was_written_is_read(phrase: str) -> None:
    assert read(WHOLE[phrase](), phrase) == {name: b"".join(pieces) for name, pieces in PIECES.items()}


@pytest.mark.parametrize("phrase", WHOLE, ids=["open", "encrypted"])
def test_any_changed_bit_and_any_end_too_early_is_said(phrase: str) -> None:
    whole = WHOLE[phrase]()
    wanted = {name: b"".join(pieces) for name, pieces in PIECES.items()}
    chance = random.Random(7)
    places = [chance.randrange(len(whole) - 1024) for _ in range(10 if phrase else 300)]  # what follows is the end mark
    for place in places:
        bad = bytearray(whole)
        bad[place] ^= 1 << chance.randrange(8)
        with pytest.raises((ArchiveError, WrongPassphraseError)) as said:
            read(bytes(bad), phrase)
        assert str(said.value).endswith(".")
    for end in [0, 1, 511, 512, *places[:9]]:
        with pytest.raises((ArchiveError, WrongPassphraseError)):
            read(whole[:end], phrase)
    assert read(whole, phrase) == wanted


def test_a_piece_that_was_moved_or_left_out_does_not_pass_for_whole() -> None:
    one, other = written(Lock.new(PHRASE)), written(Lock.new(PHRASE))
    with pytest.raises((ArchiveError, WrongPassphraseError)):
        read(one[:2048] + other[2048:], PHRASE)  # pieces of another archive under the same passphrase


@pytest.mark.parametrize("head", [{}, {"migrations": None}, {"migrations": {"1r": "x"}}, {"migrations": {}}])
def test_a_head_without_migrations_is_damaged(head: dict[str, object]) -> None:
    with pytest.raises(ArchiveError, match="names no migrations"):
        check_head(head)


def test_a_head_of_another_program_is_refused() -> None:
    with pytest.raises(RestoreRefusedError, match="Migration 0001 of the backup is not ours"):
        check_head({"migrations": {"1": "other"}})
    with pytest.raises(RestoreRefusedError, match="install the Plantroom that made it"):
        check_head({"migrations": {"99999": "x"}, "program": "9.9"})


def test_a_part_has_a_plain_name_once() -> None:
    writer = Writer(io.BytesIO(), {}, None)
    writer.begin("users")
    for name in ("users", "../users", "a/b", ""):
        with pytest.raises(ArchiveError):
            writer.begin(name)


def test_a_folder_keeps_the_newest_backups_and_everything_else(tmp_path: Path) -> None:
    first = datetime(2026, 11, 1, 2, 15, tzinfo=UTC)
    made = [named(tmp_path, first + timedelta(days=day)) for day in range(20)]
    for path in [*made, tmp_path / "plantroom-by-hand.backup"]:
        path.touch()
    drop_old(tmp_path, 14)
    assert set(tmp_path.iterdir()) == {*made[6:], tmp_path / "plantroom-by-hand.backup"}
