"""Migrations: numbered plain SQL, forward only, each in a transaction of its own."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql

from hub.store.backend import detect

LOCK_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 600_000
_LOCK = 7_265_001  # any number, the same in every process

_TABLE = b"""
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date; the text says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: ``0003_places.sql`` is number 3, name ``places``."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hash of the text: an applied migration never changes."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Give all migrations that this version of the program has, in order."""
    found = []
    for file in files("hub.store").joinpath("migrations").iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            found.append(Migration(int(number), name, file.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(owner_dsn: str, hub_password: str, progress: Callable[[Migration], None] = lambda _: None) -> int:
    """Apply what is missing and give how many were applied.

    ``owner_dsn`` is the login that owns the schema; ``hub_password`` becomes the password of ``plantroom_hub``.
    Raises MigrationError when an applied migration was changed, the database is newer than the program, or its readings
    cannot be reached (see hub/store/backend.py).
    """
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        _check_store(connection)
        _use_public(connection)
        connection.execute(b"SELECT pg_advisory_lock(%s)", [_LOCK])
        connection.execute(_TABLE)
        known: dict[int, str] = dict(connection.execute(b"SELECT number, sha256 FROM schema_migrations").fetchall())
        missing = _missing(known)
        for migration in missing:
            progress(migration)
            with connection.transaction():
                _apply(connection, migration)
        with connection.transaction():  # roles belong to the server, not to the database: one at a time
            connection.execute(b"SELECT pg_advisory_xact_lock(%s)", [_LOCK + 1])
            connection.execute(
                sql.SQL("ALTER ROLE plantroom_hub PASSWORD {}").format(sql.Literal(hub_password)),
            )
        return len(missing)


def _check_store(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Touch nothing where readings are there and cannot be reached."""
    store = detect(connection)
    if not store.usable:
        raise MigrationError(f"{store.sentence()}. {store.advice}")


def _use_public(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Keep an owner who is called like our schema ``plantroom`` from creating tables in it, now and later."""
    connection.execute(b"SET search_path = public")
    connection.execute(
        sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET search_path = public").format(
            sql.Identifier(connection.info.dbname)
        )
    )


def _missing(known: dict[int, str]) -> list[Migration]:
    steps = migrations()
    newest = max((step.number for step in steps), default=0)
    if max(known, default=0) > newest:
        raise MigrationError(
            f"The database has migration {max(known)}, this program knows only {newest}; install a newer Plantroom."
        )
    for step in steps:
        if step.number in known and known[step.number] != step.sha256:
            raise MigrationError(f"Migration {step.number:04}_{step.name} was changed after it had been applied.")
    return [step for step in steps if step.number not in known]


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
    connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}".encode())
    connection.execute(migration.text.encode())
    connection.execute(
        b"INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
        [migration.number, migration.name, migration.sha256],
    )
