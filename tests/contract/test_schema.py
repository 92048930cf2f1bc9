"""What the schema promises: every table is under its organisation, and the money tables are written once."""

import re

import psycopg
import pytest

from tests.builders import Dsns

# Time series carry no policy (COPY refuses it): nobody but ingest has a right on them; people read barrier views.
SERIES = {
    "samples", "latest", "hourly", "daily", "dirty_buckets", "dirty_hours", "dirty_days", "dirty_zones",
}  # fmt: skip
BOOKKEEPING = {"schema_migrations", "schema_moves"}
# What belongs to the organisation as a whole and not to a site, with the reason.
NO_PLACE = {
    "users": "a person works at several sites; his roles say where",
    "grants": "who holds what is the organisation's business as a whole",
    "sessions": "a session is a person's",
    "privacy_requests": "what is known of a person is the organisation's business as a whole",
    "identities": "how a person signs in elsewhere is a person's",
    "api_tokens": "a token is a person's; it names its own places",
    "mails": "a letter is its recipient's",
    "flow_versions": "flows are the organisation's",
    "deputations": "a deputy stands in for a person, wherever that one works",
    "audit_entries": "read by auditors of the whole organisation only",
    "accounts": "one chart of accounts",
    "counters": "numbers run through the organisation without gaps",
}


def test_every_table_is_under_a_policy_or_out_of_reach(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        rows = connection.execute(
            """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
                      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive),
                      has_table_privilege('plantroom_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"""
        ).fetchall()
    assert len(rows) > 20
    for table, forced, has_policy, reachable in rows:
        if table in SERIES | BOOKKEEPING:
            assert not reachable, table
        else:
            assert (forced, has_policy) == (True, True), table


def test_a_backup_sees_every_row_of_every_table_and_changes_none(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        rows = connection.execute(
            """SELECT c.relname, has_table_privilege('plantroom_backup', c.oid, 'SELECT'),
                      has_table_privilege('plantroom_backup', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'),
                      NOT c.relrowsecurity OR EXISTS (
                          SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
                          AND 'plantroom_backup'::regrole = ANY(p.polroles) AND pg_get_expr(p.polqual, c.oid) = 'true'),
                      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive
                          AND p.polroles && ARRAY[0::oid, 'plantroom_backup'::regrole::oid])
               FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                 AND NOT c.relispartition"""
        ).fetchall()
    assert len(rows) > 50
    assert [
        name for name, reads, writes, sees, held in rows if (reads, writes, sees, held) != (True, False, True, False)
    ] == []


def test_no_role_of_the_programs_can_bypass_policies(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname LIKE 'plantroom\\_%'"
        ).fetchall()
    assert len(rows) == 9
    assert not [name for name, mighty in rows if mighty]


def test_the_hub_has_no_right_before_it_takes_a_role(schema: Dsns) -> None:
    with psycopg.connect(schema.hub) as connection:
        rows = connection.execute(
            """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v')
                 AND has_table_privilege('plantroom_hub', c.oid, 'SELECT, INSERT, UPDATE, DELETE')"""
        ).fetchone()
    assert rows == (0,)


@pytest.mark.parametrize("multiplier", ["-40", "0"])
def test_a_meter_cannot_count_backwards_or_nothing(schema: Dsns, multiplier: str) -> None:
    row = "gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'M', '', '', 'p', 'tenant'"
    with psycopg.connect(schema.owner) as connection, pytest.raises(psycopg.errors.CheckViolation, match="multiplier"):
        connection.execute(
            f"""INSERT INTO devices (organisation_id, site_id, gateway_id, space_id, code, name_zh, name_en, profile,
                role, multiplier) VALUES ({row}, {multiplier})""".encode()
        )


def _policies(schema: Dsns) -> dict[str, str]:
    """Per table of an organisation: the text of every restrictive policy for the application role."""
    with psycopg.connect(schema.owner) as connection:
        return dict(
            connection.execute(
                """SELECT c.relname::text, coalesce(string_agg(pg_get_expr(p.polqual, p.polrelid), ' AND '), '')
                   FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organisation_id'
                   LEFT JOIN pg_policy p ON p.polrelid = c.oid AND NOT p.polpermissive
                        AND 'plantroom_app'::regrole = ANY(p.polroles) AND p.polcmd IN ('*', 'r')
                   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                     AND has_any_column_privilege('plantroom_app', c.oid, 'SELECT') GROUP BY 1"""
            ).fetchall()
        )


def test_every_table_keeps_to_the_places_of_the_transaction_or_says_why_not(schema: Dsns) -> None:
    placed = {table for table, said in _policies(schema).items() if "covers(" in said or "everywhere()" in said}
    assert set(_policies(schema)) - placed <= set(NO_PLACE)


def test_every_table_is_closed_to_people_from_outside_or_says_what_is_theirs(schema: Dsns) -> None:
    for table, said in _policies(schema).items():
        assert "insider()" in said or ("tenant()" in said and "contractor()" in said), table


def test_what_a_policy_asks_about_the_transaction_is_asked_once_for_a_query(schema: Dsns) -> None:
    """Else it is asked for every row, and the planner takes the answer for unlikely; see migration 0016."""
    asked = r"plantroom\.(everywhere|insider|tenant|contractor|organisation|covers|places|own)\("
    with psycopg.connect(schema.owner) as connection:
        rows = connection.execute(
            "SELECT tablename, policyname, qual FROM pg_policies WHERE qual IS NOT NULL"
        ).fetchall()
    bare = [
        (table, policy)
        for table, policy, rule in rows
        if len(re.findall(asked, rule)) != len(re.findall(r"\( SELECT \(*" + asked, rule))
    ]
    assert len(rows) > 100
    assert bare == []
