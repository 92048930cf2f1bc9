"""The file of a backup: a tar archive that is written and read in one pass, a piece at a time.

Members in order: ``head.json`` (what it is, how it is encrypted), the pieces of each part (``users/000001.gz``, COPY
text, gzip), ``manifest.json`` (hash, rows and bytes of every part) and ``seal.json`` (the hash of all bytes before it).
With a passphrase everything but head and seal is encrypted, piece by piece (deploy/care/lock.py), so what is cut off,
changed or moved to another place does not open.  Without one, ``tar`` and ``gunzip`` are all that is needed to read it.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from deploy.care.lock import Lock, WrongPassphraseError

FORM = 1
BLOCK = 512
PIECE_BYTES = 4 * 1024 * 1024  # of a part, before compression
MEMBER_BYTES_MAX = 64 * 1024 * 1024  # larger is no member of ours; a row is at most some megabytes
PIECES_MAX = 10_000_000
HEAD, MANIFEST, SEAL = "head.json", "manifest.json", "seal.json"
COMPRESSION = 1  # the fast end: the network and the disk are slower
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,90}")


class ArchiveError(Exception):
    """An archive cannot be used: the sentence says what is wrong with it and where."""


@dataclass(slots=True)
class Part:
    """What an archive holds of one table or file; ``size`` (bytes) and ``sha256`` are of it before compression."""

    name: str
    rows: int = 0
    size: int = 0
    pieces: int = 0
    sha256: str = ""
    columns: list[str] = field(default_factory=list)  # of a table, in the order of its lines


@dataclass(frozen=True, slots=True)
class Manifest:
    """All parts, and what ``said`` adds: sequences, partitions, counts."""

    parts: dict[str, Part]
    said: dict[str, Any]

    def written(self) -> bytes:
        """Give it as JSON."""
        return json.dumps({"parts": [asdict(part) for part in self.parts.values()], **self.said}).encode()


class Writer:
    """Writes an archive to a stream; ``close`` makes it whole."""

    def __init__(self, target: IO[bytes], head: Mapping[str, Any], lock: Lock | None) -> None:
        self._target = target
        self._lock = lock
        self._hash = hashlib.sha256()
        self._index = 0
        self.size = 0
        self.parts: dict[str, Part] = {}
        self._running = hashlib.sha256()
        told = {"plantroom": "backup", "form": FORM, "encryption": lock.said() if lock else None, **head}
        self._head = json.dumps(told, ensure_ascii=False).encode()
        self._member(HEAD, self._head)

    def begin(self, name: str) -> None:
        """Begin the next part."""
        if not _NAME.fullmatch(name) or name in self.parts:
            raise ArchiveError(f"'{name}' cannot name a part of an archive.")
        self.parts[name] = Part(name)
        self._running = hashlib.sha256()

    def add(self, piece: bytes, rows: int = 0) -> None:
        """Add a piece to the part that was begun last."""
        part = next(reversed(self.parts.values()))
        part.pieces, part.rows, part.size = part.pieces + 1, part.rows + rows, part.size + len(piece)
        self._running.update(piece)
        part.sha256 = self._running.hexdigest()
        packed = gzip.compress(piece, COMPRESSION, mtime=0)
        self._member(f"{part.name}/{part.pieces:07}.gz", self._locked(packed))

    def close(self, said: Mapping[str, Any]) -> Manifest:
        """Write manifest and seal."""
        manifest = Manifest(self.parts, {**said, "head": hashlib.sha256(self._head).hexdigest()})
        self._member(MANIFEST, self._locked(manifest.written()))
        self._member(SEAL, json.dumps({"sha256": self._hash.hexdigest()}).encode())
        self._write(bytes(2 * BLOCK))
        self._target.flush()
        return manifest

    def _locked(self, plain: bytes) -> bytes:
        self._index += 1
        return self._lock.seal(plain, self._index) if self._lock else plain

    def _member(self, name: str, body: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(body), 0o600
        self._write(info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % BLOCK))

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._target.write(data)


@dataclass(slots=True)
class Reader:
    """Reads an archive in one pass; every piece that it gives is whole, and at the end everything was there.

    ``passphrase`` opens an encrypted one.  Raises ArchiveError, which names the part, for anything else.
    """

    source: IO[bytes]
    passphrase: str = field(default="", repr=False)
    head: dict[str, Any] = field(init=False)
    manifest: Manifest | None = field(default=None, init=False)
    size: int = field(default=0, init=False)
    _hash: Any = field(default_factory=hashlib.sha256, init=False, repr=False)
    _lock: Lock | None = field(default=None, init=False, repr=False)
    _index: int = field(default=0, init=False)
    _last: str = field(default="", init=False)
    _head_sha256: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Read the head; raises ArchiveError for what is no archive of ours, and WrongPassphraseError."""
        first = self._member()
        if first is None or first[0] != HEAD:
            raise ArchiveError("This is not a backup of Plantroom.")
        self._head_sha256 = hashlib.sha256(first[1]).hexdigest()
        self.head = _json(first[1], "the head")
        if self.head.get("plantroom") != "backup":
            raise ArchiveError("This is not a backup of Plantroom, or its beginning is damaged.")
        if self.head.get("form") != FORM:
            raise ArchiveError("This backup is of a form that this Plantroom does not know; use a newer one.")
        encryption = self.head.get("encryption")
        if encryption:
            if not self.passphrase:
                raise WrongPassphraseError("This backup is encrypted; give its passphrase with --passphrase-file.")
            self._lock = Lock.of(self.passphrase, encryption)

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """Give the name of the part and each of its pieces; at the end all of them were whole."""
        seen: dict[str, Part] = {}
        running = hashlib.sha256()
        while (member := self._member()) is not None and member[0] != MANIFEST:
            name, _, number = member[0].partition("/")
            if name not in seen:
                seen[name], running = Part(name), hashlib.sha256()
            self._last = name
            part = seen[name]
            piece = _unpacked(self._opened(member[1], name), name)
            part.pieces, part.size = part.pieces + 1, part.size + len(piece)
            if number != f"{part.pieces:07}.gz" or name != next(reversed(seen)):
                raise ArchiveError(f"The backup is damaged: a piece of '{name}' is missing before {member[0]}.")
            running.update(piece)
            part.sha256 = running.hexdigest()
            yield name, piece
        if member is None:
            raise self._torn()
        self._finish(member[1], seen)

    def _finish(self, body: bytes, seen: dict[str, Part]) -> None:
        sealed = self._hash.hexdigest()  # of everything so far
        seal = self._member()
        if seal is None or seal[0] != SEAL or _json(seal[1], "the seal").get("sha256") != sealed:
            raise ArchiveError("The backup is damaged: its seal does not hold.")
        told = _json(self._opened(body, "manifest"), "the manifest")
        promised = {one["name"]: Part(**one) for one in told.pop("parts")}
        for name, part in promised.items():
            got = seen.get(name)
            empty = part.pieces == 0 and got is None
            if not empty and (got is None or got.sha256 != part.sha256 or got.pieces != part.pieces):
                raise ArchiveError(f"The backup is damaged: '{name}' is not what its manifest says.")
        if told.get("head") != self._head_sha256 or seen.keys() - promised.keys():
            raise ArchiveError("The backup is damaged: head and manifest do not belong together.")
        self.manifest = Manifest(promised, told)

    def _opened(self, body: bytes, name: str) -> bytes:
        self._index += 1
        if self._lock is None:
            return body
        try:
            return self._lock.open(body, self._index)
        except WrongPassphraseError:
            if self._index == 1:
                raise
            raise ArchiveError(f"The backup is damaged: a piece of '{name}' does not open.") from None

    def _member(self) -> tuple[str, bytes] | None:
        """Give the next member; None at the end of the archive."""
        block = self._read(BLOCK)
        if not block.strip(b"\0"):
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except tarfile.HeaderError:
            if not self._last:
                raise ArchiveError("This is not a backup of Plantroom, or its beginning is damaged.") from None
            raise ArchiveError(f"The backup is damaged behind a piece of '{self._last}'.") from None
        if info.size > MEMBER_BYTES_MAX:
            raise ArchiveError(f"The backup is damaged: '{info.name}' is said to be {info.size} bytes long.")
        body = self._read(info.size)
        if self._read(-info.size % BLOCK).strip(b"\0"):
            raise ArchiveError(f"The backup is damaged behind '{info.name}'.")
        return info.name, body

    def _read(self, size: int) -> bytes:
        data = self.source.read(size)
        if len(data) != size:
            raise self._torn()
        self._hash.update(data)
        self.size += size
        return data

    def _torn(self) -> ArchiveError:
        where = f"; the last whole piece is of '{self._last}'" if self._last else ""
        return ArchiveError(f"The backup is cut off after {self.size} bytes{where}. Fetch the whole file again.")


def _unpacked(packed: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            piece = file.read(MEMBER_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error):
        raise ArchiveError(f"The backup is damaged: a piece of '{name}' does not unpack.") from None
    if len(piece) > MEMBER_BYTES_MAX:
        raise ArchiveError(f"The backup is damaged: a piece of '{name}' is larger than any of ours.")
    return piece


def _json(body: bytes, what: str) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ArchiveError(f"The backup is damaged: {what} cannot be read.")
    return told
