"""One batch, one transaction: store, move latest, mark rollups, judge, move the cursors.  Then acknowledge."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from hub.alarms.attention import Attention
from hub.alarms.rows import Change
from hub.audit import service as audit
from hub.ingest import events, held, storage
from hub.ingest.acts import Act, Address, Fault, Frame, Rejected
from hub.ingest.counts import Counts
from hub.ingest.directory import POINTS_PER_DEVICE_MAX, Directory
from hub.ingest.held import Held
from hub.ingest.line import Line
from hub.ingest.plan import Plan, plan
from hub.ingest.quarantine import Ration
from hub.ingest.rows import Device, Owner
from hub.ingest.samples import Columns, Heap, micros, moment
from hub.store.database import Actor, Database, Role, Transaction
from hub.store.sql import queries
from hub.streak import Streak

SQL = queries(__package__)
ACTOR = Actor("plantroom/ingest")
TOPIC_CHARACTERS_MAX = 256
REASON_CHARACTERS_MAX = 1_000
NAME_CHARACTERS_MAX = 120
DECLARES_CHARACTERS_MAX = 2_000
NOTICE_EVERY = timedelta(minutes=1)
STRANGERS_PER_SITE_MAX = 1_000
STRANGERS_MAX = 10_000

Judge = Callable[[Transaction, Sequence[Change], datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to tell the gateways after the commit: (spool, committed) by address, and who left frames out."""

    acknowledge: Mapping[Address, tuple[str, int]]
    ahead: frozenset[Address]


@dataclass(slots=True)
class _Batch:
    """A batch on its way through its transaction."""

    made: Plan
    directory: Directory
    before: Mapping[Address, Line]
    weeks: set[datetime] = field(default_factory=set)
    stored: int = 0
    duplicates: int = 0
    marks: storage.Marks = field(default_factory=storage.Marks)
    changes: dict[UUID, list[Change]] = field(default_factory=dict)  # by organisation: what the judge has to see
    moved: set[UUID] = field(default_factory=set)  # organisations of which anything became latest
    held: list[Held] = field(default_factory=list)
    strangers: dict[tuple[Address, str], str] = field(default_factory=dict)  # (gateway, device) -> what it declares


class Committer:
    """Writes batches; remembers devices, points, weeks and marks between them.

    ``attention`` says which readings the judge has to see; without it he sees all.
    """

    def __init__(
        self, database: Database, judge: Judge, counts: Counts, now: datetime, attention: Attention | None = None
    ) -> None:
        self._database = database
        self._judge = judge
        self._judging = Streak("judging readings")
        self._counts = counts
        self._ration = Ration()
        self._directory = Directory(now)
        self._weeks: set[datetime] = set()
        self._noticed: dict[tuple[Address, str], datetime] = {}
        self._way = storage.Way()
        self._marks = storage.Marks()
        self._attention = attention

    async def commit(self, acts: Sequence[Act], now: datetime) -> Outcome:
        """Write a batch; raises UnavailableError or psycopg.Error with nothing written and nothing to acknowledge."""
        async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
            before = await _lock(tx, acts)
            batch = _Batch(plan(acts, before, now), self._directory.copy(now), before)
            await self._store(tx, batch)
            await _move_lines(tx, batch)
            await _keep_events(tx, batch.made)
            await held.keep(tx, batch.held, now)
            await self._notice(tx, batch)
            await self._quarantine(tx, batch.made)
            await self._serve_organisations(tx, batch)
        self._directory = batch.directory
        self._weeks |= batch.weeks
        self._marks = batch.marks
        if self._attention is not None:
            self._attention.settle(batch.directory.points, (now, micros(now)))
        self._count(batch)
        lines = batch.made.lines
        return Outcome(
            {address: (lines[address].spool, lines[address].committed) for address in batch.made.acknowledge},
            frozenset(batch.made.ahead),
        )

    def forget(self) -> None:
        """Ask the database anew for everything: a batch has failed."""
        self._directory = Directory(self._directory.filled_at)
        self._weeks.clear()
        self._marks = storage.Marks()
        if self._attention is not None:
            self._attention.forget()

    def _count(self, batch: _Batch) -> None:
        self._counts.batches += 1
        self._counts.stored += batch.stored
        self._counts.duplicates += batch.duplicates + batch.made.repeated
        self._counts.quarantined += len(batch.made.rejected)
        self._counts.faults.update(rejected.fault.value for _, rejected in batch.made.rejected)

    async def _store(self, tx: Transaction, batch: _Batch) -> None:
        made = batch.made
        await batch.directory.look_up(tx, [*made.births, *((line, frame.birth) for line, frame in made.frames)])
        for line, birth in made.births:
            if batch.directory.points_of(line.id, birth.device) is None:
                made.rejected.append((line.organisation_id, _stranger(line, birth.device)))
                batch.strangers[line.address, birth.device] = ", ".join(birth.specs)
        heap, owners = _gathered(batch)
        if not len(heap):
            return
        samples = heap.sorted()
        batch.weeks = await storage.make_weeks(self._database, samples, self._weeks)
        batch.stored = await self._way.store(tx, samples)
        batch.duplicates = len(heap) - batch.stored
        batch.marks = await self._marks.write(tx, samples)
        loud = self._loud(samples, made.now)
        moved = await storage.move_latest(tx, samples.only(loud))
        batch.moved = {
            owners[owner].organisation_id for owner in np.unique(samples.owner[np.isin(samples.point, list(moved))])
        }
        if await storage.push_latest(tx, samples.only(~loud)):
            batch.moved |= {owners[owner].organisation_id for owner in np.unique(samples.owner[~loud])}
        batch.changes = _changes(samples.only(loud), moved, owners, batch.directory)

    def _loud(self, samples: Columns, now: datetime) -> NDArray[np.bool_]:
        """Give which samples the judge has to see: all of a device, or none."""
        if self._attention is None:
            return np.ones(len(samples), bool)
        loud = self._attention.loud(samples.point, samples.at, samples.value, samples.quality, (now, micros(now)))
        devices = np.zeros(int(samples.owner.max()) + 1, bool)
        devices[samples.owner[loud & samples.live]] = True
        return devices[samples.owner]

    async def _notice(self, tx: Transaction, batch: _Batch) -> None:
        """List who speaks without being registered, each once a minute."""
        made = batch.made
        for _, rejected in made.rejected:
            if rejected.fault is Fault.UNKNOWN_GATEWAY and rejected.address:
                batch.strangers.setdefault((rejected.address, ""), "")
        news = [
            key for key in batch.strangers if made.now - self._noticed.get(key, made.now - NOTICE_EVERY) >= NOTICE_EVERY
        ]
        if not news:
            return
        if len(self._noticed) > STRANGERS_MAX:
            self._noticed.clear()
        self._noticed.update(dict.fromkeys(news, made.now))
        rows = [
            {
                "site": address.site, "gateway": _clean(address.gateway, NAME_CHARACTERS_MAX),
                "device": _clean(device, NAME_CHARACTERS_MAX), "now": made.now, "most": STRANGERS_PER_SITE_MAX,
                "declares": _clean(batch.strangers[address, device], DECLARES_CHARACTERS_MAX),
            }
            for address, device in sorted(news)
        ]  # fmt: skip
        await tx.run_many(SQL["put_stranger"], rows)

    async def _quarantine(self, tx: Transaction, made: Plan) -> None:
        kept = [
            (organisation, rejected)
            for organisation, rejected in made.rejected
            if self._ration.allow(rejected.address, rejected.fault, made.now)
        ]
        if not kept:
            return
        codes = {rejected.address.site for _, rejected in kept if rejected.address}
        owners = {
            owner.code: owner.organisation_id for owner in await tx.all(Owner, SQL["owners"], {"codes": [*codes]})
        }
        rows = [
            {
                "organisation": organisation or (owners.get(rejected.address.site) if rejected.address else None),
                "now": made.now,
                "topic": _clean(rejected.topic, TOPIC_CHARACTERS_MAX),
                "reason": _clean(rejected.sentence, REASON_CHARACTERS_MAX),
                "payload": rejected.head,
            }
            for organisation, rejected in kept
        ]
        await tx.run_many(SQL["quarantine"], rows)

    async def _serve_organisations(self, tx: Transaction, batch: _Batch) -> None:
        """Judge, record and announce in the name of each organisation that the batch concerns."""
        lines = batch.made.lines
        turned = [line for address, line in lines.items() if _seen_differently(batch.before[address], line)]
        notes = batch.made.notes
        concerned = batch.moved | {line.organisation_id for line in turned} | {n.line.organisation_id for n in notes}
        for organisation in sorted(concerned):
            await tx.become(Role.APP, organisation)
            for note in notes:
                if note.line.organisation_id == organisation:
                    await audit.record(tx, note.action, "gateway", note.line.id, note.details)
            if changes := batch.changes.get(organisation):
                well = await self._judging.attempt(self._judged(tx, changes, batch.made.now))
                self._counts.judge_failures += not well
            gateways = [line.id for line in turned if line.organisation_id == organisation]
            said = [{"kind": "gateway", "id": gateway, "organisation": organisation} for gateway in gateways]
            if organisation in batch.moved:
                said.append({"kind": "latest", "id": organisation, "organisation": organisation})
            if said:
                await tx.run_many(SQL["announce"], said)

    async def _judged(self, tx: Transaction, changes: Sequence[Change], now: datetime) -> None:
        async with tx.connection.transaction():  # readings are stored even where a rule cannot be judged
            await self._judge(tx, changes, now)


async def _lock(tx: Transaction, acts: Sequence[Act]) -> dict[Address, Line]:
    speakers = (getattr(act, "speaker", None) for act in acts)
    addresses = {speaker.address for speaker in speakers if speaker}
    addresses |= {act.address for act in acts if isinstance(act, Rejected) and act.address}
    if not addresses:
        return {}
    asked = {"sites": [a.site for a in addresses], "gateways": [a.gateway for a in addresses]}
    return {line.address: line for line in await tx.all(Line, SQL["lock_lines"], asked)}


async def _move_lines(tx: Transaction, batch: _Batch) -> None:
    made = batch.made
    changed = [asdict(line) for address, line in made.lines.items() if line != batch.before[address]]
    if changed:
        await tx.run_many(SQL["put_line"], changed)
    for gateway in sorted(made.silent):
        await tx.run(SQL["silence_devices"], {"gateway": gateway, "now": made.now})
    turned = [
        {"gateway": gateway, "code": code, "online": online, "now": made.now}
        for (gateway, code), online in sorted(made.devices.items())
    ]
    if turned:
        await tx.run_many(SQL["set_device_online"], turned)


async def _keep_events(tx: Transaction, made: Plan) -> None:
    """Keep what doors and cameras told, in the name of each gateway's organisation; what cannot be is rejected."""
    frames = [(line, frame) for line, frame in made.frames if frame.told]
    for line in {line.id: line for line, _ in frames}.values():
        of_line = [frame for other, frame in frames if other.id == line.id]
        await tx.become(Role.APP, line.organisation_id)
        for sentence in await events.keep(tx, line, [one for frame in of_line for one in frame.told], made.now):
            rejected = Rejected(line.address, of_line[0].topic, Fault.EVENT, sentence, of_line[0].head)
            made.rejected.append((line.organisation_id, rejected))
    if frames:
        await tx.become(Role.INGEST)


def _gathered(batch: _Batch) -> tuple[Heap, list[Device]]:
    """Give the samples of all frames under the ids of their points, and whose they are; what has none is rejected."""
    heap, owners = Heap(), list[Device]()
    places: dict[UUID, int] = {}
    for line, frame in batch.made.frames:
        points = batch.directory.points_of(line.id, frame.birth.device)
        if points is None:
            batch.made.rejected.append((line.organisation_id, _stranger(line, frame.birth.device, frame)))
            batch.strangers.setdefault((line.address, frame.birth.device), "")
            batch.held.append(Held(line, frame.birth.device, frame.samples.rows(), tuple(frame.birth.specs.values())))
            continue
        device = batch.directory.devices[line.id, frame.birth.device]
        samples = frame.samples
        found = [points.get(measure) for measure in samples.measures]
        if None in found:
            strange = {m for m, point in zip(samples.measures, found, strict=True) if point is None}
            if unsettled := strange & batch.directory.unsettled.get(device.id, {}).keys():
                _hold_unsettled(batch, line, frame, unsettled, batch.directory.unsettled[device.id])
            if strange := strange - unsettled:
                full = len(points) >= POINTS_PER_DEVICE_MAX
                batch.made.rejected.append((line.organisation_id, _pointless(line, frame, min(strange), full=full)))
            samples = samples.only([point is not None for point in found])
        if device.id not in places:
            places[device.id] = len(owners)
            owners.append(device)
        heap.add([point for point in found if point is not None], samples, places[device.id])
    return heap, owners


def _changes(
    samples: Columns, moved: Mapping[int, datetime | None], owners: Sequence[Device], directory: Directory
) -> dict[UUID, list[Change]]:
    """Give the live samples by which the latest of their points has moved on, in order of time, by organisation."""
    found: dict[UUID, list[Change]] = {}
    measures: dict[int, str] = {}
    for owner in np.unique(samples.owner).tolist():
        measures |= {point: measure for measure, point in directory.points[owners[owner].id].items()}
    live = samples.live.nonzero()[0]
    columns_of = (samples.point, samples.at, samples.value, samples.quality, samples.owner)
    for point, at, value, quality, owner in zip(*(column[live].tolist() for column in columns_of), strict=True):
        before = moved.get(point)
        if point in moved and (before is None or moment(at) > before):
            device = owners[owner]
            known = None if value != value else value  # noqa: PLR0124  nan: there is none
            change = Change(point, device.id, measures[point], moment(at), known, quality)
            found.setdefault(device.organisation_id, []).append(change)
    return found


def _seen_differently(before: Line, after: Line) -> bool:
    """Whether a screen shows the gateway differently."""
    return _shown(before) != _shown(after)


def _shown(line: Line) -> tuple[object, ...]:
    return line.online, line.rival_spool, line.clock_step_ms, line.spool_percent, line.dropped


def _stranger(line: Line, device: str, frame: Frame | None = None) -> Rejected:
    sentence = (
        f"Device '{device}' is not registered at gateway {line.gateway}; add it to the site file and register the "
        "site, or take it off the gateway."
    )
    topic = frame.topic if frame else f"{line.site}/{line.gateway}/{device}"
    return Rejected(line.address, topic, Fault.UNKNOWN_DEVICE, sentence, b"")


def _pointless(line: Line, frame: Frame, measure: str, *, full: bool) -> Rejected:
    device = frame.birth.device
    sentence = (
        f"Device '{device}' already has {POINTS_PER_DEVICE_MAX} points, so '{measure}' is not made one; "
        "let its gateway stop inventing names."
        if full
        else f"The point '{device}.{measure}' of device '{device}' has the code of a point of another device; "
        "rename one of the two devices."
    )
    return Rejected(line.address, frame.topic, Fault.VALUE, sentence, frame.head)


def _hold_unsettled(batch: _Batch, line: Line, frame: Frame, measures: set[str], units: Mapping[str, str]) -> None:
    device = frame.birth.device
    for measure in sorted(measures):
        spec = frame.birth.specs[measure]
        samples = tuple(sample for sample in frame.samples.rows() if sample.measure == measure)
        batch.held.append(Held(line, device, samples, (spec,), spec))
        sentence = (
            f"'{device}.{measure}' comes in {spec.unit or 'no unit'}, its point is in {units[measure] or 'no unit'}; "
            "mend the gateway's file, or accept the new unit on the page of gateways. Its readings are kept meanwhile."
        )
        rejected = Rejected(line.address, frame.topic, Fault.UNIT, sentence, b"")
        batch.made.rejected.append((line.organisation_id, rejected))


def _clean(text: str, most: int) -> str:
    """Give a text that the database takes."""
    return text.replace("\x00", "�")[:most].encode("utf-8", "replace").decode()
