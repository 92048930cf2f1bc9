"""What a database holds: the tables with their columns, where sequences stand, the partitions."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

BACKUP_ROLE = "plantroom_backup"  # migration 0028
Connection = psycopg.Connection[tuple[Any, ...]]

# Extensions keep their own tables; partitions and chunks are read through their parent.
_TABLES = b"""
SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum),
       greatest(c.reltuples, (SELECT sum(p.reltuples) FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
                              WHERE i.inhparent = c.oid), 0)::bigint
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY c.oid ORDER BY 1"""
_SEQUENCES = b"""
SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"""
_PARTITIONS = b"""
SELECT p.relname::text, c.relname::text, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind = 'r' ORDER BY 1, 2"""
_HAS_CHUNKS = b"SELECT to_regclass('timescaledb_information.chunks') IS NOT NULL"
_CHUNKS = b"""
SELECT hypertable_name::text, range_start::date::text, range_end::date::text FROM timescaledb_information.chunks
WHERE hypertable_schema = 'public' ORDER BY 1, 2"""
_MIGHTY = b"SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_THERE = b"SELECT to_regclass('public.schema_migrations') IS NOT NULL, to_regrole('plantroom_backup') IS NOT NULL"


class NotOursError(Exception):
    """The database is not one of ours, or is not as it must be: the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: the columns that are kept (not those that are computed) and about how many rows."""

    name: str
    columns: tuple[str, ...]
    about: int

    def out(self) -> sql.Composed:
        """Give the statement that reads all of it; through a query, for partitions and chunks have no rows above."""
        return sql.SQL("COPY (SELECT {} FROM public.{}) TO STDOUT").format(self._listed(), sql.Identifier(self.name))

    def back(self) -> sql.Composed:
        """Give the statement that fills it."""
        return sql.SQL("COPY public.{} ({}) FROM STDIN").format(sql.Identifier(self.name), self._listed())

    def _listed(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))


def tables(connection: Connection) -> list[Table]:
    """Give all tables by name."""
    return [Table(name, tuple(columns), about) for name, columns, about in connection.execute(_TABLES).fetchall()]


def sequences(connection: Connection) -> dict[str, int]:
    """Give the last number of every sequence that gave one out."""
    return dict(connection.execute(_SEQUENCES).fetchall())


def partitions(connection: Connection) -> list[tuple[str, str, str]]:
    """Give parent, name and bounds of every partition of the tables that are parted natively."""
    return [tuple(row) for row in connection.execute(_PARTITIONS).fetchall()]


def chunks(connection: Connection) -> list[tuple[str, str, str]]:
    """Give table, first day and day after the last of every chunk of a hypertable; empty without TimescaleDB."""
    there = connection.execute(_HAS_CHUNKS).fetchone()
    if there is None or not there[0]:
        return []
    return [(name, first, after) for name, first, after in connection.execute(_CHUNKS).fetchall()]


def applied(connection: Connection) -> dict[int, str]:
    """Give number and hash of every applied migration; raises NotOursError where there is no schema."""
    there = connection.execute(_THERE).fetchone()
    if there is None or not there[0]:
        raise NotOursError("The database holds no Plantroom; start one, or correct PLANTROOM_DATABASE_DSN.")
    return dict(connection.execute(b"SELECT number, sha256 FROM public.schema_migrations ORDER BY 1").fetchall())


def see_everything(connection: Connection) -> None:
    """Let this transaction read every row, or none at all: nothing is left out silently; raises NotOursError.

    A superuser sees all.  Every other owner takes the role of migration 0028, for policies are forced on him too.
    """
    mighty = connection.execute(_MIGHTY).fetchone()
    if mighty is not None and mighty[0]:
        connection.execute(b"SET LOCAL row_security = off")
        return
    there = connection.execute(_THERE).fetchone()
    if there is None or not there[1]:
        raise NotOursError(
            f"The database has no role {BACKUP_ROLE} yet: run 'plantroom hub migrate', or back up as a superuser."
        )
    try:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(BACKUP_ROLE)))
    except psycopg.errors.InsufficientPrivilege:
        raise NotOursError(
            f"This login may not read everything; use the owner's DSN, who holds {BACKUP_ROLE}."
        ) from None
