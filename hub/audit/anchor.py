"""Anchors: the end of the chain, written every day (UTC) into a file that the database's owner does not hold.

Whoever owns the database can change an act and make the whole chain again; he cannot make yesterday's anchors again.
Each line is JSON, names the hash of the line before, and is signed (Ed25519) with a key that is in no database.
"""

import base64
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hub.audit.rows import Seal

ANCHORS_MAX = 100_000  # some 270 years
LINE_BYTES_MAX = 2_000
KEY_BYTES = 32

log = logging.getLogger("plantroom.security")  # a copy of every anchor where the hub cannot change it: the journal


class AnchorFileError(OSError):
    """An anchor cannot be written or read: the sentence says which file and why."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the end of the chain was: ``entries`` acts after the anchor before; ``previous`` is that line's hash."""

    at: datetime
    sealed_number: int
    hash: bytes
    entries: int
    previous: str
    signature: bytes = b""

    @property
    def date(self) -> date:
        """The day (UTC) that it closes so far."""
        return self.at.astimezone(UTC).date()

    def said(self) -> dict[str, Any]:
        """Give what is signed, as the line says it."""
        return {
            "date": self.date.isoformat(),
            "at": self.at.astimezone(UTC).isoformat(timespec="seconds"),
            "sealed_number": self.sealed_number,
            "hash": self.hash.hex(),
            "entries": self.entries,
            "previous": self.previous,
        }

    def signed(self) -> bytes:
        """Give the bytes that are signed."""
        return json.dumps(self.said()).encode()

    def line(self) -> bytes:
        """Give the line of the file, without its end."""
        return json.dumps({**self.said(), "signature": base64.b64encode(self.signature).decode()}).encode()


def parse(line: bytes) -> Anchor:
    """Read a line; raises ValueError for one that is not an anchor."""
    try:
        told = json.loads(line)
        anchor = Anchor(
            datetime.fromisoformat(told["at"]),
            int(told["sealed_number"]),
            bytes.fromhex(told["hash"]),
            int(told["entries"]),
            str(told["previous"]),
            base64.b64decode(told["signature"], validate=True),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{error} is missing") from None
    if anchor.line() != line:
        raise ValueError("it says more or else than an anchor says")
    return anchor


@dataclass(frozen=True, slots=True)
class Anchors:
    """All that a file holds; ``problems`` are sentences about lines that cannot be trusted."""

    path: Path
    found: tuple[Anchor, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnchorFile:
    """The file, and the key that signs it (made at the first anchor, mode 0600)."""

    path: Path
    key_path: Path = field(repr=False)

    def append(self, seal: Seal, now: datetime) -> Anchor:
        """Write the end of the chain as a new line, on disk before this returns; raises AnchorFileError."""
        with _sentence(self.path), self._opened() as file:
            tail = _tail(file)
            last = _last(tail)
            before = parse(last).sealed_number if last else 0
            previous = hashlib.sha256(last).hexdigest() if last else ""
            anchor = Anchor(now, seal.sealed_number, seal.hash, seal.sealed_number - before, previous)
            anchor = replace(anchor, signature=self._key().sign(anchor.signed()))
            torn = b"\n" if tail and not tail.endswith(b"\n") else b""  # the power went while a line was written
            file.write(torn + anchor.line() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        log.info("audit anchor of %s: no. %d is %s", anchor.date, anchor.sealed_number, anchor.hash.hex())
        return anchor

    def read(self) -> Anchors:
        """Give every anchor, oldest first, each examined for its place and signature; raises AnchorFileError."""
        if not self.path.exists():
            return Anchors(self.path, (), ())
        with _sentence(self.path), self.path.open("rb") as file:
            lines = _lines(file)
        return Anchors(self.path, *_examined(lines, self._public()))

    def last(self) -> Anchor | None:
        """Give the last anchor, unexamined; None where there is none; raises AnchorFileError."""
        if not self.path.exists():
            return None
        with _sentence(self.path), self.path.open("rb") as file:
            last = _last(_tail(file))
            return parse(last) if last else None

    def public(self) -> str:
        """Give the public key with which anybody can check the signatures, '' while there is none."""
        key = self._public()
        return key.public_bytes_raw().hex() if key else ""

    def _public(self) -> Ed25519PublicKey | None:
        return self._key().public_key() if self.key_path.exists() else None

    def _key(self) -> Ed25519PrivateKey:
        with _sentence(self.key_path):
            if not self.key_path.exists():
                self.key_path.parent.mkdir(parents=True, exist_ok=True)
                made = Ed25519PrivateKey.generate().private_bytes_raw().hex()
                with os.fdopen(os.open(self.key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(made)
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.key_path.read_text().strip()))

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """Open the file for appending, held against another program that appends at the same time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


@contextmanager
def _sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise AnchorFileError(f"The anchors of the audit record, {path}, cannot be used ({why}).") from None


def _lines(file: IO[bytes]) -> list[bytes]:
    lines = file.read(ANCHORS_MAX * LINE_BYTES_MAX).splitlines()
    if len(lines) > ANCHORS_MAX:
        raise ValueError(f"it has more than {ANCHORS_MAX} lines")
    return lines


def _tail(file: IO[bytes]) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * LINE_BYTES_MAX))
    return file.read()


def _last(tail: bytes) -> bytes:
    """Give the last line that can be read, b"" where there is none."""
    for line in reversed(tail.splitlines()):
        with suppress(ValueError):
            parse(line)
            return line
    return b""


def _examined(lines: list[bytes], key: Ed25519PublicKey | None) -> tuple[tuple[Anchor, ...], tuple[str, ...]]:
    found: list[Anchor] = []
    problems: list[str] = []
    unread: list[str] = []
    previous = ""
    for number, line in enumerate(lines, 1):
        try:
            anchor = parse(line)
        except ValueError as error:
            unread.append(f"Line {number} of the anchors cannot be read ({error}).")
            continue
        if anchor.previous != previous:
            problems += [
                *unread,
                f"The anchor of {anchor.date} does not follow on: a line before it was changed or is gone.",
            ]
        unread.clear()  # what the line after it does not know was torn by a power cut, and said nothing
        problems += _doubts(anchor, found[-1] if found else None, key)
        found.append(anchor)
        previous = hashlib.sha256(line).hexdigest()
    if key is None and found:
        problems.append("The key of the anchors is gone, so that their signatures cannot be checked.")
    return tuple(found), (*problems, *unread)


def _doubts(anchor: Anchor, before: Anchor | None, key: Ed25519PublicKey | None) -> Iterator[str]:
    if key is not None and not _holds(key, anchor):
        yield f"The anchor of {anchor.date} was not signed by this Plantroom."
    if before is not None and anchor.sealed_number < before.sealed_number:
        yield f"The anchor of {anchor.date} saw fewer acts than the one before it: acts were cut off."


def _holds(key: Ed25519PublicKey, anchor: Anchor) -> bool:
    try:
        key.verify(anchor.signature, anchor.signed())
    except InvalidSignature:
        return False
    return True
