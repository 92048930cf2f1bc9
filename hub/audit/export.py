"""The record for an auditor outside: every act with its hash and the very text that the hash covers.

``hash = sha256(previous hash + text)``: whoever has the file needs nothing of ours to compute the chain again; the
recipe is in deploy/security/audit.md.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hub.audit import service as audit
from hub.audit.anchor import AnchorFile
from hub.audit.chain import GENESIS, SEAL_BATCH, SQL, said
from hub.audit.rows import Concerned, Seal, Sealed, Span
from hub.errors import NotFoundError
from hub.store.database import Actor, Database, Role, Transaction


async def exported(
    database: Database, actor: Actor, since: datetime, until: datetime, anchors: AnchorFile
) -> AsyncIterator[str]:
    """Give the lines of an export of all organisations: a head, every act from ``since`` up to ``until``, the anchors.

    Acts in between that are older or newer come along, for the chain has no gaps.  The export is itself recorded in
    every organisation that it concerns, before the first line is given.  Raises NotFoundError for a time without acts.
    """
    seen = anchors.read()
    async with database.transaction(None, actor, Role.SEALER) as tx:
        span = await tx.one(Span, SQL["span"], {"since": since, "until": until}, what="act")
        if span.first is None or span.last is None:
            raise NotFoundError("Nothing was done in that time that is in the chain already.")
        concerned = await tx.all(Concerned, SQL["concerned"], {"first": span.first, "last": span.last})
        before = await tx.maybe(Seal, SQL["seal_of"], {"number": span.first - 1}) or GENESIS
    told = {"from": _time(since), "to": _time(until), "first": span.first, "last": span.last}
    for one in concerned:
        await _record(database, actor, one.organisation_id, told)
    yield _line({**told, "plantroom": "audit export", "previous": before.hash.hex(), "public_key": anchors.public()})
    async with database.transaction(None, actor, Role.SEALER) as tx:
        async for entry in _entries(tx, span.first, span.last):
            yield _line({"number": entry.sealed_number, "hash": entry.hash.hex(), "said": said(entry)})
    for anchor in seen.found:
        if span.first <= anchor.sealed_number <= span.last:
            yield _line({"anchor": anchor.line().decode()})


async def _record(database: Database, actor: Actor, organisation: UUID, told: dict[str, Any]) -> None:
    async with database.transaction(organisation, actor) as tx:
        await audit.record(tx, "exported", "audit", "", told)


async def _entries(tx: Transaction, first: int, last: int) -> AsyncIterator[Sealed]:
    after = first - 1
    while batch := await tx.all(Sealed, SQL["sealed_after"], {"after": after, "most": SEAL_BATCH}):
        for entry in batch:
            if entry.sealed_number > last:
                return
            yield entry
        after = batch[-1].sealed_number


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)
