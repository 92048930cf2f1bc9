"""The second factor: time-based codes (TOTP, RFC 6238) of a telephone, and recovery codes on paper for when it is lost.

SHA-1, six digits and 30 seconds are what every authenticator understands.  Only the code of the running 30 seconds is
taken, and each once.  The seed (160 bits, RFC 4226, 4) lies sealed in the database; recovery codes have 120 random bits
and are kept as hashes.
"""

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime
from uuid import UUID

import pyotp

from hub.access import invitation, password, session
from hub.access.rows import Invitation, Seed
from hub.access.vault import BrokenSealError, Vault
from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

STEP_S = 30
DIGITS = 6
SEED_BYTES = 20
RECOVERY_CODES = 10
RECOVERY_BYTES = 16  # 26 characters of base32
RECOVERY_CHARACTERS = 26
ISSUER = "Plantroom"

_CODE = re.compile(rf"\d{{{DIGITS}}}")
_RECOVERY_CODE = re.compile(rf"[a-z2-7]{{{RECOVERY_CHARACTERS}}}")


def new_seed() -> bytes:
    """Give a seed."""
    return secrets.token_bytes(SEED_BYTES)


def offer(vault: Vault, seed: bytes, session_id: UUID | None) -> str:
    """Seal a seed for the form that proves it: it is nobody's until somebody in this session gives a code of it."""
    return base64.urlsafe_b64encode(vault.seal(seed, "offered seed", session_id)).decode()


def offered(vault: Vault, sealed: str, session_id: UUID | None) -> bytes:
    """Give the seed that was offered in this session; raises InvalidError for anything else."""
    try:
        return vault.open(base64.urlsafe_b64decode(sealed), "offered seed", session_id)
    except (ValueError, BrokenSealError):
        raise InvalidError("This form is out of date; open the page again.") from None


def key(seed: bytes) -> str:
    """Give the seed as people type it into an authenticator."""
    return base64.b32encode(seed).decode()


def address(seed: bytes, login: str) -> str:
    """Give what the QR code says, an otpauth:// address."""
    return pyotp.TOTP(key(seed)).provisioning_uri(name=login, issuer_name=ISSUER)


def step_of(now: datetime) -> int:
    """Give the number of the 30 seconds that ``now`` lies in."""
    return int(now.timestamp()) // STEP_S


def code(seed: bytes, step: int) -> str:
    """Give the code of a step (RFC 6238, 4)."""
    return pyotp.TOTP(key(seed), digits=DIGITS).generate_otp(step)


def fits(seed: bytes, said: str, now: datetime) -> bool:
    """Whether a code is that of the running step."""
    return hmac.compare_digest(code(seed, step_of(now)).encode(), said.encode("utf-8", "surrogatepass"))


def _compact(said: str) -> str:
    return said.translate({ord(one): None for one in " -\t\u3000\xa0"}).lower()


async def prove(tx: Transaction, vault: Vault, user_id: UUID, said: str, now: datetime) -> str | None:
    """Use up a code: gives which factor it proves, 'totp' or 'recovery', None for a wrong or used one.

    Runs under Role.DOOR.  A code is used in the statement that accepts it: of two at once, one wins.
    """
    given = _compact(said)
    if _CODE.fullmatch(given):
        return "totp" if await _use_totp(tx, vault, user_id, given, now) else None
    if _RECOVERY_CODE.fullmatch(given):
        used = {"user": user_id, "hash": _digest(user_id, given), "now": now}
        if await tx.run(SQL["use_recovery_code"], used):
            await audit.record(tx, "used a recovery code", "user", user_id, {"left": await left(tx, user_id)})
            return "recovery"
    return None


async def _use_totp(tx: Transaction, vault: Vault, user_id: UUID, given: str, now: datetime) -> bool:
    kept = await tx.maybe(Seed, SQL["seed"], {"user": user_id})
    if kept is None or not fits(vault.open(kept.totp_seed, "credentials", user_id), given, now):
        return False
    return bool(await tx.run(SQL["use_step"], {"user": user_id, "step": step_of(now)}))


async def set_up(
    tx: Transaction, vault: Vault, user_id: UUID, seed: bytes, said: str, now: datetime, *, instead: bool = False
) -> list[str]:
    """Make a seed the user's, who proves with a code that his telephone has it; gives his recovery codes, once.

    ``instead`` of another that he has.  Raises InvalidError for a wrong code, ConflictError where there is one already.
    """
    if not fits(seed, _compact(said), now):
        raise InvalidError(
            "This code does not fit; check the time of the telephone, wait for the next code, try again."
        )
    async with tx.under(Role.DOOR):
        sealed = vault.seal(seed, "credentials", user_id)
        values = {"user": user_id, "seed": sealed, "step": step_of(now), "now": now, "instead": instead}
        if not await tx.run(SQL["set_seed"], values):
            raise ConflictError("A second factor is set up already; sign in with it to change it.")
        await audit.record(tx, "set up the second factor", "user", user_id)
        return await _new_codes(tx, user_id)


async def renew_codes(tx: Transaction, user_id: UUID) -> list[str]:
    """Give ten new recovery codes, once; the old ones open nothing any more."""
    async with tx.under(Role.DOOR):
        await audit.record(tx, "made new recovery codes", "user", user_id)
        return await _new_codes(tx, user_id)


async def _new_codes(tx: Transaction, user_id: UUID) -> list[str]:
    made = [_code_of(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
    await tx.run(SQL["drop_recovery_codes"], {"user": user_id})
    rows = [{"organisation": tx.organisation, "user": user_id, "hash": _digest(user_id, one)} for one in made]
    await tx.run_many(SQL["add_recovery_code"], rows)
    return ["-".join(one[i : i + 4] for i in range(0, RECOVERY_CHARACTERS, 4)) for one in made]


def _code_of(chance: bytes) -> str:
    return base64.b32encode(chance).decode().rstrip("=").lower()


async def left(tx: Transaction, user_id: UUID) -> int:
    """Give how many recovery codes somebody still has."""
    async with tx.under(Role.DOOR):
        return int(await tx.value(SQL["count_recovery_codes"], {"user": user_id}))


async def give_up(tx: Transaction, user_id: UUID) -> None:
    """Go without a second factor from now on; whether he may is for the caller to ask the policy."""
    async with tx.under(Role.DOOR):
        await _forget(tx, user_id)
        await audit.record(tx, "gave up the second factor", "user", user_id)


async def remove(tx: Transaction, user_id: UUID, reason: str, now: datetime) -> Invitation:
    """Let somebody start anew who has lost his second factor and his recovery codes; gives the link to do it by.

    Factor, recovery codes, password and sessions end: who holds only one of them comes in no more.  Raises
    InvalidError without a ``reason``, NotFoundError for nobody of this organisation.
    """
    async with tx.under(Role.DOOR):
        if not await _forget(tx, user_id):
            raise NotFoundError("There is no such user.")
        await password.keep(tx, user_id, None, now)
        await audit.record(tx, "removed the second factor", "user", user_id, reason=reason)
        await session.end_all(tx, user_id)
    return await invitation.make(tx, user_id, "invitation", now)


async def _forget(tx: Transaction, user_id: UUID) -> bool:
    found = await tx.run(SQL["drop_seed"], {"user": user_id, "organisation": tx.organisation})
    await tx.run(SQL["drop_recovery_codes"], {"user": user_id})
    return bool(found)


async def seal_again(tx: Transaction, vault: Vault) -> int:
    """Put every seed under the newest key and give how many there are; runs under Role.DOOR."""
    kept = await tx.all(Seed, SQL["seeds"])
    for one in kept:
        plain = vault.open(one.totp_seed, "credentials", one.user_id)
        sealed = {"user": one.user_id, "old": one.totp_seed, "seed": vault.seal(plain, "credentials", one.user_id)}
        await tx.run(SQL["seal_seed_again"], sealed)
        tx.organisation = one.organisation_id
        await audit.record(tx, "put the second factor under another key", "user", one.user_id)
    return len(kept)


def _digest(user_id: UUID, given: str) -> bytes:
    return hashlib.sha256(user_id.bytes + given.encode()).digest()
