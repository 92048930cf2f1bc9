"""Bring an archive back into a database: one transaction, so that it is there as a whole or not at all.

The schema is made by our own migrations, up to the number that the archive has; then the rows are copied in, the
foreign keys made anew (which checks every reference) and the sequences set.  What is newer is migrated afterwards.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from psycopg import sql

from deploy.care.archive import ArchiveError, Manifest, Reader
from deploy.care.catalogue import Connection, Table, tables
from hub.store.migrate import apply_missing, migrations

HUB_LOGIN = "plantroom_hub"
Telling = Callable[[str, int, int], None]  # part, bytes of the archive so far, all of them

_FOREIGN_KEYS = b"""
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0 ORDER BY 1, 2"""
_TRIGGERS = b"""
SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT tgisinternal AND tgparentid = 0 AND tgenabled = 'O' AND c.relnamespace = 'public'::regnamespace
  AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e')"""
_FORCED = b"""
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relforcerowsecurity AND NOT relispartition"""
_LEFT = b"""
SELECT c.relkind::text, c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition
  AND NOT EXISTS (
      SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND (d.deptype = 'e' OR c.relkind = 'S'))
ORDER BY c.relkind = 'v' DESC"""
_WORKING = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'plantroom_hub'"
_LOCK = b"SELECT pg_advisory_xact_lock(7265001)"  # as hub.store.migrate holds it
_BOUND = re.compile(r"FOR VALUES FROM \('[^'\\]{1,40}'\) TO \('[^'\\]{1,40}'\)|DEFAULT")
_DROPS = {"v": "VIEW", "m": "MATERIALIZED VIEW", "S": "SEQUENCE"}


class RestoreRefusedError(Exception):
    """Nothing is restored, and nothing was touched: the sentence says why and what to do."""


def check_head(head: dict[str, Any]) -> set[int]:
    """Give the numbers of the migrations of an archive; raises RestoreRefusedError where they are not ours."""
    known = {step.number: step.sha256 for step in migrations()}
    try:
        told = {int(number): str(sha256) for number, sha256 in head["migrations"].items()}
    except (KeyError, AttributeError, ValueError):
        told = {}
    if not told:
        raise ArchiveError("The backup is damaged: its head names no migrations.")
    newest = max(told)
    if newest > max(known):
        raise RestoreRefusedError(
            f"The backup has migration {newest} (Plantroom {head.get('program')}), this program knows only "
            f"{max(known)}; install the Plantroom that made it, or a newer one."
        )
    other = [number for number, sha256 in told.items() if known.get(number) != sha256]
    if other:
        raise RestoreRefusedError(f"Migration {min(other):04} of the backup is not ours; it is of another Plantroom.")
    return set(told)


def check_target(connection: Connection, *, replace: bool) -> None:
    """Look at the database that is to be filled; raises RestoreRefusedError."""
    working = connection.execute(_WORKING).fetchone()
    if working is not None and working[0]:
        raise RestoreRefusedError(
            "Programs of Plantroom are connected to this database; stop them first: systemctl stop plantroom-hub "
            "plantroom-web."
        )
    left = connection.execute(_LEFT).fetchall()
    if not left or replace:
        return
    if ("r", "organisations") not in [tuple(one) for one in left]:
        raise RestoreRefusedError("The database holds tables of something else; give an empty database.")
    with connection.transaction(force_rollback=True):
        count = connection.execute(b"SELECT count(*) FROM organisations").fetchone()
    if count is not None and count[0]:
        raise RestoreRefusedError(
            f"The database holds a Plantroom with {count[0]} organisations; give an empty database, or --replace to "
            "put the backup in its place."
        )


def load(
    connection: Connection, reader: Reader, told: Manifest, size: int, tell: Telling
) -> tuple[dict[str, int], dict[str, bytes]]:
    """Fill the database from an archive of ``size`` bytes that was verified before; gives rows and files.

    ``connection`` is in no transaction (autocommit) and commits here; what goes wrong leaves all as it was.
    """
    numbers = check_head(reader.head)
    with connection.transaction():
        connection.execute(_LOCK)
        clear(connection)
        connection.execute(b"SET LOCAL client_min_messages = warning")
        apply_missing(connection, [step for step in migrations() if step.number in numbers])
        connection.execute(b"SET LOCAL statement_timeout = 0")
        connection.execute(b"SET LOCAL lock_timeout = 0")
        _make_partitions(connection, told.said.get("partitions", []))
        _make_weeks(connection, told.said.get("chunks", []))
        keys, triggers, forced = (connection.execute(query).fetchall() for query in (_FOREIGN_KEYS, _TRIGGERS, _FORCED))
        _each(connection, "ALTER TABLE {0} DROP CONSTRAINT {1}", keys)
        _each(connection, "ALTER TABLE {0} DISABLE TRIGGER {1}", triggers)
        _each(connection, "ALTER TABLE {0} NO FORCE ROW LEVEL SECURITY", forced)
        rows, beside = _fill(connection, reader, told, size, tell)
        tell("references", size, size)
        _each(connection, "ALTER TABLE {0} ADD CONSTRAINT {1} {2}", keys)
        _each(connection, "ALTER TABLE {0} ENABLE TRIGGER {1}", triggers)
        _each(connection, "ALTER TABLE {0} FORCE ROW LEVEL SECURITY", forced)
        _set_sequences(connection, told.said.get("sequences", {}))
    connection.execute(b"ANALYZE")
    return rows, beside


def clear(connection: Connection) -> None:
    """Take away everything that Plantroom made in this database, within the caller's transaction."""
    connection.execute(b"DROP SCHEMA IF EXISTS plantroom CASCADE")
    for kind, name in connection.execute(_LEFT).fetchall():
        drop = f"DROP {_DROPS.get(kind, 'TABLE')} IF EXISTS {name} CASCADE"
        connection.execute(drop.encode())  # the name comes quoted from regclass


def _each(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Run a statement for each row: table (quoted by regclass), name, definition (as PostgreSQL gave it)."""
    for table, *rest in rows:
        name = sql.Identifier(rest[0]) if rest else sql.SQL("")
        definition = sql.SQL(rest[1]) if len(rest) > 1 else sql.SQL("")
        connection.execute(sql.SQL(statement).format(sql.SQL(table), name, definition))


def _make_partitions(connection: Connection, wanted: list[list[str]]) -> None:
    """Make the partitions of the archive where the same table is parted natively here, too."""
    parted = {name for (name,) in connection.execute(
        b"SELECT relname::text FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace"
    ).fetchall()}  # fmt: skip
    there = {name for (name,) in connection.execute(
        b"SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    ).fetchall()}  # fmt: skip
    for parent, name, bound in wanted:
        if parent not in parted or name in there:
            continue
        if not _BOUND.fullmatch(bound):
            raise ArchiveError(f"The backup is damaged: '{bound[:80]}' bounds no partition of ours.")
        make = sql.SQL("CREATE TABLE public.{} (LIKE public.{} INCLUDING ALL)")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(parent)))
        attach = sql.SQL("ALTER TABLE public.{} ATTACH PARTITION public.{} {}")
        connection.execute(attach.format(sql.Identifier(parent), sql.Identifier(name), sql.SQL(bound)))


def _make_weeks(connection: Connection, chunks: list[list[str]]) -> None:
    """Make the weeks of a backup that was made of a hypertable; one that is a hypertable here makes its own chunks."""
    for name, first, after in chunks:
        if name == "samples":
            connection.execute(
                b"SELECT plantroom.ensure_week(d::date) FROM generate_series(%s::date, %s::date - 1, '7 days') d",
                [first, after],
            )
            connection.execute(b"SELECT plantroom.ensure_week(%s::date - 1)", [after])


def _fill(
    connection: Connection, reader: Reader, told: Manifest, size: int, tell: Telling
) -> tuple[dict[str, int], dict[str, bytes]]:
    here = {table.name: table for table in tables(connection)}
    wanted = {name: part for name, part in told.parts.items() if part.columns}
    if strange := wanted.keys() - here.keys():
        raise RestoreRefusedError(f"The backup has a table '{min(strange)}' that its schema does not have.")
    everything = sql.SQL(", ").join(sql.SQL("public.{}").format(sql.Identifier(name)) for name in here)
    connection.execute(sql.SQL("TRUNCATE {}").format(everything))
    rows = dict.fromkeys(wanted, 0)
    beside: dict[str, bytes] = {}
    for name, piece in reader.pieces():
        tell(name, reader.size, size)
        if name in wanted:
            rows[name] += _copy(connection, Table(name, tuple(wanted[name].columns), 0), piece)
        else:
            beside[name] = beside.get(name, b"") + piece
    for name, part in wanted.items():
        if rows[name] != part.rows:
            raise ArchiveError(f"Of '{name}' {rows[name]} rows came back where the backup has {part.rows}.")
    return rows, beside


def _copy(connection: Connection, table: Table, piece: bytes) -> int:
    with connection.cursor() as cursor:
        try:
            with cursor.copy(table.back()) as copy:
                copy.write(piece)
        except psycopg.DataError as error:
            raise ArchiveError(f"Rows of '{table.name}' do not fit ({error.diag.message_primary}).") from None
        return cursor.rowcount


def _set_sequences(connection: Connection, wanted: dict[str, int]) -> None:
    for name, last in wanted.items():
        connection.execute(
            b"SELECT setval(to_regclass(%s), %s) WHERE to_regclass(%s) IS NOT NULL",
            [f'public."{name}"', last, f'public."{name}"'],
        )
