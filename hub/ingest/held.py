"""Readings that have no point yet: kept, within bounds, until somebody has adopted their device or settled their unit.

A held frame is a payload that names every point with its nature, so that it needs no birth.  What was held is stored as
history: it moves no latest value back and calls nobody.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.ingest import birth, reading
from hub.ingest.acts import Address, Frame, Sample, Speaker, Spec
from hub.ingest.inbox import message
from hub.ingest.line import Line
from hub.ingest.rows import HeldFrame
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from rules.model.quality import Quality
from rules.wire import topics
from rules.wire.readings import Plain
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX, Metric, Payload, decode, encode

SQL = queries(__package__)
ACTOR = Actor("plantroom/ingest")
TOPIC = "held"
FRAMES_PER_ROUND = 200
LOOK_EVERY = timedelta(seconds=5)
TRIM_EVERY = timedelta(minutes=10)
FRAMES_PER_DEVICE_MAX = 100_000  # the oldest go
FRAMES_MAX = 1_000_000  # of all organisations
KEEP = timedelta(days=30)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """Readings of one frame to keep; ``spec`` where they are of one point whose unit is not settled."""

    line: Line
    device: str
    samples: tuple[Sample, ...]
    specs: Collection[Spec]
    spec: Spec | None = None


async def keep(tx: Transaction, held: Iterable[Held], now: datetime) -> None:
    """Write frames to be held."""
    rows = [
        {
            "organisation": one.line.organisation_id, "gateway": one.line.id, "device": one.device,
            "measure": one.spec.measure if one.spec else None, "unit": one.spec.unit if one.spec else None,
            "now": now, "readings": len(one.samples), "body": body,
        }
        for one in held
        if one.samples and len(body := _body(one)) <= PAYLOAD_BYTES_MAX
    ]  # fmt: skip
    if rows:
        await tx.run_many(SQL["hold_frame"], rows)


def _body(held: Held) -> bytes:
    specs = {spec.measure: spec for spec in held.specs}
    metrics = [
        Metric(
            name=name, at=at, value=value, historical=True, quality=Quality(quality), properties=_nature(specs[name])
        )
        for name, at, value, quality, _ in held.samples
        if name in specs
    ]
    return encode(Payload(None, None, tuple(metrics)))


def _nature(spec: Spec) -> dict[str, str]:
    said = {topics.KIND: spec.kind.value, topics.UNIT: spec.unit, topics.RESOLUTION: f"{spec.resolution:f}"}
    return said if spec.modulus is None else {**said, topics.MODULUS: f"{spec.modulus:f}"}


class Shelf:
    """Takes what was held off the shelf when it can be stored, and keeps the shelf within its bounds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_at = self._trimmed_at = datetime.min.replace(tzinfo=UTC)

    async def due(self, now: datetime) -> list[tuple[int, Frame]]:
        """Give frames that can be stored now, with their numbers on the shelf; looks every LOOK_EVERY."""
        if timedelta(0) <= now - self._looked_at < LOOK_EVERY:
            return []
        self._looked_at = now
        async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
            if now - self._trimmed_at >= TRIM_EVERY:
                self._trimmed_at = now
                await tx.run(SQL["forget_strangers"])
                bounds = {"per_device": FRAMES_PER_DEVICE_MAX, "most": FRAMES_MAX, "oldest": now - KEEP}
                if gone := await tx.run(SQL["trim_held"], bounds):
                    log.warning("%d frames of devices that nobody adopted were dropped: adopt the devices", gone)
            found = await tx.all(HeldFrame, SQL["held_due"], {"most": FRAMES_PER_ROUND})
        return [(one.id, _frame(one)) for one in found]

    async def stored(self, ids: Collection[int]) -> None:
        """Forget frames that are stored."""
        async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
            await tx.run(SQL["drop_held"], {"ids": list(ids)})


def _frame(held: HeldFrame) -> Frame:
    payload = decode(held.body)
    declared, _ = birth.read(held.device, payload.metrics)
    speaker = Speaker(Address(held.site, held.gateway), held.spool)
    return reading.frame(speaker, declared, payload, Plain(), message(TOPIC, held.body), held.received_at)
