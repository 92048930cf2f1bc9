"""What has outlived its period goes, what has not stays, and the record counts what went."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.alarms.definitions import load
from hub.jobs.service import Work
from hub.privacy import definitions, retention
from hub.store.database import Database
from tests.builders import Dsns, Park, register_park, site_file
from tests.builders_people import NOON, OFFICER, Watched, watch
from tests.conftest import PostgresForTests, fresh_dsns

REGISTER = definitions.register(NOON.date())
LEASE_END = "UPDATE leases SET end_on = (%s::timestamptz AT TIME ZONE 'UTC')::date - 1"

# How to put one row of a table at a moment since which it is kept.
ADD = {
    "sessions": """
        INSERT INTO sessions (token_hash, organisation_id, user_id, csrf, created_at, seen_at, expires_at)
        SELECT decode(md5(%(id)s::text), 'hex'), organisation_id, id, '', now(), now(), %(at)s FROM users LIMIT 1""",
    "mails": """
        INSERT INTO mails (id, organisation_id, address, language, subject, body, created_at, due_at)
        VALUES (%(id)s, %(organisation)s, 'a@example.com', 'zh', 's', 'b', %(at)s, now())""",
    "bank_accounts": """
        INSERT INTO bank_accounts (organisation_id, tenant_id, holder, bank, number, added_at, ended_at)
        SELECT organisation_id, id, 'h', 'b', upper(left(replace(%(id)s::text, '-', ''), 20)), %(at)s, %(at)s
        FROM tenants LIMIT 1""",
    "badge_events": """
        INSERT INTO badge_events (organisation_id, site_id, zone_id, submission_id, door, at, result, source,
            received_at)
        SELECT organisation_id, site_id, id, %(id)s, 'D', %(at)s, 'forced', 's', now() FROM zones LIMIT 1""",
    "badge_holders": """
        INSERT INTO badge_holders (organisation_id, site_id, badge, name, added_at)
        SELECT organisation_id, id, %(id)s, '', %(at)s FROM sites LIMIT 1""",
    "stills": """
        INSERT INTO stills (organisation_id, site_id, zone_id, camera, at, kind, picture, thumbnail, width, height,
            sha256, source, received_at)
        SELECT organisation_id, site_id, id, %(id)s, %(at)s, 'motion', '\\x00', '\\x00', 1, 1, sha256('x'), 's', now()
        FROM zones LIMIT 1""",
    "privacy_requests": """
        INSERT INTO privacy_requests (organisation_id, kind, user_ids, contact_ids, holder_ids, reason, asked_by,
            asked_at, approval, withdrawn_at)
        SELECT organisation_id, 'erasure', array[id], '{}', '{}', 'r', 'x', %(at)s, 1, now() FROM users LIMIT 1""",
    "contacts": """
        INSERT INTO contacts (organisation_id, tenant_id, name, added_at)
        SELECT %(organisation)s, t.id, 'n', %(at)s FROM tenants t
        WHERE NOT EXISTS (SELECT FROM leases WHERE tenant_id = t.id)""",
    "users": """
        INSERT INTO users (organisation_id, login, name, kind, active, ended_at) VALUES (
            %(organisation)s, 'u' || left(replace(%(id)s::text, '-', ''), 20), 'n', 'staff', false, %(at)s)""",
}
USER = "INSERT INTO users (organisation_id, login, name, kind) VALUES (%s, %s, %s, 'staff')"
COUNT = {"users": "SELECT count(*) FROM users WHERE name = 'n'"}


@pytest.fixture
async def watched(database: Database, park: Park) -> Watched:
    return await watch(database, park)


def test_every_table_with_a_period_is_tried() -> None:
    assert set(ADD) == {table for entry in REGISTER.ending for table in entry.holds}


def count(owner: psycopg.Connection[Any], table: str) -> int:
    row = owner.execute(COUNT.get(table, f"SELECT count(*) FROM {table}").encode()).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture(scope="module")
def kept(postgres: PostgresForTests, migrated: str) -> Iterator[tuple[Dsns, UUID]]:
    """A park with people, on which every example of the property works."""
    dsns = fresh_dsns(postgres, migrated)

    async def fill() -> UUID:
        database = Database(dsns.hub)
        await database.open()
        park = await register_park(database, dsns, site_file())
        await watch(database, park)
        await database.close()
        return park.organisation

    organisation = asyncio.run(fill())
    with psycopg.connect(dsns.owner) as owner:
        owner.execute(
            "INSERT INTO users (organisation_id, login, name, kind) VALUES (%s, 'stays', 'S', 'staff')", [organisation]
        )
        owner.execute(
            "INSERT INTO tenants (organisation_id, code, name_zh, name_en) VALUES (%s, 'GONE', '', '')", [organisation]
        )
    yield dsns, organisation
    postgres.drop(dsns.owner)


async def swept(dsns: Dsns, organisation: UUID, now: datetime) -> None:
    database = Database(dsns.hub)
    await database.open()
    try:
        await retention.run(database, organisation, now)
    finally:
        await database.close()


@pytest.mark.parametrize("table", sorted(ADD))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.integers(-40, 40), min_size=1, max_size=6, unique=True))
def test_nothing_younger_than_its_period_goes_and_everything_older_does(
    kept: tuple[Dsns, UUID], table: str, ages: list[int]
) -> None:
    dsns, organisation = kept
    entry = REGISTER.by_table[table]
    assert entry.kept is not None
    moments = [NOON - timedelta(days=entry.kept.days, minutes=age) for age in ages]
    with psycopg.connect(dsns.owner) as owner:
        before = count(owner, table)
        for at in moments:
            owner.execute(ADD[table].encode(), {"id": uuid4(), "at": at, "organisation": organisation})
    asyncio.run(swept(dsns, organisation, NOON))
    with psycopg.connect(dsns.owner) as owner:
        assert count(owner, table) - before == sum(not entry.due(at, NOON) for at in moments)
    asyncio.run(swept(dsns, organisation, NOON + timedelta(days=entry.kept.days + 1) if table == "users" else NOON))


async def test_a_run_is_recorded_by_its_counts_and_removes_in_batches(
    database: Database, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    organisation, dsn = watched.park.organisation, watched.park.dsns.owner
    with psycopg.connect(dsn) as owner:
        for n in range(5):
            at = NOON - timedelta(days=31, minutes=n)
            owner.execute(ADD["stills"].encode(), {"id": uuid4(), "at": at, "organisation": organisation})
    async with database.transaction(organisation, OFFICER) as tx:
        due = {one.table: one.state.due for one in await retention.due(tx, NOON)}
        assert due["stills"] == 5
        assert sum(due.values()) == 5
    assert await retention.run(database, organisation, NOON) == {"stills": 5}
    assert await retention.run(database, organisation, NOON) == {}
    async with database.transaction(organisation, OFFICER) as tx:
        said = await tx.value(
            b"SELECT array_agg((details ->> 'rows')::int ORDER BY id) FROM audit_entries"
            b" WHERE actor = 'plantroom/keeper'"
        )
        assert (await retention.due(tx, NOON))[0].state.kept >= 0
    assert said == [2, 2, 1]


async def test_evidence_outlives_the_period_and_goes_after_its_day(database: Database, watched: Watched) -> None:
    organisation = watched.park.organisation
    with psycopg.connect(watched.park.dsns.owner) as owner:
        owner.execute("UPDATE stills SET kept_until = %s", [NOON + timedelta(days=60)])
    assert "stills" not in await retention.run(database, organisation, NOON + timedelta(days=59))
    assert (await retention.run(database, organisation, NOON + timedelta(days=61)))["stills"] == 2


async def test_contacts_stay_while_their_tenant_has_a_lease_and_their_period_after_it(
    database: Database, watched: Watched
) -> None:
    organisation = watched.park.organisation
    far = NOON + timedelta(days=365 * 5)
    assert "contacts" not in await retention.run(database, organisation, NOON)
    with psycopg.connect(watched.park.dsns.owner) as owner:
        owner.execute("UPDATE leases SET start_on = '2020-01-01'")
        owner.execute(LEASE_END.encode(), [NOON])
    assert "contacts" not in await retention.run(database, organisation, NOON + timedelta(days=729))
    assert (await retention.run(database, organisation, far))["contacts"] == 1


async def test_what_the_law_keeps_is_still_there_after_a_hundred_years(database: Database, watched: Watched) -> None:
    organisation = watched.park.organisation
    with psycopg.connect(watched.park.dsns.owner) as owner:
        before = {table: count(owner, table) for table in ("tenants", "leases", "bank_accounts", "grants")}
        entries = count(owner, "audit_entries")
        await retention.run(database, organisation, NOON + timedelta(days=36_500))
        assert {table: count(owner, table) for table in before} == before
        assert count(owner, "audit_entries") > entries


async def test_another_organisation_loses_nothing(database: Database, watched: Watched) -> None:
    with psycopg.connect(watched.park.dsns.owner) as owner:
        other = owner.execute(
            "INSERT INTO organisations (code, name_zh, name_en) VALUES ('OTHER', '', '') RETURNING id"
        ).fetchone()
        owner.commit()
        assert other is not None
        assert await retention.run(database, other[0], NOON + timedelta(days=4000)) == {}
        assert count(owner, "stills") == 2


async def test_users_get_a_pseudonym_a_year_after_their_end(database: Database, watched: Watched) -> None:
    organisation = watched.park.organisation
    with psycopg.connect(watched.park.dsns.owner, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO users (organisation_id, login, name, kind) VALUES (%s, 'gone', 'Gone', 'staff')",
            [organisation],
        )
        owner.execute("UPDATE users SET active = false WHERE login = 'gone'")
        ended = owner.execute("SELECT ended_at FROM users WHERE login = 'gone'").fetchone()
        assert ended is not None
        await retention.run(database, organisation, ended[0] + timedelta(days=364))
        assert owner.execute("SELECT count(*) FROM users WHERE login = 'gone'").fetchone() == (1,)
        assert (await retention.run(database, organisation, ended[0] + timedelta(days=365)))["users"] == 1
        assert owner.execute("SELECT login LIKE 'erased-%' AND name = login FROM users").fetchone() == (True,)
        assert "users" not in await retention.run(database, organisation, ended[0] + timedelta(days=900))


async def test_the_daily_job_goes_through_every_organisation(database: Database, watched: Watched) -> None:
    with psycopg.connect(watched.park.dsns.owner, autocommit=True) as owner:
        owner.execute("INSERT INTO organisations (code, name_zh, name_en) VALUES ('A-FIRST', '', '')")
        jobs = Work(database, load(), lambda now: now)
        assert "data that has outlived its period" in {job.name for job in jobs.jobs()}
        await jobs.remove_outlived(NOON + timedelta(days=31))
        assert count(owner, "stills") == 0
