"""What a stored reading costs in bytes, index included, once its week was compacted; on every back end.

The same readings everywhere: half counters in steps of 0.01 kWh, half levels in steps of 0.1, polled once a minute some
milliseconds late, stored as they come.  The columnstore runs in WebAssembly and gets fewer points.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.postgres import Postgres
from hub.keeping.partitions import SQL
from hub.store.migrate import migrate, migrations
from tests.bench.row import Row, at_least, at_most
from tests.cache import CannotBeMadeError
from tests.columnstore.server import serving
from tests.timescale import running

HUB_PASSWORD = "only for benches"
POINTS, POINTS_IN_COLUMNS, MINUTES = 200, 20, 5 * 24 * 60
BYTES_MAX, SMALLER_MIN, PAGES_MOST = 100.0, 8.0, 0.1
FILL = """
INSERT INTO samples (point_id, at, value, quality)
SELECT p, '2022-03-10Z'::timestamptz + n * interval '1 min' + floor(random() * 20) * interval '1 ms',
       CASE WHEN p %% 2 = 0 THEN round((100000 + p * 1000 + n * (0.05 + p * 0.001))::numeric, 2)
            ELSE round((20 + p %% 7 + 3 * sin(n / 200.0) + random())::numeric, 1) END, 192
FROM generate_series(0, %(minutes)s - 1) n, generate_series(1, %(points)s) p ORDER BY n
"""
DAY_OF_A_POINT = """
EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, FORMAT json)
SELECT sum(value) FROM samples WHERE point_id = 7 AND at >= '2022-03-11Z' AND at < '2022-03-12Z'
"""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Measured:
    """Bytes per reading and pages of a point's day, before and after compaction."""

    bytes_before: float
    bytes_after: float
    pages_before: int
    pages_after: int


def _one(connection: Connection, query: bytes | str, asked: dict[str, Any] | None = None) -> Any:
    found = connection.execute(query.encode() if isinstance(query, str) else query, asked).fetchone()
    assert found is not None
    return found[0]


def _sizes(connection: Connection) -> dict[str, int]:
    return {part: size for part, _, _, size, _ in connection.execute(SQL["parts"]).fetchall()}


def _pages(connection: Connection) -> int:
    plan = _one(connection, DAY_OF_A_POINT)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _measured(connection: Connection, name: str, points: int) -> Measured:
    """Fill a week, compact it and look."""
    for week in ("2022-03-07", "2022-03-14"):
        connection.execute(b"SELECT plantroom.ensure_week(%s::date)", [week])
    connection.execute(FILL.encode(), {"points": points, "minutes": MINUTES})
    connection.execute(b"ANALYZE samples")
    readings: int = _one(connection, "SELECT count(*) FROM samples")
    filled, pages = _sizes(connection), _pages(connection)
    begun = time.monotonic()
    for part in filled:
        _one(connection, SQL["compact"], {"part": part})
    took = time.monotonic() - begun
    after = sum(_sizes(connection).values())
    assert _one(connection, "SELECT count(*) FROM samples") == readings
    found = Measured(sum(filled.values()) / readings, after / readings, pages, _pages(connection))
    sys.stderr.write(f"{name}: {readings} readings compacted in {took:.1f} s; {found}\n")
    return found


def _rows(name: str, found: Measured) -> list[Row]:
    return [
        at_most(f"{name}: bytes per reading after compaction", found.bytes_after, BYTES_MAX, "B"),
        at_most(
            f"{name}: pages of a point's day, {found.pages_after} of {found.pages_before} before",
            found.pages_after / found.pages_before,
            PAGES_MOST,
            "of those before",
        ),
    ]


def _plain(folder: Path) -> Measured:
    server = Postgres(folder / "postgres")
    server.start()
    try:
        migrate(server.dsn, HUB_PASSWORD)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            return _measured(connection, "plain", POINTS)
    finally:
        server.stop()


def _apache() -> Measured:
    with running() as server:
        migrate(server.dsn, HUB_PASSWORD)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            return _measured(connection, "timescaledb apache", POINTS)


def _columns(folder: Path) -> Measured:
    with serving(folder) as connection:
        connection.execute(b"CREATE EXTENSION timescaledb")
        for migration in migrations():
            connection.execute(migration.text.encode())
        connection.execute(b"SET search_path = public")
        return _measured(connection, "timescaledb tsl", POINTS_IN_COLUMNS)


async def measure(folder: Path) -> list[Row]:
    """Measure the three back ends; of one that cannot be had here the reason is said and its rows are left out."""
    rows = _rows("plain", _plain(folder))
    try:
        rows.extend(_rows("timescaledb apache", _apache()))
        columns = _columns(folder)
    except CannotBeMadeError as error:
        sys.stderr.write(f"not measured: {error}\n")
        return rows
    said = f"timescaledb tsl: times smaller in the columnstore, {columns.bytes_after:.1f} B per reading"
    return [*rows, at_least(said, columns.bytes_before / columns.bytes_after, SMALLER_MIN, "x")]
