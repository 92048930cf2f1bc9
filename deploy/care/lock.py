"""The lock of an archive: AES-256-GCM under a key that scrypt (RFC 7914) makes of a passphrase.

Each piece has its number in the archive as nonce and as associated data: none can be changed, left out or moved.  The
salt is new for each archive, so a number never meets the same key twice.
"""

import base64
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

SALT_BYTES = 16
KEY_BYTES = 32
NONCE_BYTES = 12
COST = {"n": 2**15, "r": 8, "p": 1}  # 32 MiB and a tenth of a second for each guess
COST_MAX = {"n": 2**20, "r": 16, "p": 4}  # what an archive may ask of us
PASSPHRASE_LEAST = 12  # characters


class WrongPassphraseError(Exception):
    """The passphrase does not open this archive, or cannot be used for one: the sentence says which."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A key and how it was made."""

    _key: bytes = field(repr=False)
    salt: bytes
    cost: dict[str, int]

    @classmethod
    def new(cls, passphrase: str) -> "Lock":
        """Make one with a salt of its own; raises WrongPassphraseError for one that is too short."""
        if len(passphrase) < PASSPHRASE_LEAST:
            raise WrongPassphraseError(f"The passphrase is too short; take at least {PASSPHRASE_LEAST} characters.")
        salt = os.urandom(SALT_BYTES)
        return cls(_derived(passphrase, salt, COST), salt, COST)

    @classmethod
    def of(cls, passphrase: str, said: dict[str, Any]) -> "Lock":
        """Make the one of an archive from what its head says; raises WrongPassphraseError."""
        try:
            salt = base64.b64decode(said["salt"], validate=True)
            cost = {name: int(said[name]) for name in COST}
        except (KeyError, ValueError, TypeError):
            raise WrongPassphraseError("The backup is damaged: its head does not say how it is encrypted.") from None
        if any(not 1 <= cost[name] <= most for name, most in COST_MAX.items()) or cost["n"] & (cost["n"] - 1):
            raise WrongPassphraseError("The backup is damaged: its head asks for a lock of no form of ours.")
        return cls(_derived(passphrase, salt, cost), salt, cost)

    def said(self) -> dict[str, Any]:
        """Give what the head says of it."""
        return {"cipher": "AES-256-GCM", "kdf": "scrypt", "salt": base64.b64encode(self.salt).decode(), **self.cost}

    def seal(self, plain: bytes, number: int) -> bytes:
        """Encrypt piece ``number``."""
        return AESGCM(self._key).encrypt(number.to_bytes(NONCE_BYTES, "big"), plain, str(number).encode())

    def open(self, sealed: bytes, number: int) -> bytes:
        """Decrypt piece ``number``; raises WrongPassphraseError."""
        try:
            return AESGCM(self._key).decrypt(number.to_bytes(NONCE_BYTES, "big"), sealed, str(number).encode())
        except InvalidTag:
            raise WrongPassphraseError(
                "The passphrase does not open this backup, or its beginning is damaged."
            ) from None


def _derived(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, **cost).derive(passphrase.encode())
