"""The chain of hashes: each act's hash covers what it says and the hash of the act before it."""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hub.audit.anchor import Anchor, AnchorFile, Anchors
from hub.audit.rows import Reach, Seal, Sealed, Unsealed
from hub.store.database import SYSTEM, Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)
SEAL_BATCH = 1_000
PATIENCE = timedelta(days=1)  # between an act and the next anchor, by days
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


async def seal_all(database: Database) -> None:
    """Take everything that waits into the chain, a batch at a time."""
    sealed = SEAL_BATCH
    while sealed == SEAL_BATCH:
        async with database.transaction(None, SYSTEM, Role.SEALER) as tx:
            sealed = await seal(tx)


async def anchor(database: Database, file: AnchorFile, now: datetime) -> Anchor:
    """Take everything into the chain and write its end into the file of anchors; raises AnchorFileError."""
    await seal_all(database)
    async with database.transaction(None, SYSTEM, Role.SEALER) as tx:
        end = await end_of_chain(tx)
    return await asyncio.to_thread(file.append, end, now)


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold: at act no. ``number``, of ``day`` (UTC)."""

    number: int
    day: date
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk over the chain found: ``held`` acts from the first one on, of them ``anchored`` up to an anchor.

    ``problems`` are about the file of anchors.
    """

    held: int
    anchored: int
    broken: Break | None
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return self.broken is None and not self.problems


@dataclass(frozen=True, slots=True)
class State:
    """How far the chain has come; ``holds``: what the last anchor saw is still in its place."""

    sealed: int
    waiting: int
    anchor: Anchor | None
    holds: bool


async def verify(
    tx: Transaction, anchors: Anchors, today: date, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> Verdict:
    """Walk the whole chain under Role.SEALER, a batch at a time, and hold it against every anchor.

    ``progress`` is told how many acts were examined, and of how many.
    """
    end = await end_of_chain(tx)
    walk = Walk(anchors.found)
    while walk.broken is None:
        asked = {"after": walk.last.sealed_number, "most": SEAL_BATCH}
        batch = await tx.all(Sealed, SQL["sealed_after"], asked)
        if not batch:
            break
        for entry in batch:
            walk.step(entry)
        progress(walk.last.sealed_number, end.sealed_number)
    walk.finish()
    problems = (*anchors.problems, *walk.missing(anchors, today))
    return Verdict(walk.last.sealed_number, walk.anchored, walk.broken, problems)


async def end_of_chain(tx: Transaction) -> Seal:
    """Give the last act's place and hash."""
    return await tx.maybe(Seal, SQL["last_seal"]) or GENESIS


class Walk:
    """From act to act: each must follow the one before it, and be what the anchors saw."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self.last = GENESIS
        self.anchored = 0
        self.broken: Break | None = None
        self._format = 1
        self._first_day: date | None = None
        self._last_day: date | None = None
        seen = (anchor for anchor in anchors if anchor.sealed_number)  # one of an empty record proves nothing
        self._anchors = deque(sorted(seen, key=lambda anchor: anchor.sealed_number))

    def step(self, entry: Sealed) -> None:
        """Examine the next act; nothing is examined after a break."""
        if self.broken is not None:
            return
        day = entry.at.astimezone(UTC).date()
        number = entry.sealed_number
        if number != self.last.sealed_number + 1:
            missing = self.last.sealed_number + 1
            self.broken = Break(missing, day, f"Audit entry no. {missing} is gone, of {day} or before.")
        elif entry.hash != link(self.last.hash, entry) or entry.format < self._format:
            self.broken = Break(number, day, f"Audit entry no. {number} of {day} was changed after it was written.")
        elif (seen := self._seen_otherwise(entry)) is not None:
            self.broken = Break(
                self.anchored + 1,
                day,
                f"Audit entries were written anew: the anchor of {seen.date} saw another no. {number} than there is "
                f"now; the change lies after no. {self.anchored}.",
            )
            self.last = Seal(self.anchored, b"")
        else:
            self.last, self._format, self._last_day = Seal(number, entry.hash), entry.format, day
            self._first_day = self._first_day or day

    def _seen_otherwise(self, entry: Sealed) -> Anchor | None:
        """Give the anchor that saw another act in this place."""
        while self._anchors and self._anchors[0].sealed_number <= entry.sealed_number:
            anchor = self._anchors.popleft()
            if anchor.sealed_number == entry.sealed_number:
                if anchor.hash != entry.hash:
                    return anchor
                self.anchored = entry.sealed_number
        return None

    def finish(self) -> None:
        """Notice what an anchor saw beyond the end."""
        if self.broken is None and self._anchors:
            anchor, number = self._anchors[-1], self.last.sealed_number
            self.broken = Break(
                number + 1,
                anchor.date,
                f"The record ends at no. {number}; the anchor of {anchor.date} saw no. {anchor.sealed_number}: "
                f"{anchor.sealed_number - number} entries were cut off.",
            )

    def missing(self, anchors: Anchors, today: date) -> Iterator[str]:
        """Say which days have no anchor although there was time for one."""
        if not anchors.found and self._first_day is not None and today - self._first_day > PATIENCE:
            yield f"There is no anchor in {anchors.path}, although the record begins on {self._first_day}."
        elif anchors.found and self._last_day is not None and self._last_day - anchors.found[-1].date > PATIENCE:
            yield (
                f"The anchors in {anchors.path} end on {anchors.found[-1].date}, although the record goes on to "
                f"{self._last_day}: lines were cut off, or no hub wrote them."
            )


async def state(tx: Transaction, anchor: Anchor | None) -> State:
    """Give how far the chain has come, and whether what the last anchor saw is still there; under Role.SEALER."""
    told = await tx.one(Reach, SQL["state"], {"number": anchor.sealed_number if anchor else 0}, what="chain")
    seen = anchor is None or anchor.sealed_number == 0 or told.anchored_hash == anchor.hash
    return State(told.sealed, told.waiting, anchor, holds=seen)


async def state_of(database: Database, anchor: Anchor | None) -> State:
    """Give the same in a transaction of its own."""
    async with database.transaction(None, SYSTEM, Role.SEALER) as tx:
        return await state(tx, anchor)
