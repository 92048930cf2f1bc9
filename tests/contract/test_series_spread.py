"""The series can be spread over several nodes: their tables and every query about them keep to what Citus does.

What it cannot do is in its documentation ("SQL support and workarounds", "create_distributed_table") and its planner.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import FeatureNotSupported

from hub.jobs import nodes
from hub.store import citus
from hub.store.series import BOOKKEEPING, POINT, SERIES
from hub.store.sql import queries
from tests.builders import Dsns

HUB = Path(__file__).parents[2] / "hub"
SLICES = sorted(f"hub.{path.parent.name}" for path in HUB.glob("*/queries.sql"))
VIEWS = ("readings", "original_readings", "hourly_readings", "daily_readings")
LONG = rf"(?:{'|'.join(('samples', 'hourly', 'daily', *VIEWS))})\b"  # grows with time; latest has a row per point
ANY = rf"\b(?:{'|'.join((*SERIES, *VIEWS, 'latest_readings'))})\b"
WITHOUT_POLICY = b"""
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'point_id'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND NOT c.relrowsecurity
"""
KEYS = b"""
SELECT c.relname, i.indexrelid::regclass::text, bool_or(a.attname = 'point_id')
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
WHERE (i.indisunique OR i.indisexclusion) AND c.relname = ANY(%s) GROUP BY 1, 2
"""
TIES = b"""
SELECT conname FROM pg_constraint WHERE contype = 'f'
    AND (conrelid::regclass::text = ANY(%(tables)s) OR confrelid::regclass::text = ANY(%(tables)s))
UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY(%(tables)s)
"""


def _about_series() -> Iterator[tuple[str, str]]:
    for package in SLICES:
        for name, query in queries(package).items():
            said = re.sub(r"--[^\n]*", "", query.decode())
            if re.search(rf"(?:FROM|JOIN|INTO|UPDATE)\s+{ANY}", said):
                yield f"{package}.{name}", said


NOT_ON_NODES = {  # stated in ARCHITECTURE.md, "Limits of this version"
    "hub.corrections.due": "the list of counters to be read by hand wants the newest hour of each, a LIMIT for each",
    "hub.readings.gaps": "each stretch without readings wants the reading before and the one after, a LIMIT for each",
}
ABOUT_SERIES = sorted(one for one in _about_series() if one[0] not in NOT_ON_NODES)


def test_the_list_of_series_names_every_table_of_points_without_a_policy(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        found = {row[0] for row in connection.execute(WITHOUT_POLICY)}
        assert found == {*citus.series_here(connection), *BOOKKEEPING} - {"dirty_zones"}  # which is of sites
    assert {"samples", "latest", "hourly", "dirty_buckets"} <= found


def test_every_unique_key_of_a_series_holds_the_point(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        found = connection.execute(KEYS, [list(SERIES)]).fetchall()
    assert found
    assert [name for _, name, holds in found if not holds] == []


def test_nothing_refers_to_a_series_and_no_trigger_hangs_on_one(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        assert connection.execute(TIES, {"tables": list(SERIES)}).fetchall() == []


def test_the_queries_about_series_are_found() -> None:
    names = {name for name, _ in ABOUT_SERIES}
    assert {
        "hub.ingest.move_latest",
        "hub.ingest.store_staged",
        "hub.jobs.put_hours",
        "hub.readings.series",
    } <= names


@pytest.mark.parametrize(("name", "query"), ABOUT_SERIES, ids=lambda text: text if text.startswith("hub.") else "")
def test_a_query_about_series_can_be_split_among_nodes(name: str, query: str) -> None:
    assert not re.search(r"RETURNING[^();]*\(\s*SELECT", query), f"{name}: a sub-select in RETURNING stays on no node"
    locked = re.search(rf"FROM\s+{ANY}[^;]*\bFOR (NO KEY )?(UPDATE|SHARE)", query)
    assert not locked, f"{name}: rows of several nodes are not locked by a query"
    outer = re.search(rf"(LEFT|RIGHT|FULL)(\s+OUTER)?\s+JOIN\s+{LONG}", query)
    assert not outer, f"{name}: join to a sub-select with its own bounds, or all of the series is fetched"
    for lateral in _laterals(query):
        if re.search(rf"FROM\s+{ANY}", lateral):
            grouped = re.search(r"GROUP BY\s+(\w+\.)?point_id", lateral)
            assert "LIMIT" not in lateral, f"{name}: LIMIT in a LATERAL sub-select is not split among nodes"
            assert grouped, f"{name}: GROUP BY point_id in the LATERAL sub-select, or no node can do its part"


def _laterals(query: str) -> Iterator[str]:
    """Give what stands in the brackets after every LATERAL."""
    for found in re.finditer(r"LATERAL\s*\(", query):
        depth, end = 1, found.end()
        while depth and end < len(query):
            depth += {"(": 1, ")": -1}.get(query[end], 0)
            end += 1
        yield query[found.end() : end]


def test_the_first_table_says_how_many_shards_and_the_others_follow_it() -> None:
    said = [one.as_string(None) for table in SERIES[:2] for one in citus.spread_statements(table, SERIES[0], 8)]
    assert said == [
        f"SELECT create_distributed_table('public.samples', '{POINT}', shard_count => 8)",
        f"SELECT create_distributed_table('public.latest', '{POINT}', colocate_with => 'public.samples')",
    ]


def test_what_runs_on_the_workers_may_run_twice(schema: Dsns) -> None:
    """Here a plain server stands for the worker: the same roles, tried and taken back."""
    with psycopg.connect(schema.owner) as connection:
        for _ in range(2):
            for _, command in citus.worker_commands():
                connection.execute(command.encode())
        assert connection.execute(citus._CAN_READ.encode()).fetchone() == (True,)
        connection.rollback()
        assert connection.execute(citus._CAN_READ.encode()).fetchone() == (False,)


def test_a_server_without_citus_is_refused_with_a_sentence(schema: Dsns) -> None:
    with pytest.raises(citus.SpreadError, match="has no Citus: CREATE EXTENSION citus"):
        citus.distribute(schema.owner)


def test_on_nodes_readings_are_the_samples_and_cannot_be_corrected(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as connection:
        for statement in citus.PLAIN * 2:
            connection.execute(statement)
        shown = connection.execute("SELECT pg_get_viewdef('readings'), pg_get_viewdef('effective_samples')").fetchone()
        assert "amendments" not in str(shown)
        with pytest.raises(FeatureNotSupported, match="cannot be corrected"):
            connection.execute("INSERT INTO amendments VALUES (gen_random_uuid(), 1, now(), 1, 192, gen_random_uuid())")
        connection.rollback()


@pytest.mark.parametrize("name", ["roll", "merge_days"])
def test_on_nodes_what_is_made_of_series_is_asked_of_what_was_fetched(name: str) -> None:
    assert not re.search(ANY, nodes.statement(name, spread=True).decode())
    assert "_here" not in nodes.statement(name, spread=False).decode()


@pytest.mark.parametrize("name", sorted(queries("hub.jobs")))
def test_no_statement_of_the_rollups_mixes_series_and_what_stays(name: str) -> None:
    said = re.sub(r"--[^\n]*", "", queries("hub.jobs")[name].decode())
    if re.search(rf"(?:FROM|JOIN|INTO|UPDATE)\s+{ANY}", said):
        assert not re.search(rf"(?:FROM|JOIN|INTO|UPDATE)\s+(?:points|sites|{'|'.join(BOOKKEEPING)})\b", said)
        assert "ctid" not in said
