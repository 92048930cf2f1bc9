"""Whoever owns the database can change the record; the chain and the anchors tell on him.

Every test does it for real, with the owner's connection: triggers off, rows changed, the whole chain made again.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import class_row

from hub.audit import chain
from hub.audit import service as audit
from hub.audit.anchor import AnchorFile, Anchors
from hub.audit.chain import Verdict
from hub.audit.rows import Sealed
from hub.errors import ConflictError
from hub.jobs.service import Work
from hub.store.database import Database, Role
from rules.detect.book import RuleBook
from tests.builders import ENGINEER, Dsns, Park

NOW = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0)  # today: acts are dated by the database
ACTS = 40
ANCHORED = 30
Owner = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
async def file(database: Database, park: Park, tmp_path: Path) -> AnchorFile:
    """A record of some forty acts, anchored after thirty of ours."""
    anchors = AnchorFile(tmp_path / "anchors" / "audit.jsonl", tmp_path / "anchor-key")
    await act(database, park, ANCHORED)
    await chain.anchor(database, anchors, NOW)
    await act(database, park, ACTS - ANCHORED)
    await chain.seal_all(database)
    return anchors


@pytest.fixture
async def owner(dsns: Dsns) -> AsyncIterator[Owner]:
    """Who owns the database, with the guards taken off."""
    with psycopg.connect(dsns.owner, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
        yield connection


async def act(database: Database, park: Park, times: int) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        for n in range(times):
            await audit.record(tx, "painted", "widget", n, {"changed": {"colour": ["red", f"blue {n}"]}, "share": 0.10})


async def verdict(database: Database, file: AnchorFile, today: date | None = None) -> Verdict:
    async with database.transaction(None, role=Role.SEALER) as tx:
        return await chain.verify(tx, file.read(), today or datetime.now(UTC).date())


def chained(owner: Owner, *, anew_from: int = 1) -> None:
    """Number and hash the record again, as if nothing had happened: what an owner with our program would do."""
    query = chain.SQL["sealed_after"]
    previous = bytes(32)
    with owner.cursor(row_factory=class_row(Sealed)) as cursor:
        entries = cursor.execute(query, {"after": 0, "most": 100_000}).fetchall()
    owner.execute("UPDATE audit_entries SET sealed_number = -sealed_number")
    for number, entry in enumerate(entries, 1):
        previous = chain.link(previous, entry) if number >= anew_from else entry.hash
        owner.execute(
            "UPDATE audit_entries SET sealed_number = %s, hash = %s WHERE id = %s", [number, previous, entry.id]
        )


async def test_an_untouched_record_holds_up_to_its_anchor(
    database: Database, file: AnchorFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "SEAL_BATCH", 7)  # several batches, of which only one is held at a time
    steps: list[tuple[int, int]] = []
    async with database.transaction(None, role=Role.SEALER) as tx:
        found = await chain.verify(tx, file.read(), datetime.now(UTC).date(), lambda done, of: steps.append((done, of)))
        told = await chain.state(tx, file.last())
    assert found.holds
    assert found.held - found.anchored == ACTS - ANCHORED
    assert steps[0] == (7, found.held)
    assert steps[-1] == (found.held, found.held)
    assert (told.sealed, told.waiting, told.holds) == (found.held, 0, True)


CHANGES = {
    "another actor": "actor = 'somebody else'",
    "another action": "action = 'left alone'",
    "another record": "entity_id = '999'",
    "other details": "details = '{}'",
    "a number written otherwise": "details = jsonb_set(details, '{share}', '0.1000')",
    "another reason": "reason = 'he told me to'",
    "another address": "address = '127.0.0.1'",
    "on another's behalf": "on_behalf_of = 'the boss'",
    "another request": "request_id = 'feed'",
    "an hour earlier": "at = at - interval '1 hour'",
    "a microsecond later": "at = at + interval '1 microsecond'",
    "the first format, which hashed less": "format = 1",
    "another id": "id = id + 1000000",
}


@pytest.mark.parametrize("what", CHANGES)
async def test_one_changed_act_is_found_with_its_number_and_day(
    database: Database, file: AnchorFile, owner: Owner, what: str
) -> None:
    owner.execute("ALTER TABLE audit_entries ALTER COLUMN id DROP IDENTITY")
    changed = (
        f"UPDATE audit_entries SET {CHANGES[what]} WHERE sealed_number = 12 RETURNING (at AT TIME ZONE 'UTC')::date"
    )
    day = owner.execute(changed.encode()).fetchone()
    found = await verdict(database, file)
    assert found.broken is not None
    assert day is not None
    assert (found.broken.number, found.broken.day, found.held) == (12, day[0], 11)
    assert found.broken.sentence == f"Audit entry no. 12 of {day[0]} was changed after it was written."


def cut_out(owner: Owner) -> None:
    owner.execute("DELETE FROM audit_entries WHERE sealed_number = 12")


def cut_out_and_close_up(owner: Owner) -> None:
    owner.execute("DELETE FROM audit_entries WHERE sealed_number = 12")
    chained(owner, anew_from=10_000)  # new numbers, old hashes


def insert(owner: Owner) -> None:
    columns = "organisation_id, actor, action, entity, entity_id, details, address, at, format"
    owner.execute("UPDATE audit_entries SET sealed_number = sealed_number + 1000 WHERE sealed_number > 11")
    owner.execute(
        f"""INSERT INTO audit_entries ({columns}, sealed_number, hash)
            SELECT {columns}, 12, hash FROM audit_entries WHERE sealed_number = 11""".encode()
    )
    owner.execute("UPDATE audit_entries SET sealed_number = sealed_number - 999 WHERE sealed_number > 1000")


def exchange(owner: Owner) -> None:
    owner.execute("UPDATE audit_entries SET sealed_number = -sealed_number WHERE sealed_number IN (12, 13)")
    owner.execute("UPDATE audit_entries SET sealed_number = 25 + sealed_number WHERE sealed_number < 0")


@pytest.mark.parametrize("tamper", [cut_out, cut_out_and_close_up, insert, exchange])
async def test_acts_taken_out_put_in_or_exchanged_are_found(
    database: Database, file: AnchorFile, owner: Owner, tamper: Callable[[Owner], None]
) -> None:
    tamper(owner)
    found = await verdict(database, file)
    assert found.broken is not None
    assert (found.broken.number, found.held) == (12, 11)


async def test_acts_cut_off_at_the_end_are_missed_by_the_anchor(
    database: Database, file: AnchorFile, owner: Owner
) -> None:
    owner.execute("DELETE FROM audit_entries WHERE sealed_number > 20")
    found = await verdict(database, file)
    last = file.last()
    assert last is not None
    assert found.broken is not None
    assert found.broken.number == 21
    assert f"the anchor of {NOW:%Y-%m-%d} saw no. {last.sealed_number}: {last.sealed_number - 20} entries" in (
        found.broken.sentence
    )
    async with database.transaction(None, role=Role.SEALER) as tx:
        assert not (await chain.state(tx, last)).holds


LATER_FORM = "the first format, which hashed less"  # comes after the second one: the chain alone tells
REWRITTEN = {
    **{w: f"UPDATE audit_entries SET {c} WHERE sealed_number = 12" for w, c in CHANGES.items() if w != LATER_FORM},
    "taken out": "DELETE FROM audit_entries WHERE sealed_number = 12",
    "all in the first format": "UPDATE audit_entries SET format = 1",
}


@pytest.mark.parametrize("what", REWRITTEN)
async def test_a_chain_that_the_owner_made_again_is_not_what_the_anchor_saw(
    database: Database, file: AnchorFile, owner: Owner, what: str
) -> None:
    owner.execute("ALTER TABLE audit_entries ALTER COLUMN id DROP IDENTITY")
    owner.execute(REWRITTEN[what].encode())
    chained(owner)
    alone = Anchors(file.path, (), ())
    async with database.transaction(None, role=Role.SEALER) as tx:
        assert (await chain.verify(tx, alone, NOW.date())).broken is None  # the chain alone would believe it
    found = await verdict(database, file)
    assert found.broken is not None
    assert f"were written anew: the anchor of {NOW:%Y-%m-%d} saw another" in found.broken.sentence
    assert (found.broken.number, found.held) == (1, 0)


async def test_the_change_lies_between_two_anchors(
    database: Database, park: Park, file: AnchorFile, owner: Owner
) -> None:
    first = file.last()
    await chain.anchor(database, file, NOW + timedelta(days=1))
    owner.execute("UPDATE audit_entries SET actor = 'x' WHERE sealed_number = %s", [ANCHORED + 5])
    chained(owner)
    found = await verdict(database, file)
    assert first is not None
    assert found.broken is not None
    assert found.anchored == found.held == first.sealed_number
    assert f"the anchor of {NOW + timedelta(days=1):%Y-%m-%d}" in found.broken.sentence
    assert f"after no. {first.sealed_number}" in found.broken.sentence


async def test_the_old_form_cannot_come_back_after_the_new_one(
    database: Database, file: AnchorFile, owner: Owner
) -> None:
    owner.execute("UPDATE audit_entries SET format = 1 WHERE sealed_number > %s", [ANCHORED + 3])
    chained(owner)  # after the anchor nothing but the order of the formats can tell
    found = await verdict(database, file)
    assert found.broken is not None
    assert found.broken.number == ANCHORED + 4


async def test_a_record_of_before_keeps_its_hashes(
    database: Database, park: Park, owner: Owner, tmp_path: Path
) -> None:
    """What an older version hashed, computed here the way it did it."""
    owner.execute("UPDATE audit_entries SET format = 1, sealed_number = NULL, hash = NULL")
    await chain.seal_all(database)
    rows = owner.execute(
        """SELECT id, organisation_id::text, at, actor, action, entity, entity_id, details, hash FROM audit_entries
           ORDER BY sealed_number"""
    ).fetchall()
    previous = bytes(32)
    for *said, details, held in rows:
        said[2] = said[2].astimezone(UTC).isoformat()
        text = json.dumps([*said, details], sort_keys=True, ensure_ascii=False)
        previous = hashlib.sha256(previous + text.encode()).digest()
        assert previous == held
    assert rows
    await act(database, park, 3)
    await chain.seal_all(database)
    assert (await verdict(database, AnchorFile(tmp_path / "none", tmp_path / "key"))).holds


@pytest.mark.parametrize(("age", "named"), [(timedelta(days=1), False), (timedelta(days=2), True)])
async def test_a_missing_file_of_anchors_is_named_once_there_was_time_for_one(
    database: Database, file: AnchorFile, age: timedelta, named: bool
) -> None:
    file.path.unlink()
    found = await verdict(database, file, datetime.now(UTC).date() + age)
    assert found.broken is None
    assert any("There is no anchor in" in said for said in found.problems) is named
    assert found.holds is not named


async def test_anchors_that_end_too_early_are_named(database: Database, park: Park, tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "a", tmp_path / "k")
    await chain.anchor(database, file, datetime.now(UTC) - timedelta(days=3))
    await act(database, park, 1)
    await chain.seal_all(database)
    (said,) = (await verdict(database, file)).problems
    assert "lines were cut off, or no hub wrote them" in said


async def test_the_job_anchors_once_a_day_and_says_when_the_record_is_not_what_it_was(
    database: Database, park: Park, owner: Owner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = AnchorFile(tmp_path / "a", tmp_path / "k")
    work = Work(database, RuleBook(()), lambda now: now, file)
    caplog.set_level("INFO", "plantroom.security")
    for hours in (0, 1, 13, 14, 40):  # NOW is 10:00 UTC: the next day begins after fourteen hours
        await act(database, park, 2)
        await work.anchor(NOW + timedelta(hours=hours))
    assert [(anchor.date - NOW.date()).days for anchor in file.read().found] == [0, 1, 2]
    assert file.read().problems == ()
    copied = [line for line in caplog.messages if line.startswith("audit anchor of ")]
    assert len(copied) == 3  # in the journal, where the hub cannot change it
    owner.execute("UPDATE audit_entries SET actor = 'x' WHERE sealed_number = 1")
    chained(owner)
    await work.anchor(NOW + timedelta(hours=41))
    assert "the audit record is not what its last anchor saw" in caplog.text
    assert len(file.read().found) == 3


async def test_an_act_that_is_undone_leaves_no_entry(database: Database, park: Park, file: AnchorFile) -> None:
    before = await verdict(database, file)

    async def fail() -> None:
        async with database.transaction(park.organisation, ENGINEER) as tx:
            await audit.record(tx, "painted", "widget", 1)
            raise ConflictError("in the end not")

    with pytest.raises(ConflictError):
        await fail()
    await chain.seal_all(database)
    assert (await verdict(database, file)).held == before.held


@pytest.mark.parametrize(
    "change", ["UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries", "TRUNCATE audit_entries"]
)
async def test_even_the_owner_is_stopped_while_the_guards_are_on(
    database: Database, park: Park, dsns: Dsns, change: str
) -> None:
    await act(database, park, 1)
    await chain.seal_all(database)
    with psycopg.connect(dsns.owner) as owner, pytest.raises(psycopg.errors.RestrictViolation):
        owner.execute(change.encode())
