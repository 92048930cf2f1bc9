"""Judge readings and silence: step the machines of the rules and keep what came of it.

``judge`` runs inside the transaction that stores readings, ``tick`` once a second; both under Role.APP.  What
stands is read without a lock; only machines that move are locked, asked again and written, so that a batch
that changes nothing costs four queries whatever its size.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hub.alarms.attention import Attention, calm
from hub.alarms.rows import Change, Measured, Shown, Silence, Standing, Subject, Turned
from hub.store.database import Role, Transaction
from hub.store.sql import queries
from rules.detect.alarm import Phase, State, Turn, due_at
from rules.detect.book import RuleBook
from rules.detect.rule import Rule, Stale
from rules.detect.watch import Happening, Said, Watched, elapse, follow, listen
from rules.model.quality import Quality

SQL = queries(__package__)

Key = tuple[UUID, str]  # device and code of the rule


@dataclass(frozen=True, slots=True)
class Machine:
    """One rule on one device: how it goes on from a state that the database holds."""

    rule: Rule
    site_id: UUID
    point_id: int | None
    go_on: Callable[[State], Watched]


@dataclass(slots=True)
class _Plant:
    """One device as the judge sees it."""

    subject: Subject
    points: dict[str, int] = field(default_factory=dict)
    values: dict[str, float | None] = field(default_factory=dict)

    def machine(self, rule: Rule, go_on: Callable[[State], Watched]) -> Machine:
        watched = None if isinstance(rule.condition, Stale) else self.points.get(rule.condition.measure)
        return Machine(rule, self.subject.site_id, watched, go_on)


async def judge(
    tx: Transaction, book: RuleBook, changes: Sequence[Change], now: datetime, attention: Attention | None = None
) -> list[Turned]:
    """Judge readings that have just become the latest of their points; give the alarms raised and cleared.

    ``changes`` may hold several readings of a point, in any order.  Readings that were brought in late do not
    belong here: they wake nobody.  ``attention`` is told which devices are at rest.
    """
    if not changes:
        return []
    said: dict[UUID, list[Said]] = {}
    for change in changes:
        value = change.value if change.quality == Quality.GOOD else None
        said.setdefault(change.device_id, []).append(Said(change.measure, change.at, value))
    plants = await _plants(tx, book, said)
    machines = {
        (device, rule.code): plants[device].machine(rule, _follower(rule, plants[device], said[device]))
        for device, rule in _rules_of(book, plants, now)
    }
    states = {
        (row.device_id, row.rule): row.state for row in await tx.all(Standing, SQL["states"], {"devices": list(said)})
    }
    moving = {}
    restless: set[UUID] = set()
    for key, machine in machines.items():
        state = states.get(key, State())
        if machine.go_on(state).state != state:
            moving[key] = machine
        if key in moving or state.phase is not Phase.NORMAL:
            restless.add(key[0])
    if attention is not None:
        _tell(attention, plants, machines, said, restless)
    return await _advance(tx, moving, now)


def _tell(
    attention: Attention,
    plants: Mapping[UUID, _Plant],
    machines: Mapping[Key, Machine],
    said: Mapping[UUID, Sequence[Said]],
    restless: Collection[UUID],
) -> None:
    rules: dict[UUID, list[Rule]] = {device: [] for device in plants}
    for (device, _), machine in machines.items():
        rules[device].append(machine.rule)
    for device, of_it in rules.items():
        heard_at = max((one.at for one in said[device] if one.value is not None), default=None)
        attention.note(device, None if device in restless else calm(of_it, heard_at))


async def tick(tx: Transaction, book: RuleBook, now: datetime, heard_since: datetime) -> list[Turned]:
    """Let delays run out and notice devices that have fallen silent; give the alarms raised and cleared.

    ``heard_since`` is when this hub began to listen: silence before that proves nothing.
    """
    rules = {rule.code: rule for rule in book.in_force(now.date())}
    due: dict[Key, Rule] = {}
    for row in await tx.all(Standing, SQL["moving"]):
        rule = rules.get(row.rule)
        at = due_at(row.state, rule) if rule else None
        if rule and at and at <= now:
            due[row.device_id, row.rule] = rule
    silent = {
        (silence.device_id, rule.code): (rule, silence)
        for rule in book.about_silence(now.date())
        for silence in await _silences(tx, rule, now, heard_since)
    }
    plants = await _plants(tx, book, {device for device, _ in (*due, *silent)})
    machines = {
        (device, code): plants[device].machine(rule, _elapser(rule, plants[device], now))
        for (device, code), rule in due.items()
    }
    for (device, code), (rule, silence) in silent.items():
        machines[device, code] = plants[device].machine(rule, _listener(rule, silence.good_at, heard_since, now))
    return await _advance(tx, machines, now)


def _follower(rule: Rule, plant: _Plant, said: Sequence[Said]) -> Callable[[State], Watched]:
    new = {one.measure for one in said}
    rest = {measure: value for measure, value in plant.values.items() if measure not in new}
    return lambda state: follow(rule, state, rest, said, plant.subject.zone)


def _elapser(rule: Rule, plant: _Plant, now: datetime) -> Callable[[State], Watched]:
    return lambda state: elapse(rule, state, plant.values, now)


def _listener(rule: Rule, good_at: datetime, heard_since: datetime, now: datetime) -> Callable[[State], Watched]:
    return lambda state: listen(rule, state, good_at, heard_since, now)


def _rules_of(book: RuleBook, plants: Mapping[UUID, _Plant], now: datetime) -> Iterator[tuple[UUID, Rule]]:
    in_force: dict[date, tuple[Rule, ...]] = {}
    watching: dict[tuple[object, ...], list[Rule]] = {}  # devices of one kind have the same rules
    for device, plant in plants.items():
        subject = plant.subject
        day = now.astimezone(subject.zone).date()
        if day not in in_force:
            in_force[day] = book.in_force(day)
        kind = (day, subject.profile, subject.role, frozenset(plant.points))
        if kind not in watching:
            watching[kind] = [r for r in in_force[day] if r.watches(subject.profile, subject.role, plant.points)]
        for rule in watching[kind]:
            yield device, rule


async def _plants(tx: Transaction, book: RuleBook, devices: Iterable[UUID]) -> dict[UUID, _Plant]:
    asked: dict[str, Any] = {
        "devices": list(devices),
        "measures": sorted({measure for rule in book.rules for measure in rule.measures}),
    }
    if not asked["devices"]:
        return {}
    async with tx.under(Role.INGEST):  # several nodes show what is not yet committed to the role that wrote it
        plants = {row.device_id: _Plant(row) for row in await tx.all(Subject, SQL["subjects"], asked)}
        points = [row for row in await tx.all(Measured, SQL["measured"], asked) if row.device_id in plants]
        latest = {
            row.point_id: row.value if row.quality == Quality.GOOD else None
            for row in await tx.all(Shown, SQL["shown"], {"points": [row.point_id for row in points]})
        }
    for row in points:
        plants[row.device_id].points[row.measure] = row.point_id
        plants[row.device_id].values[row.measure] = latest.get(row.point_id)
    return plants


async def _silences(tx: Transaction, rule: Rule, now: datetime, heard_since: datetime) -> list[Silence]:
    assert isinstance(rule.condition, Stale)
    before = now - timedelta(seconds=rule.condition.after_s)
    if before < heard_since:
        return []
    return await tx.all(Silence, SQL["silent"], {"rule": rule.code, "stale_before": before, "good": Quality.GOOD})


async def _advance(tx: Transaction, machines: Mapping[Key, Machine], now: datetime) -> list[Turned]:
    """Lock the machines, let each go on from where it stands now, and keep what came of it."""
    if not machines:
        return []
    keys = sorted(machines)
    locked = await tx.all(
        Standing, SQL["lock_states"], {"devices": [device for device, _ in keys], "rules": [code for _, code in keys]}
    )
    standing = {(row.device_id, row.rule): row for row in locked}
    ledger = _Outcome(now)
    for key in keys:
        row, machine = standing.get(key), machines[key]
        before = row.state if row else State()
        watched = machine.go_on(before)
        if watched.state != before:
            ledger.enter(key, machine, watched, row.alarm_id if row else None)
    await ledger.keep(tx)
    return sorted(ledger.turned, key=lambda turned: turned.at)


@dataclass(slots=True)
class _Outcome:
    """What a round of judgement changes, gathered so that it is written in a few statements."""

    now: datetime
    states: list[dict[str, object]] = field(default_factory=list)
    raised: dict[UUID, dict[str, object]] = field(default_factory=dict)
    cleared: list[dict[str, object]] = field(default_factory=list)
    turned: list[Turned] = field(default_factory=list)

    def enter(self, key: Key, machine: Machine, watched: Watched, alarm_id: UUID | None) -> None:
        """Take in one machine; ``alarm_id`` is its alarm that stands, if any."""
        device, code = key
        for happening in watched.happenings:
            event, rule = happening.event, machine.rule
            if event.turn is Turn.RAISED:
                alarm_id = uuid4()
                self.raised[alarm_id] = _alarm(alarm_id, device, machine, happening)
            assert alarm_id is not None, "an alarm that clears was raised before"
            if event.turn is Turn.CLEARED and alarm_id in self.raised:
                self.raised[alarm_id]["cleared_at"] = event.at
            elif event.turn is Turn.CLEARED:
                self.cleared.append({"id": alarm_id, "at": event.at})
            self.turned.append(Turned(alarm_id, device, code, rule.version, event.turn, event.at))
        state = watched.state
        self.states.append(
            {
                "rules": code,
                "devices": device,
                "phases": state.phase.value,
                "since": state.since,
                "truths": None if state.blind else state.held,
                "alarms": alarm_id if state.standing else None,
            }
        )

    async def keep(self, tx: Transaction) -> None:
        """Write it all; an alarm that clears makes room for its successor first."""
        actor = tx.actor.name
        journal = [
            {"id": t.alarm_id, "at": t.at, "event": t.turn.value, "actor": actor, "note": ""} for t in self.turned
        ]
        if self.states:
            columns = {name: [row[name] for row in self.states] for name in self.states[0]}
            await tx.run(SQL["put_state"], {**columns, "now": self.now})
        for name, rows in (
            ("clear_alarm", self.cleared),
            ("raise_alarm", list(self.raised.values())),
            ("write_journal", journal),
            ("announce", [{"id": t.alarm_id} for t in self.turned]),
        ):
            if rows:
                await tx.run_many(SQL[name], rows)


def _alarm(alarm_id: UUID, device: UUID, machine: Machine, happening: Happening) -> dict[str, object]:
    rule = machine.rule
    return {
        "id": alarm_id,
        "site": machine.site_id,
        "device": device,
        "point": machine.point_id,
        "rule": rule.code,
        "version": rule.version,
        "priority": rule.priority.value,
        "name_zh": rule.name_zh,
        "name_en": rule.name_en,
        "value": happening.value,
        "threshold": happening.threshold,
        "began_at": happening.event.since,
        "raised_at": happening.event.at,
        "cleared_at": None,
    }
