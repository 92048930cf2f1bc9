"""Write, chain and verify the audit record."""

import hashlib
import json
from datetime import UTC
from typing import Any

from psycopg.types.json import Jsonb

from hub.audit.rows import Entry, Seal, Sealed, Unsealed
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)
SEAL_BATCH = 1_000
GENESIS = Seal(0, bytes(32))


async def record(
    tx: Transaction, action: str, entity: str, entity_id: object, details: dict[str, Any] | None = None
) -> None:
    """Record that the transaction's actor did ``action``; ``details`` holds before and after, without secrets."""
    await tx.run(
        SQL["record"],
        {
            "organisation": tx.organisation,
            "actor": tx.actor.name,
            "action": action,
            "entity": entity,
            "entity_id": str(entity_id),
            "details": Jsonb(details or {}),
        },
    )


def differences(before: object, after: object, *names: str) -> dict[str, list[str]]:
    """Give those of the named attributes that changed, each with its value before and after, as details of an act."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return {name: [str(was), str(now)] for name, was, now in pairs if was != now}


async def of_entity(tx: Transaction, entity: str, entity_id: object, most: int = 200) -> list[Entry]:
    """Give the life of one record, newest act first."""
    return await tx.all(Entry, SQL["of_entity"], {"entity": entity, "entity_id": str(entity_id), "most": most})


async def seal(tx: Transaction) -> int:
    """Take up to SEAL_BATCH new acts into the chain and give how many; runs under Role.SEALER."""
    await tx.run(SQL["lock_chain"])
    last = await tx.maybe(Seal, SQL["last_seal"]) or GENESIS
    waiting = await tx.all(Unsealed, SQL["unsealed"], {"most": SEAL_BATCH})
    seals = []
    for entry in waiting:
        last = Seal(last.sealed_number + 1, chain(last.hash, entry))
        seals.append({"id": entry.id, "number": last.sealed_number, "hash": last.hash})
    if seals:
        await tx.run_many(SQL["seal"], seals)
    return len(seals)


async def verify(tx: Transaction) -> tuple[int, str]:
    """Walk the whole chain under Role.SEALER; give how many acts hold, and a sentence where it breaks ('' if not).

    A change and a gap are found.  Acts cut off at the end are not: whoever can do that (the database's superuser) is
    found out only by the number of acts that an earlier verification gave.
    """
    last = GENESIS
    while batch := await tx.all(Sealed, SQL["sealed_after"], {"after": last.sealed_number, "most": SEAL_BATCH}):
        for entry in batch:
            if entry.sealed_number != last.sealed_number + 1:
                return last.sealed_number, f"Audit entry no. {last.sealed_number + 1} is gone."
            if entry.hash != chain(last.hash, entry):
                return last.sealed_number, f"Audit entry no. {entry.sealed_number} was changed after it was written."
            last = Seal(entry.sealed_number, entry.hash)
    return last.sealed_number, ""


def chain(previous: bytes, entry: Unsealed) -> bytes:
    """Give SHA-256 over the previous hash and everything that the entry says."""
    at = entry.at.astimezone(UTC).isoformat()
    said = [
        entry.id,
        entry.organisation_id,
        at,
        entry.actor,
        entry.action,
        entry.entity,
        entry.entity_id,
        entry.details,
    ]
    return hashlib.sha256(previous + json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).digest()
