"""Migrations: numbered plain SQL, forward only, each in a transaction of its own.

Beside ``0030_example.sql`` there may be ``0030_example.move.sql``, a statement that moves data in bounded pieces:
hub/store/moves.py carries it on until it has nothing more to do, also after a process that was killed in the middle.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from hub.store import moves
from hub.store.backend import detect

LOCK_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 600_000
_LOCK = 7_265_001  # any number, the same in every process

_TABLE = b"""
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""

log = logging.getLogger(__name__)

Connection = psycopg.Connection[tuple[Any, ...]]


class MigrationError(Exception):
    """The schema cannot be brought up to date; the text says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: ``0003_places.sql`` is number 3, name ``places``; ``move`` is what moves its data, '' if nothing."""

    number: int
    name: str
    text: str
    move: str = ""

    @property
    def sha256(self) -> str:
        """Hash of the text: an applied migration never changes."""
        return hashlib.sha256((self.text + self.move).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: step ``position`` of ``steps`` is being applied; ``moved`` rows of it so far."""

    migration: Migration
    position: int
    steps: int
    moved: int = 0


Telling = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Tell nobody."""


def migrations() -> list[Migration]:
    """Give all migrations that this version of the program has, in order."""
    folder = files("hub.store").joinpath("migrations")
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    found = []
    for title, text in texts.items():
        if not title.endswith(".move.sql"):
            number, _, name = title.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, text, texts.get(title.replace(".sql", ".move.sql"), "")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(owner_dsn: str, hub_password: str, progress: Telling = silent) -> int:
    """Apply what is missing and give how many were applied.

    ``owner_dsn`` is the login that owns the schema; ``hub_password`` becomes the password of ``plantroom_hub``.
    Raises MigrationError when an applied migration was changed, the database is newer than the program, or its readings
    cannot be reached (see hub/store/backend.py).
    """
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        _check_store(connection)
        _use_public(connection)
        connection.execute(b"SELECT pg_advisory_lock(%s)", [_LOCK])
        applied = apply_missing(connection, migrations(), progress)
        with connection.transaction():  # roles belong to the server, not to the database: one at a time
            connection.execute(b"SELECT pg_advisory_xact_lock(%s)", [_LOCK + 1])
            connection.execute(
                sql.SQL("ALTER ROLE plantroom_hub PASSWORD {}").format(sql.Literal(hub_password)),
            )
        return applied


def apply_missing(connection: Connection, steps: list[Migration], progress: Telling = silent) -> int:
    """Apply those of ``steps`` that are missing, each in a transaction of its own, or all in the caller's.

    Raises MigrationError.
    """
    connection.execute(_TABLE)
    connection.execute(moves.TABLE)
    known: dict[int, str] = dict(connection.execute(b"SELECT number, sha256 FROM schema_migrations").fetchall())
    missing = _missing(known, steps)
    for position, step in enumerate(missing, 1):
        log.debug("migration %04d %s", step.number, step.name, extra={"event": "migration.begun"})
        at = Progress(step, position, len(missing))
        progress(at)
        if step.move:
            _apply_moving(connection, at, progress)
            continue
        with connection.transaction():
            _execute(connection, step)
            _note(connection, step)
    return len(missing)


def _apply_moving(connection: Connection, at: Progress, progress: Telling) -> None:
    step = at.migration
    with connection.transaction():
        if moves.begin(connection, step.number):
            _execute(connection, step)
    for moved in moves.pieces(connection, step.number, step.move.encode()):
        progress(replace(at, moved=moved))
    with connection.transaction():
        moves.end(connection, step.number)
        _note(connection, step)


def _check_store(connection: Connection) -> None:
    """Touch nothing where readings are there and cannot be reached."""
    store = detect(connection)
    if not store.usable:
        raise MigrationError(f"{store.sentence()}. {store.advice}")


def _use_public(connection: Connection) -> None:
    """Keep an owner who is called like our schema ``plantroom`` from creating tables in it, now and later."""
    connection.execute(b"SET search_path = public")
    connection.execute(
        sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET search_path = public").format(
            sql.Identifier(connection.info.dbname)
        )
    )


def _missing(known: dict[int, str], steps: list[Migration]) -> list[Migration]:
    newest = max((step.number for step in steps), default=0)
    if max(known, default=0) > newest:
        raise MigrationError(
            f"The database has migration {max(known)}, this program knows only {newest}; install a newer Plantroom."
        )
    for step in steps:
        if step.number in known and known[step.number] != step.sha256:
            raise MigrationError(f"Migration {step.number:04}_{step.name} was changed after it had been applied.")
    return [step for step in steps if step.number not in known]


def _execute(connection: Connection, migration: Migration) -> None:
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
    connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}".encode())
    connection.execute(migration.text.encode())


def _note(connection: Connection, migration: Migration) -> None:
    connection.execute(
        b"INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
        [migration.number, migration.name, migration.sha256],
    )
