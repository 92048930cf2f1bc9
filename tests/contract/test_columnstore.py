"""The third back end: TimescaleDB under its own licence compresses weeks that are over.

Its server here is compiled to WebAssembly: one connection, no COPY, no log-ins.  What it shares with a real one is
asked of it: our own migrations, compaction, late readings into a compressed week, removal, and what the doctor says.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.keeping.partitions import SQL
from hub.store.backend import Kind, detect
from hub.store.migrate import migrations
from tests.cache import or_skipped
from tests.columnstore.server import Connection, packages, serving

pytestmark = pytest.mark.timeout(600)  # the first run fetches the packages

SMALLER_AT_LEAST = 8
POINTS, READINGS = 10, 3 * 24 * 60
# A level that wanders a little, once a minute, as a meter gives it: in steps of its resolution.
FILL = f"""
INSERT INTO samples (point_id, at, value, quality)
SELECT p, '2022-03-06Z'::timestamptz + n * interval '1 min', p + round((3 * sin(n / 200.0) + random())::numeric, 1), 192
FROM generate_series(1, {POINTS}) p, generate_series(0, {READINGS - 1}) n
"""
LATE = """
INSERT INTO samples (point_id, at, value, quality)
SELECT p, '2022-03-07 00:00:30Z'::timestamptz + n * interval '30 s', 1, 192
FROM generate_series(1, 12) p, generate_series(0, 999) n
ON CONFLICT DO NOTHING
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A database that has TimescaleDB, with our schema in it, as ingest."""
    with or_skipped():
        packages()
    with serving(Path(tmp_path_factory.mktemp("columnstore"))) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
        for migration in migrations():
            with connection.transaction():
                connection.execute(migration.text.encode())
        yield connection


def one(connection: Connection, query: str | bytes, asked: dict[str, Any] | None = None) -> Any:
    found = connection.execute(query.encode() if isinstance(query, str) else query, asked).fetchone()
    assert found is not None
    return found[0]


def part(connection: Connection) -> tuple[str, int, bool]:
    [(name, _, _, size, compacted)] = connection.execute(SQL["parts"]).fetchall()
    return name, size, compacted


def test_weeks_that_are_over_are_compressed_take_late_readings_and_go(store: Connection) -> None:
    assert detect(store).kind is Kind.COLUMNSTORE
    store.execute("SET ROLE plantroom_ingest")
    store.execute(FILL.encode())
    name, before, _ = part(store)
    facts = "SELECT format('%s %s', count(*), sum(value)) FROM samples"
    told = one(store, facts)

    after = one(store, SQL["compact"], {"part": name})
    assert before / after >= SMALLER_AT_LEAST
    assert part(store) == (name, after, True)
    assert one(store, facts) == told

    stored = store.execute(LATE.encode()).rowcount
    assert stored == 12_000 - POINTS * 500  # every second of them was there already, in the points that were
    assert store.execute(LATE.encode()).rowcount == 0
    assert one(store, "SELECT count(*) FROM samples") == POINTS * READINGS + stored
    assert not part(store)[2]
    again = one(store, SQL["compact"], {"part": name})
    assert again < 2 * after
    assert one(store, "SELECT count(*) FROM samples") == POINTS * READINGS + stored
    assert one(store, "SELECT value FROM samples WHERE point_id = 12 AND at = '2022-03-07 00:00:30Z'") == 1

    asked = {"points": [1, 2], "since": "2022-03-06Z", "until": "2022-03-20Z", "most": 10**6}
    assert one(store, SQL["remove_samples"], asked) == 2 * (READINGS + 500)
    assert one(store, "SELECT count(DISTINCT point_id) FROM samples") == 10
    [kept] = store.execute(SQL["drop_part"], {"part": name, "gone": [3, 4]}).fetchall()
    assert kept == (None, 0)
    store.execute(SQL["drop_part"], {"part": name, "gone": list(range(1, 13))})
    assert store.execute(SQL["parts"]).fetchall() == []
    store.execute("RESET ROLE")
