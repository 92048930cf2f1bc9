"""The chain of hashes: each act's hash covers what it says and the hash of the act before it."""

import hashlib
import json
from datetime import UTC

from hub.audit.rows import Seal, Sealed, Unsealed
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)
SEAL_BATCH = 1_000
GENESIS = Seal(0, bytes(32))


def said(entry: Unsealed) -> str:
    """Give the text that an act's hash covers: everything that the act says, in the form of its time.

    ``details`` goes into format 2 as the database's own text, so that nothing depends on how numbers are read.
    """
    if entry.format == 1:
        return _said_first(entry)
    told = {
        "format": entry.format,
        "id": entry.id,
        "organisation": entry.organisation_id,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "on_behalf_of": entry.on_behalf_of,
        "address": entry.address,
        "request_id": entry.request_id,
        "action": entry.action,
        "entity": entry.entity,
        "entity_id": entry.entity_id,
        "details": entry.details,
        "reason": entry.reason,
    }
    return json.dumps(told, ensure_ascii=False)


def _said_first(entry: Unsealed) -> str:
    """Give the text of format 1, which knew neither address nor reason."""
    who_what = [entry.actor, entry.action, entry.entity, entry.entity_id]
    told = [entry.id, entry.organisation_id, entry.at.astimezone(UTC).isoformat(), *who_what, json.loads(entry.details)]
    return json.dumps(told, sort_keys=True, ensure_ascii=False)


def link(previous: bytes, entry: Unsealed) -> bytes:
    """Give SHA-256 over the hash of the act before and the text of this one."""
    return hashlib.sha256(previous + said(entry).encode()).digest()


async def seal(tx: Transaction) -> int:
    """Take up to SEAL_BATCH new acts into the chain and give how many; runs under Role.SEALER."""
    await tx.run(SQL["lock_chain"])
    last = await tx.maybe(Seal, SQL["last_seal"]) or GENESIS
    waiting = await tx.all(Unsealed, SQL["unsealed"], {"most": SEAL_BATCH})
    seals = []
    for entry in waiting:
        last = Seal(last.sealed_number + 1, link(last.hash, entry))
        seals.append({"id": entry.id, "number": last.sealed_number, "hash": last.hash})
    if seals:
        await tx.run_many(SQL["seal"], seals)
    return len(seals)


async def verify(tx: Transaction) -> tuple[int, str]:
    """Walk the whole chain under Role.SEALER; give how many acts hold, and a sentence where it breaks ('' if not)."""
    last = GENESIS
    while batch := await tx.all(Sealed, SQL["sealed_after"], {"after": last.sealed_number, "most": SEAL_BATCH}):
        for entry in batch:
            if entry.sealed_number != last.sealed_number + 1:
                return last.sealed_number, f"Audit entry no. {last.sealed_number + 1} is gone."
            if entry.hash != link(last.hash, entry):
                return last.sealed_number, f"Audit entry no. {entry.sealed_number} was changed after it was written."
            last = Seal(entry.sealed_number, entry.hash)
    return last.sealed_number, ""
