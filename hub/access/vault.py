"""The vault: what must be read again (TOTP seeds and the like) lies in the database under a key that does not.

AES-256-GCM with a random 96-bit nonce.  The associated data is the table and the row: a value that somebody moved to
another row does not open.  A sealed value is ``1, length of the key's id, id, nonce, ciphertext and tag``; the newest
key seals, any key of the file opens.  Old keys stay in the file: old backups need them.
"""

import base64
import binascii
import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import UnavailableError

KEY_BYTES = 32
NONCE_BYTES = 12
FORM = 1


class KeysError(Exception):
    """The file of keys cannot be used; the sentence says why and what to do."""


class BrokenSealError(Exception):
    """A sealed value was changed, or moved to another row."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by their ids, the newest last."""

    keys: dict[str, bytes] = field(repr=False)

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return next(reversed(self.keys))

    def written(self) -> str:
        """Give the text of the file."""
        said = [{"id": name, "key": base64.b64encode(key).decode()} for name, key in self.keys.items()]
        return json.dumps({"keys": said}, indent=1) + "\n"


def make(now: datetime) -> Keys:
    """Give a first key."""
    return Keys({f"{now:%Y%m%d}-{secrets.token_hex(2)}": secrets.token_bytes(KEY_BYTES)})


def add(keys: Keys, now: datetime) -> Keys:
    """Give the keys with a newer one."""
    return Keys(keys.keys | make(now).keys)


def read(path: Path) -> Keys:
    """Read a file of keys; raises KeysError."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeysError(f"Others can read the keys in {path}; close the file with: chmod 600 {path}")
        said = json.loads(path.read_text("utf-8"))["keys"]
        found = {str(one["id"]): base64.b64decode(one["key"], validate=True) for one in said}
    except OSError as error:
        raise KeysError(f"The keys in {path} cannot be read ({error.strerror}); put the file back there.") from None
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise KeysError(f"{path} is not a file of keys; put the right one back.") from None
    if not found or any(len(key) != KEY_BYTES for key in found.values()) or "" in found:
        raise KeysError(f"{path} holds no key of {KEY_BYTES} bytes; put the right file back.")
    return Keys(found)


class Vault:
    """Seals and opens; reads its file again when that changed, so that a new key holds at once in every program."""

    def __init__(self, keys: Keys, path: Path | None = None) -> None:
        self._keys = keys
        self._path = path
        self._seen = _stamp(path)

    @classmethod
    def of(cls, path: Path) -> "Vault":
        """Give the vault of a file; raises KeysError."""
        return cls(read(path), path)

    @classmethod
    def passing(cls) -> "Vault":
        """Give a vault with a key of its own that ends with the process."""
        return cls(Keys({"passing": secrets.token_bytes(KEY_BYTES)}))

    @property
    def newest(self) -> str:
        """The id of the key that seals now."""
        return self._current().newest

    def seal(self, plain: bytes, table: str, row: object) -> bytes:
        """Encrypt for one row of one table."""
        keys = self._current()
        name, nonce = keys.newest.encode(), os.urandom(NONCE_BYTES)
        head = bytes((FORM, len(name))) + name
        return head + nonce + AESGCM(keys.keys[keys.newest]).encrypt(nonce, plain, _where(table, row))

    def open(self, sealed: bytes, table: str, row: object) -> bytes:
        """Decrypt; raises BrokenSealError, or UnavailableError where the key is not here."""
        name, rest = key_of(sealed), sealed[2 + sealed[1] :]
        key = self._current().keys.get(name)
        if key is None:
            raise UnavailableError(f"The key '{name}' is not among ours; put the file of keys back that holds it.")
        try:
            return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _where(table, row))
        except InvalidTag:
            raise BrokenSealError(f"A sealed value of {table} does not open under its key.") from None

    def _current(self) -> Keys:
        stamp = _stamp(self._path)
        if self._path is not None and stamp != self._seen:
            self._keys, self._seen = read(self._path), stamp
        return self._keys


def key_of(sealed: bytes) -> str:
    """Give the id of the key under which a value lies; raises BrokenSealError."""
    if len(sealed) < 2 + NONCE_BYTES or sealed[0] != FORM:
        raise BrokenSealError("A sealed value is not of the agreed form.")
    return sealed[2 : 2 + sealed[1]].decode(errors="replace")


def _where(table: str, row: object) -> bytes:
    return f"{table}\0{row}".encode()


def _stamp(path: Path | None) -> int:
    try:
        return path.stat().st_mtime_ns if path else 0
    except OSError:
        return 0
