"""Passwords: hashed off the event loop, judged by how soon they would be guessed, not taken twice.

Argon2id with the parameters of OWASP's minimum (19 MiB, 2 passes, 1 lane; RFC 9106 explains them): some 20 ms of a core
on the smallest machine that we know.  One thread for every two cores hashes, so that it takes WORKERS × 19 MiB; the
parameters stand in every hash, and a sign-in under older ones renews it.

A password has 10 to 128 characters, whichever, as they are: never cut, never folded, never due to be changed.
"""

import os
import secrets
import threading
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from hub.access.rows import Word
from hub.audit import service as audit
from hub.errors import InvalidError
from hub.store.database import Role, Transaction
from hub.store.sql import queries
from hub.workers import Workers

SQL = queries(__package__)

CHARACTERS_MIN = 10
CHARACTERS_MAX = 128
SCORE_MIN = 3  # of zxcvbn: more than 10^8 guesses
JUDGED_CHARACTERS = 32  # zxcvbn's time grows with the cube; a beginning that is strong enough makes the whole so
WORD_CHARACTERS_MIN = 3  # shorter words around the user may stand in a password by chance
HISTORY = 5  # the present one and those before it that cannot be taken again
# Words that everybody would try here; policy.md prints them.
CONTEXT_WORDS = (
    "plantroom", "password", "facility", "building", "property", "landlord", "tenant", "technician", "engineer",
    "administrator", "manager", "billing", "security", "auditor", "contractor", "integration", "admin",
)  # fmt: skip

PASSES, MEMORY_KIB, LANES = 2, 19 * 1024, 1
CORES_PER_WORKER = 2  # hashing never takes more than half of the machine: pages go on
WORKERS = max(1, (os.cpu_count() or 1) // CORES_PER_WORKER)
QUEUE_MAX = 40  # of each worker: a second's work and less
BUSY = "Too many people are signing in right now; try again in a few seconds."

LENGTH = f"A password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters; choose a longer or shorter one."
WEAK = "This password would soon be guessed; choose another, for example four words that have nothing to do with you."
KNOWN = "This password stands in lists of stolen ones; choose another."
TAKEN_BEFORE = f"This is one of your last {HISTORY} passwords; choose a new one."

_hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)
HASHERS = Workers("password", WORKERS, WORKERS * QUEUE_MAX, BUSY, nice=5)
_zxcvbn = threading.Lock()  # it keeps the words of a call in a global


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def check(password_hash: str, password: str) -> tuple[bool, str | None]:
    """Whether a password is right, and its hash under today's parameters where the one kept is of older ones."""
    try:
        _hasher.verify(password_hash, _bytes(password))
    except (VerifyMismatchError, InvalidHashError):
        return False, None
    return True, _hasher.hash(_bytes(password)) if _hasher.check_needs_rehash(password_hash) else None


@cache
def nobody() -> str:
    """Give a hash that is checked for names that nobody has, so that they take as long as others."""
    return _hasher.hash(secrets.token_hex())


def fault(password: str, words: Iterable[str] = ()) -> str:
    """Give why a password is not strong enough, '' if it is; ``words`` are what somebody who knows its owner tries."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        return LENGTH
    if password.lower() in _stolen():
        return KNOWN
    tried = sorted({part.lower() for word in (*words, *CONTEXT_WORDS) for part in (word, *word.split()) if part})
    judged = _without(password.lower(), tried)[:JUDGED_CHARACTERS]
    with _zxcvbn:
        score = int(zxcvbn(judged, user_inputs=tried)["score"]) if judged else 0
    return "" if score >= SCORE_MIN else WEAK


def _without(password: str, words: Iterable[str]) -> str:
    """Give what is left of a password without the words that everybody tries; zxcvbn finds three of them strong."""
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= WORD_CHARACTERS_MIN or not word.isascii():
            password = password.replace(word, "")
    return password


@cache
def _stolen() -> frozenset[str]:
    return frozenset(FREQUENCY_LISTS["passwords"])


def _hash_if_strong(password: str, words: Iterable[str], before: Iterable[str]) -> str:
    why = fault(password, words)
    if why:
        raise InvalidError(why)
    if any(check(one, password)[0] for one in before):
        raise InvalidError(TAKEN_BEFORE)
    return _hasher.hash(_bytes(password))


async def hashed(password: str, words: Iterable[str], before: Iterable[str] = ()) -> str:
    """Give the hash of a new password; raises InvalidError for one that is weak or was taken before."""
    return await HASHERS.run(_hash_if_strong, password, tuple(words), tuple(before))


async def words(tx: Transaction, user_id: UUID | None = None) -> list[str]:
    """Give what stands around a user: his login, name and address, the names of organisation and sites."""
    return [row.word for row in await tx.all(Word, SQL["words"], {"user": user_id}) if row.word]


async def before(tx: Transaction, user_id: UUID) -> list[str]:
    """Give the hashes of the passwords that a user cannot take again, the present one first; runs under Role.DOOR."""
    kept = {"user": user_id, "most": HISTORY - 1}
    return [row.word for row in await tx.all(Word, SQL["past_passwords"], kept)]


async def keep(tx: Transaction, user_id: UUID, password_hash: str | None, now: datetime) -> None:
    """Make it the user's password, None for none at all; the one before goes into the history.  Under Role.DOOR."""
    await tx.run(SQL["retire_password"], {"user": user_id, "now": now})
    await tx.run(SQL["set_password"], {"user": user_id, "hash": password_hash, "now": now})
    await tx.run(SQL["forget_old_passwords"], {"user": user_id, "most": HISTORY - 1})


async def change(tx: Transaction, user_id: UUID, password_hash: str, now: datetime, *, how: str) -> None:
    """Keep a new password and record it; runs under any role."""
    async with tx.under(Role.DOOR):
        await keep(tx, user_id, password_hash, now)
        await audit.record(tx, "changed the password", "user", user_id, {"how": how})
