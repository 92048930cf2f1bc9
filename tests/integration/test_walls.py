"""What the database itself refuses, table by table: other organisations, a tenant's curiosity, changed records."""

from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.types.json import Jsonb

from hub.access import service as access
from hub.assets import service as assets
from hub.billing import service as billing
from hub.billing.paper import pdf
from hub.leases import service as leases
from hub.store.database import Database, Role, Transaction
from rules.model.site import Organisation
from tests.builders import ENGINEER, Park, acting
from tests.integration.test_billing_run import enter, fill, run

# What a tenant may see at all; each row of it is his own or names something on his papers.
TENANT_SEES = {"organisations", "sites", "tenants", "users", "leases", "lease_units", "spaces", "device_units",
               "devices", "invoices", "charges", "contacts", "bank_accounts"}  # fmt: skip
BEHIND_THE_DOOR = {"credentials", "password_history", "recovery_codes", "invitations"}  # no right for plantroom_app
WRITTEN_ONCE = (
    "invoices", "charges", "postings", "posting_lines", "audit_entries", "approval_contents", "approval_decisions",
    "commissionings", "import_points", "correction_lines", "correction_photos", "meter_exchanges",
    "consumption_changes",
)  # fmt: skip

OURS = """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organisation_id'
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1"""

# One row of what a billed park does not have by itself; everything hangs on rows that are there.
ODDS = (
    """INSERT INTO sessions SELECT '\\x01', organisation_id, id, '', now(), now(), now(), '' FROM users LIMIT 1""",
    """INSERT INTO quarantine (organisation_id, received_at, topic, reason, payload)
       SELECT id, now(), 't', 'r', '' FROM organisations LIMIT 1""",
    """INSERT INTO alarms (organisation_id, site_id, device_id, rule, rule_version, priority, name_zh, name_en,
                           condition_began_at, raised_at)
       SELECT organisation_id, site_id, id, 'r', 1, 'low', '', '', now(), now() FROM devices LIMIT 1""",
    """INSERT INTO alarm_events (organisation_id, alarm_id, at, event, actor)
       SELECT organisation_id, id, now(), 'raised', 'x' FROM alarms""",
    "INSERT INTO alarm_states SELECT organisation_id, rule, device_id, 'active', now(), true, now(), id FROM alarms",
    """INSERT INTO work_orders (organisation_id, site_id, space_id, number, title_zh, title_en, skill, zone, priority,
                                state, created_at, changed_at)
       SELECT organisation_id, site_id, id, 1, '', '', 's', 'A', 'low', 'requested', now(), now()
       FROM spaces LIMIT 1""",
    "INSERT INTO work_order_alarms SELECT w.organisation_id, w.id, a.id FROM work_orders w, alarms a",
    """INSERT INTO work_order_events (organisation_id, order_id, submission_id, at, actor, verb, from_state, to_state)
       SELECT organisation_id, id, gen_random_uuid(), now(), 'x', 'request', '', 'requested' FROM work_orders""",
    """INSERT INTO commissionings (organisation_id, point_id, at, by_whom, unit, face, agrees, pace, said, received_at,
                                   received_from)
       SELECT organisation_id, id, now(), 'x', 'kWh', 1, true, '', '', now(), 'x' FROM points LIMIT 1""",
    """INSERT INTO strangers
       SELECT organisation_id, id, 'GW-X', 'D', 'energy', now(), now() FROM sites""",
    """INSERT INTO held_frames (organisation_id, gateway_id, device, received_at, readings, body)
       SELECT organisation_id, id, 'D', now(), 1, '\\x01' FROM gateways LIMIT 1""",
    """INSERT INTO imports (organisation_id, site_id, name, sha256, size_bytes, state, checked_at, checked_by, readings,
                            good, duplicates, conflicts, refused, report)
       SELECT organisation_id, id, 'f', repeat('0', 64), 1, 'checked', now(), 'x', 1, 1, 0, 0, 0, '' FROM sites""",
    "INSERT INTO import_files SELECT organisation_id, id, '' FROM imports",
    """INSERT INTO import_points SELECT i.organisation_id, i.id, p.id, 1, now(), now(), ''
       FROM imports i JOIN points p ON p.organisation_id = i.organisation_id LIMIT 1""",
    "INSERT INTO parked_leases SELECT organisation_id, id, '2026-09-01', '', '', now() FROM leases LIMIT 1",
    """INSERT INTO zones (organisation_id, site_id, code, name_zh, name_en)
       SELECT organisation_id, id, 'Z', '', '' FROM sites""",
    """INSERT INTO badge_holders (organisation_id, site_id, badge, name, added_at)
       SELECT organisation_id, id, '1', 'n', now() FROM sites""",
    """INSERT INTO badge_events (organisation_id, site_id, zone_id, submission_id, door, at, result, source,
                                 received_at)
       SELECT organisation_id, site_id, id, gen_random_uuid(), 'd', now(), 'forced', 's', now() FROM zones""",
    """INSERT INTO stills (organisation_id, site_id, zone_id, camera, at, kind, picture, thumbnail, width, height,
                           sha256, source, received_at)
       SELECT organisation_id, site_id, id, 'c', now(), 'motion', '\\x01', '\\x01', 1, 1, sha256('x'), 's', now()
       FROM zones""",
    """INSERT INTO contacts (organisation_id, tenant_id, name, added_at)
       SELECT organisation_id, id, 'n', now() FROM tenants""",
    """INSERT INTO bank_accounts (organisation_id, tenant_id, holder, bank, number, added_at)
       SELECT organisation_id, id, 'h', 'b', '12345678', now() FROM tenants""",
    """INSERT INTO privacy_requests (organisation_id, kind, user_ids, contact_ids, holder_ids, reason, asked_by,
                                     asked_at, approval)
       SELECT organisation_id, 'erasure', array[id], '{}', '{}', 'r', 'x', now(), 1 FROM users LIMIT 1""",
    """INSERT INTO api_tokens (organisation_id, user_id, name, prefix, secret_hash, rights, created_at, created_by,
                               expires_at)
       SELECT organisation_id, id, 'x', 'p', decode(repeat('00', 32), 'hex'), '{see_points}', now(), 'x',
              now() + interval '1 day' FROM users LIMIT 1""",
    """INSERT INTO identities (organisation_id, user_id, issuer, subject, linked_at, linked_by)
       SELECT organisation_id, id, 'https://issuer.example', 's', now(), 'x' FROM users LIMIT 1""",
    "INSERT INTO allowances SELECT organisation_id, id, 'm', 0, 1, 1, false, false FROM devices LIMIT 1",
    """INSERT INTO commands (id, organisation_id, device_id, measure, reason, critical, given_by, asked_at, state)
       SELECT gen_random_uuid(), organisation_id, id, 'm', '', false, 'x', now(), 'asked' FROM devices LIMIT 1""",
    """INSERT INTO gateway_certificates (organisation_id, gateway_id, serial, fingerprint, key_fingerprint, certificate,
                                         not_before, not_after, issued_at)
       SELECT organisation_id, id, 'a1', repeat('0', 64), repeat('1', 64), 'x', now(), now() + interval '90 days', now()
       FROM gateways LIMIT 1""",
    """INSERT INTO gateway_configurations (organisation_id, gateway_id, number, sha256, body, note, set_at)
       SELECT organisation_id, id, 1, repeat('0', 64), 'x', '', now() FROM gateways LIMIT 1""",
    """INSERT INTO gateway_configuration_states (organisation_id, gateway_id, number, sha256, state, reason, changed_at)
       SELECT organisation_id, id, 1, repeat('0', 64), 'local', '', now() FROM gateways LIMIT 1""",
    """INSERT INTO corrections (id, organisation_id, number, point_id, point, kind, first_at, last_at, lines, digest,
                                reason, billing, bills, effect, asked_by, asked_at, state)
       SELECT gen_random_uuid(), organisation_id, 1, id, code, 'exchange', now(), now(), 1, '', 'r', false, '{}', '[]',
              'x', now(), 'proposed' FROM points LIMIT 1""",
    """INSERT INTO correction_lines (organisation_id, correction_id, at)
       SELECT organisation_id, id, now() FROM corrections""",
    """INSERT INTO correction_photos (organisation_id, correction_id, sha256, media_type, picture)
       SELECT organisation_id, id, '\\x01', 'image/png', '\\x01' FROM corrections""",
    """INSERT INTO meter_exchanges (organisation_id, correction_id, point_id, at, final, resolution_before,
                                    multiplier_before, serial_before, initial, resolution, multiplier, serial)
       SELECT organisation_id, id, point_id, now(), 1, 1, 1, '', 0, 1, 1, '' FROM corrections""",
    """INSERT INTO amendments (organisation_id, point_id, at, quality, correction_id)
       SELECT organisation_id, point_id, '2020-01-01', 0, id FROM corrections""",
    """INSERT INTO virtual_meters (organisation_id, site_id, code, name_zh, name_en, commodity, unit, versions)
       SELECT organisation_id, id, 'V', '', '', 'water', 'm³', '[]' FROM sites""",
    """INSERT INTO consumptions (organisation_id, point_id, grain, first, starts_at, ends_at, state, unit, estimated,
                                 reach_from, reach_to, evidence, version, worked_at)
       SELECT organisation_id, id, 'day', '2026-10-01', now(), now() + interval '1 day', 'parked', unit, false, now(),
              now(), '{}', 1, now() FROM points LIMIT 1""",
    """INSERT INTO consumption_changes (organisation_id, consumption_id, version, changed_at, cause, differences,
                                        after_final, invoices)
       SELECT organisation_id, id, 2, now(), 'readings', '[]', false, '{}' FROM consumptions""",
    "INSERT INTO consumption_marks SELECT organisation_id, id, now() FROM points LIMIT 1",
    "INSERT INTO password_history SELECT organisation_id, id, now(), 'x' FROM users LIMIT 1",
    "INSERT INTO recovery_codes SELECT organisation_id, id, decode(repeat('00', 32), 'hex') FROM users LIMIT 1",
    """INSERT INTO invitations (token_hash, organisation_id, user_id, purpose, made_at, expires_at)
       SELECT decode(repeat('00', 32), 'hex'), organisation_id, id, 'reset', now(), now() + interval '1 minute'
       FROM users LIMIT 1""",
    """INSERT INTO mails (organisation_id, address, language, subject, body, created_at, due_at)
       SELECT id, 'a@b.example', 'en', 's', 'b', now(), now() FROM organisations LIMIT 1""",
    """INSERT INTO flow_versions (organisation_id, kind, version, valid_from, definition, written, proposed_by,
                                  proposed_at)
       SELECT id, 'expense', '1', '2026-01-01', '{}', '', 'x', now() FROM organisations LIMIT 1""",
    """INSERT INTO approval_requests (organisation_id, number, kind, subject_id, title_zh, title_en, flow, submitted_by,
                                      authors, submitted_at, content_hash, round, asked_at, state, step, needed,
                                      reminded, escalated, short)
       SELECT id, 1, 'expense', 's', 't', 't', '{}', 'x', '{x}', now(), repeat('0', 64), 1, now(), 'open', 0, 1, false,
              false, false FROM organisations LIMIT 1""",
    """INSERT INTO approval_contents SELECT organisation_id, id, 1, '{}', content_hash, 'x', now()
       FROM approval_requests""",
    """INSERT INTO approval_decisions (organisation_id, request_id, submission_id, round, step, content_hash, login,
                                       verdict, comment, at, submitted_by)
       SELECT organisation_id, id, gen_random_uuid(), 1, 0, content_hash, 'y', 'approve', '', now(), 'x'
       FROM approval_requests""",
    """INSERT INTO deputations (organisation_id, principal_id, deputy_id, start_at, end_at, made_by, made_at)
       SELECT a.organisation_id, a.id, b.id, now(), now(), 'x', now()
       FROM users a JOIN users b ON a.id < b.id LIMIT 1""",
)


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    return [name for (name,) in connection.execute(OURS).fetchall()]


def counts_of(connection: psycopg.Connection[Any]) -> dict[str, int]:
    return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables(connection)}  # type: ignore[index]


async def populate(database: Database, park: Park) -> dict[str, int]:
    """A park with at least one row in every table that carries an organisation; gives the counts."""
    fill(park)
    site = await enter(database, park)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        for n, lease in enumerate((await leases.leases(tx))[:2]):
            await access.add_user(tx, f"tenant{n}", "T", "tenant", "only for these tests", tenant_id=lease.tenant_id)
    await run(database, park, site)
    with psycopg.connect(park.dsns.owner) as owner:
        for statement in ODDS:
            owner.execute(statement.encode())
        counts = counts_of(owner)
    assert not [table for table, count in counts.items() if not count]
    return counts


async def refused(connection: AsyncConnection[Any], statement: sql.Composed) -> str:
    """Try a statement; gives how it was refused, or the number of rows that it touched."""
    try:
        async with connection.transaction():
            return str((await connection.execute(statement)).rowcount)
    except psycopg.errors.InsufficientPrivilege as error:
        return "row-level security" if "row-level security" in str(error) else "no right"


async def copies(owner: psycopg.Connection[Any], table: str) -> sql.Composed:
    """An INSERT of a row that the table has, into the columns that the program may write."""
    columns = owner.execute(
        """SELECT attname, has_column_privilege('plantroom_app', attrelid, attnum, 'INSERT')
           FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attidentity = '' AND NOT attisdropped""",
        [table],
    ).fetchall()
    names = [name for name, may in columns if may] or [name for name, _ in columns]
    row = owner.execute(f"SELECT to_jsonb(t) FROM {table} t LIMIT 1".encode()).fetchone()
    assert row is not None
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL("INSERT INTO {t} ({c}) SELECT {c} FROM jsonb_populate_record(NULL::{t}, {row})").format(
        t=sql.Identifier(table), c=listed, row=sql.Literal(Jsonb(row[0]))
    )


async def test_another_organisation_neither_sees_nor_touches_nor_adds_a_row_of_any_table(
    database: Database, park: Park
) -> None:
    before = await populate(database, park)
    other = assets.open_organisation(park.dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other"))
    with psycopg.connect(park.dsns.owner) as owner:
        async with database.transaction(other, ENGINEER) as tx:
            for table in before:
                name = sql.Identifier(table)
                said = [
                    await refused(tx.connection, statement)
                    for statement in (
                        sql.SQL("SELECT FROM {}").format(name),
                        sql.SQL("UPDATE {} SET organisation_id = organisation_id").format(name),
                        sql.SQL("DELETE FROM {}").format(name),
                        await copies(owner, table),
                    )
                ]
                assert said[0] == ("no right" if table in BEHIND_THE_DOOR else "0"), table
                assert {said[1], said[2]} <= {"0", "no right"}, table
                assert said[3] in ("row-level security", "no right"), table
            for view in ("readings", "latest_readings", "hourly_readings", "daily_readings"):
                assert await tx.value(f"SELECT count(*) FROM {view}".encode()) == 0
        after = counts_of(owner)
    assert after == before


def test_every_reference_between_tables_of_an_organisation_carries_it(park: Park) -> None:
    with psycopg.connect(park.dsns.owner) as owner:
        ours = tables(owner)
        links = owner.execute(
            """SELECT c.conrelid::regclass::text, c.confrelid::regclass::text, c.conname,
                      array(SELECT attname::text FROM pg_attribute
                            WHERE attrelid = c.conrelid AND attnum = ANY(c.conkey))
               FROM pg_constraint c WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace"""
        ).fetchall()
    inner = [(source, name, columns) for source, target, name, columns in links if {source, target} <= {*ours}]
    assert len(inner) > 30
    assert not [(source, name) for source, name, columns in inner if "organisation_id" not in columns]


async def test_an_organisation_cannot_name_a_tenant_of_another(database: Database, park: Park) -> None:
    await populate(database, park)
    other = assets.open_organisation(park.dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other"))
    with psycopg.connect(park.dsns.owner) as owner:
        (tenant,) = owner.execute("SELECT id FROM tenants LIMIT 1").fetchone() or ()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with database.transaction(other, ENGINEER) as tx:
            await access.add_user(tx, "spy", "Spy", "tenant", "only for these tests", tenant_id=tenant)


async def count(tx: Transaction, what: str) -> int:
    found: int = await tx.value(f"SELECT count(*) FROM {what}".encode())
    return found


async def test_a_tenant_sees_his_papers_and_what_stands_on_them(database: Database, park: Park) -> None:
    before = await populate(database, park)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        lease = (await leases.leases(tx))[0]
        meters = {meter.code for meter in await leases.lease_meters(tx, lease.id)}
    async with database.transaction(park.organisation, acting("t", "tenant", tenant_id=lease.tenant_id)) as tx:
        seen = {table for table in before if table not in BEHIND_THE_DOOR and await count(tx, table)}
        assert seen | {"organisations"} == TENANT_SEES
        for table in ("leases", "invoices", "users", "tenants"):
            assert await count(tx, table) == 1, table
        assert await tx.value(b"SELECT array_agg(code ORDER BY code) FROM spaces") == lease.units
        assert set(await tx.value(b"SELECT array_agg(code) FROM devices")) == meters
        assert await count(tx, "lease_units") == len(lease.units)
        for view in ("readings", "latest_readings", "hourly_readings", "daily_readings"):
            assert await count(tx, view) == 0
        view_ = await billing.invoice_view(tx, (await billing.invoices(tx))[0].id)
        assert {charge.meter for charge in view_.charges} == {None, *meters}
        assert len(await pdf(tx, view_.invoice.id, "en")) > 1000
        await access.set_language(tx, await tx.value(b"SELECT id FROM users"), "en")


def changes(table: str) -> list[str]:
    harmless = "actor = 'x'" if table == "audit_entries" else "organisation_id = excluded.organisation_id"
    overriding = "OVERRIDING SYSTEM VALUE" if table in ("audit_entries", "approval_decisions") else ""
    conflict = f"ON CONFLICT ON CONSTRAINT {table}_pkey DO UPDATE SET {harmless}"
    return [
        f"UPDATE {table} SET {harmless.replace('excluded.', '')}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"INSERT INTO {table} {overriding} SELECT * FROM {table} LIMIT 1 {conflict}",
    ]


async def test_what_is_written_once_is_changed_by_nobody(database: Database, park: Park) -> None:
    before = await populate(database, park)
    with (
        psycopg.connect(park.dsns.owner, autocommit=True) as owner,
        psycopg.connect(park.dsns.hub, autocommit=True) as hub,
    ):
        for statement in (change for table in WRITTEN_ONCE for change in changes(table)):
            with pytest.raises(psycopg.errors.RestrictViolation, match="written once for ever"):
                owner.execute(statement.encode())
            hub.execute("SET ROLE plantroom_app")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), hub.transaction():
                hub.execute(statement.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege), hub.transaction():
            hub.execute("SET session_replication_role = replica")
        assert counts_of(owner) == before


@pytest.mark.parametrize("change", ["amount = 0, tax = 0", "amount = 1"])
async def test_no_charge_is_added_to_an_invoice_that_is_out(database: Database, park: Park, change: str) -> None:
    await populate(database, park)
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("CREATE TEMP TABLE late AS SELECT * FROM charges WHERE kind = 'rent' LIMIT 1")
        owner.execute(f"UPDATE late SET id = gen_random_uuid(), line = 9, kind = 'water', {change}".encode())
        owner.execute("INSERT INTO charges SELECT * FROM late")
        with pytest.raises(psycopg.errors.CheckViolation, match="do not make up its totals"):
            owner.commit()


async def test_who_writes_an_act_chooses_neither_its_time_nor_its_place(database: Database, park: Park) -> None:
    for column, value in (("at", "now()"), ("sealed_number", "7"), ("hash", "'\\x00'")):
        for role in (Role.APP, Role.DOOR):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with database.transaction(park.organisation, ENGINEER, role) as tx:
                    await tx.run(
                        f"""INSERT INTO audit_entries (organisation_id, actor, action, entity, entity_id, {column})
                            VALUES (plantroom.organisation(), 'x', 'x', 'x', 'x', {value})""".encode()
                    )
