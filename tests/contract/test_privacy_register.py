"""The register of personal data names every column that may hold something personal, and the hub does as it says."""

from collections.abc import Mapping
from datetime import date, timedelta

import psycopg
import pytest

from hub.access.rights import Right
from hub.privacy import definitions
from hub.store.sql import queries
from rules.privacy.register import Register, Then
from tests.builders import Dsns

FIRST = date(2026, 11, 24)  # before it nothing was registered
TODAY = date(2026, 12, 1)
SQL = queries("hub.privacy")

# What may hold something about a person: text, bytes, documents, addresses, and arrays of whatever.
_COLUMNS = """
SELECT c.relname::text, a.attname::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
  AND NOT a.attisdropped AND t.typcategory IN ('S', 'A', 'I', 'U') AND t.typname <> 'uuid'"""

# What no statement about one person can find: nothing in it leads from a person to a row.
NOT_LINKED = {
    "departures": "a browser on its way to an identity provider, for minutes",
    "throttles": "counts under a hash of whom and from where",
}
# What others do for the whole entry.
ERASED_WITH = {"badge_events": "badge_holders"}


@pytest.fixture
def register() -> Register:
    return definitions.register(TODAY)


def test_every_column_that_may_hold_something_personal_is_declared_once(schema: Dsns, register: Register) -> None:
    with psycopg.connect(schema.owner) as connection:
        found = set(connection.execute(_COLUMNS).fetchall())
    assert len(found) > 150
    assert found - register.columns == set(), "declare these in rules/definitions/privacy.yaml"
    assert register.columns - found == set(), "these columns are no longer there"


def test_who_may_see_it_are_rights_that_exist(register: Register) -> None:
    said = {right for entry in register.entries for right in entry.seen_by}
    assert said - set(Right) <= {"himself", "nobody"}


def test_every_table_has_its_export_and_its_erasure(register: Register) -> None:
    for table, entry in register.by_table.items():
        assert f"export_{table}" in SQL or table in NOT_LINKED, table
        erased = f"erase_{ERASED_WITH.get(table, table)}" in SQL
        assert erased == (entry.erasure is not Then.KEEP) or table in NOT_LINKED, table
    named = {name.partition("_")[2] for name in SQL if name.startswith(("export_", "erase_"))}
    assert named <= set(register.by_table)


def test_every_period_has_the_statement_that_ends_it(register: Register) -> None:
    ending = {table: entry for entry in register.ending for table in entry.holds}
    assert {name.removeprefix("state_") for name in SQL if name.startswith("state_")} == set(ending)
    removed = {table for table, entry in ending.items() if entry.afterwards is Then.DELETE}
    assert {name.removeprefix("remove_") for name in SQL if name.startswith("remove_")} == removed
    assert {table for table, entry in ending.items() if entry.afterwards is Then.PSEUDONYMISE} == {"users"}


def _keeper(schema: Dsns) -> Mapping[str, tuple[bool, bool, bool, bool]]:
    with psycopg.connect(schema.owner) as connection:
        rows = connection.execute(
            """SELECT c.relname::text, has_any_column_privilege('plantroom_keeper', c.oid, 'SELECT'),
                      has_any_column_privilege('plantroom_keeper', c.oid, 'INSERT'),
                      has_any_column_privilege('plantroom_keeper', c.oid, 'UPDATE'),
                      has_table_privilege('plantroom_keeper', c.oid, 'DELETE')
               FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')"""
        ).fetchall()
    return {table: rights for table, *rights in rows}  # type: ignore[misc]


def test_the_keeper_deletes_and_changes_only_what_the_register_names(schema: Dsns, register: Register) -> None:
    rights = _keeper(schema)
    by_table = register.by_table
    for table, (reads, adds, changes, deletes) in rights.items():
        entry = by_table.get(table)
        assert not adds, table
        if entry is None:
            assert not changes, table
            assert not deletes, table
            assert not reads or table in ("sites", "zones", "leases", "posting_lines"), table
            continue
        goes = entry.afterwards is Then.DELETE or entry.erasure is not Then.KEEP
        assert goes or not (changes or deletes), table
        assert not deletes or Then.DELETE in (entry.afterwards, entry.erasure), table


def test_the_keeper_reads_no_secret(schema: Dsns) -> None:
    secret = (
        ("bank_accounts", "number"), ("credentials", "password_hash"), ("credentials", "totp_seed"),
        ("sessions", "token_hash"), ("api_tokens", "secret_hash"), ("mails", "body"), ("invitations", "token_hash"),
    )  # fmt: skip
    with psycopg.connect(schema.owner) as connection:
        for table, column in secret:
            asked = "SELECT has_column_privilege('plantroom_keeper', %s, %s, 'SELECT')"
            assert connection.execute(asked, [table, column]).fetchone() == (False,), (table, column)


def test_a_version_holds_from_its_day_on(register: Register) -> None:
    assert definitions.register(FIRST - timedelta(days=1)).entries == ()
    assert definitions.register(TODAY + timedelta(days=400)).entries == register.entries
