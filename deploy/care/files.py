"""The files beside the database that belong to it, and which of them may lie in an archive that anybody can read.

Keys open what lies encrypted in the database, sign its anchors, or speak as any gateway: beside the database they go
only into an archive that is encrypted.  What is the machine's own (settings, TLS certificates of web and broker, the
database's passwords) is made anew there and is in no backup.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy import authority, state
from deploy.anchors import anchor_file
from deploy.settings import Settings
from hub.access import vault

FILE_BYTES_MAX = 32 * 1024 * 1024
PREFIX = "file."
ANCHORS, ANCHOR_KEY, KEYS = "file.anchors", "file.anchor-key", "file.keys"
AUTHORITY = "file.authority@"


class FilesError(Exception):
    """A file of the backup cannot be read or put back: the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file: the name of its part, where it is, whether it is a secret."""

    name: str
    path: Path
    secret: bool


def kept(settings: Settings) -> list[Kept]:
    """Give all files that belong to the database, those too that are not there yet."""
    anchors = anchor_file(settings)
    own = settings.keys_file or settings.data / "keys.json"
    found = [Kept(ANCHORS, anchors.path, secret=False), Kept(ANCHOR_KEY, anchors.key_path, secret=True)]
    found.append(Kept(KEYS, own, secret=True))
    place = authority.folder(settings)
    names = sorted(path.name for path in place.glob("*.pem")) if place.is_dir() else []
    return [*found, *(Kept(AUTHORITY + name, place / name, secret=True) for name in names)]


def read(one: Kept) -> bytes | None:
    """Give what is in a file, None where it is not there; raises FilesError."""
    try:
        with one.path.open("rb") as file:
            body = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FilesError(f"{one.path} cannot be read ({error.strerror}): run as the user of the hub.") from None
    if len(body) > FILE_BYTES_MAX:
        raise FilesError(f"{one.path} is larger than {FILE_BYTES_MAX} bytes, which is no file of ours.")
    return body


def put_back(settings: Settings, found: dict[str, bytes]) -> list[str]:
    """Put the files of an archive where they belong; gives a sentence about each.  Raises FilesError.

    Keys are added to those that are there, for either may be needed.  Any other file that differs is put aside.
    """
    said = []
    places = {one.name: one.path for one in kept(settings)}
    for name, body in sorted(found.items()):
        path = places.get(name) or _of_authority(settings, name)
        if path is None:
            raise FilesError(f"The backup has a file '{name}' that this Plantroom does not know.")
        try:
            said.append(_add_keys(path, body) if name == KEYS else _put(path, body))
        except OSError as error:
            raise FilesError(f"{path} cannot be written ({error.strerror}).") from None
    return said


def _of_authority(settings: Settings, name: str) -> Path | None:
    plain = name.removeprefix(AUTHORITY)
    if plain == name or "/" in plain or not plain.endswith(".pem"):
        return None
    return authority.folder(settings) / plain


def _put(path: Path, body: bytes) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        if path.read_bytes() == body:
            return f"{path} was there already."
        aside = path.with_name(f"{path.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        path.rename(aside)
        state.write_private(path, body.decode())
        return f"{path} came back; what was there is {aside.name} now."
    state.write_private(path, body.decode())
    return f"{path} came back."


def _add_keys(path: Path, body: bytes) -> str:
    """Add the keys of the backup to those that are there, whose newest stays the newest."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(path.name + ".restored")
    state.write_private(part, body.decode())
    try:
        came = vault.read(part)
    finally:
        part.unlink()
    here = vault.read(path).keys if path.exists() else {}
    state.write_private(path, vault.Keys({**came.keys, **here}).written())
    return f"{path} holds {len(came.keys | here)} keys, those of the backup among them."


def missing(settings: Settings, names: Iterable[str]) -> list[Path]:
    """Give the secret files that belong to this Plantroom and are not among ``names``."""
    inside = set(names)
    return [one.path for one in kept(settings) if one.secret and one.name not in inside and one.path.exists()]
