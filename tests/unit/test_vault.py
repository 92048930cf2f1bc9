"""The vault: only the right key opens, only in its row; a new key holds at once, an old one still opens."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access import vault
from hub.access.vault import BrokenSealError, KeysError, Vault
from hub.errors import UnavailableError

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    write(file, vault.make(NOW).written())
    return file


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text, "utf-8")
    path.chmod(mode)


@given(st.binary(max_size=200))
def test_what_was_sealed_opens_in_its_row_and_nowhere_else(plain: bytes) -> None:
    kept = Vault.passing()
    sealed = kept.seal(plain, "credentials", 1)
    assert kept.open(sealed, "credentials", 1) == plain
    assert sealed != kept.seal(plain, "credentials", 1)
    for table, row in (("credentials", 2), ("accounts", 1)):
        with pytest.raises(BrokenSealError):
            kept.open(sealed, table, row)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_noticed(where: int, by: int) -> None:
    kept = Vault.passing()
    sealed = bytearray(kept.seal(b"secret", "t", 1))
    sealed[where % len(sealed)] ^= by
    with pytest.raises((BrokenSealError, UnavailableError)):
        kept.open(bytes(sealed), "t", 1)


@pytest.mark.parametrize("rubbish", [b"", b"\1", b"\1\5abc", b"\2" + bytes(60), bytes(60), b"\1\xff" + bytes(40)])
def test_rubbish_is_refused(rubbish: bytes) -> None:
    with pytest.raises((BrokenSealError, UnavailableError)):
        Vault.passing().open(rubbish, "t", 1)


def test_a_new_key_seals_at_once_in_a_running_program_and_the_old_one_still_opens(path: Path) -> None:
    running = Vault.of(path)
    old = running.seal(b"secret", "t", 1)
    write(path, vault.add(vault.read(path), NOW).written())
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    new = running.seal(b"secret", "t", 1)
    assert vault.key_of(new) != vault.key_of(old)
    assert {running.open(one, "t", 1) for one in (old, new)} == {b"secret"}


def test_a_key_that_is_not_here_is_named(path: Path) -> None:
    sealed = Vault.passing().seal(b"secret", "t", 1)
    with pytest.raises(UnavailableError, match="'passing' is not among ours"):
        Vault.of(path).open(sealed, "t", 1)


def test_keys_that_others_can_read_are_refused(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(KeysError, match="chmod 600"):
        Vault.of(path)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"id": "a", "key": "AAAA"}]}', '{"keys": [{"id": "a"}]}']
)
def test_what_is_no_file_of_keys_gets_a_sentence(path: Path, text: str) -> None:
    write(path, text)
    with pytest.raises(KeysError, match=str(path)):
        Vault.of(path)


def test_keys_show_in_no_message(path: Path) -> None:
    (one,) = json.loads(path.read_text("utf-8"))["keys"]
    assert one["key"] not in repr(vault.read(path))
