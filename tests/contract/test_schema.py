"""What the schema promises: every table is under its organisation, and the money tables are written once."""

import psycopg
import pytest

from tests.builders import Dsns

# Time series carry no policy (COPY refuses it): nobody but ingest has a right on them; people read barrier views.
SERIES = {"samples", "latest", "hourly", "dirty_buckets"}
BOOKKEEPING = {"schema_migrations"}


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


def test_no_role_of_the_programs_can_bypass_policies(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname LIKE 'plantroom\\_%'"
        ).fetchall()
    assert len(rows) == 6
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
