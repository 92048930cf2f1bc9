"""Make the database that the next releases must be able to take over: ``python -m tests.old_schema FILE [NUMBER]``.

Run at each release: a park with rows in every table, at migration NUMBER (the newest), as a backup.  The code of that
day writes it, so nobody has to keep old statements alive; tests/integration/test_migrate_data.py brings it up to date.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from unittest import mock

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.care import dump
from deploy.care.archive import Writer
from deploy.postgres import Postgres
from hub.access import password
from hub.audit import chain
from hub.store import migrate
from hub.store.database import Database
from tests.builders import Dsns, register_park, site_file
from tests.integration.test_walls import populate

HUB_PASSWORD = "only for tests"
READINGS = """
SELECT plantroom.ensure_week('2026-09-07');
INSERT INTO samples SELECT id, '2026-09-08T00:00Z'::timestamptz + n * interval '15 minutes',
    CASE WHEN n % 9 > 0 THEN n * 0.1::float8 END, CASE WHEN n % 9 > 0 THEN 192 ELSE 0 END
    FROM points, generate_series(0, 95) n ON CONFLICT DO NOTHING;
INSERT INTO latest SELECT point_id, max(at), 95, 192 FROM samples GROUP BY 1 ON CONFLICT DO NOTHING;
INSERT INTO hourly SELECT id, '2026-09-08T00:00Z', 4, 3, 6, 0, 3, 0, '2026-09-08T00:00Z', 3, '2026-09-08T00:45Z'
    FROM points ON CONFLICT DO NOTHING;
"""


async def fill(dsns: Dsns) -> None:
    """Enter a park, bill it, and close the chain of its record."""
    database = Database(dsns.hub, pool_max=2)
    await database.open()
    await populate(database, await register_park(database, dsns, site_file()))
    with psycopg.connect(dsns.owner) as connection:
        connection.execute(READINGS.encode())
    await chain.seal_all(database)
    await database.close()


def main(target: Path, number: int) -> None:
    """Make the file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = Postgres(Path(folder) / "postgres")
        server.start()
        try:
            owner = make_conninfo(server.dsn, options="-c search_path=public")
            steps = [step for step in migrate.migrations() if step.number <= number]
            with mock.patch.object(migrate, "migrations", return_value=steps):
                migrate.migrate(owner, HUB_PASSWORD)
            hub = make_conninfo(server.dsn, user="plantroom_hub", password=HUB_PASSWORD)
            with mock.patch.object(password, "_hasher", password.PasswordHasher(time_cost=1, memory_cost=64)):
                asyncio.run(fill(Dsns(owner, hub)))
            with dump.opened(owner) as connection, target.open("wb") as file:
                writer = Writer(file, {**dump.begin(connection), "program": "test"}, None)
                writer.close(dump.dump(connection, writer, lambda *_: None))
        finally:
            server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10**6)
