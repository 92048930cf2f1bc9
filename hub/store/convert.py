"""Move the readings of a plain database into a hypertable, week by week, beside the running hub.

Nothing is lost when it is cut off: what was copied stays, and another run goes on from there.  Readers and writers go
on until the end, when writers wait for as long as it takes to count what was copied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, class_row

from hub.store.backend import Backend, Kind, detect
from hub.store.migrate import LOCK_TIMEOUT_MS

NEXT = "samples_next"

Connection = psycopg.Connection[TupleRow]
Progress = Callable[[str, int], None]


class ConversionError(Exception):
    """The readings cannot be moved; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Week:
    """A partition of the plain store."""

    part: str
    starts_at: datetime
    ends_at: datetime


def convert(owner_dsn: str, progress: Progress = lambda _name, _rows: None) -> Backend:
    """Make ``samples`` a hypertable with all its readings and give the back end; does nothing where it is one.

    ``progress`` hears of every week with its number of readings.  Raises ConversionError.
    """
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        before = detect(connection)
        if not before.usable:
            raise ConversionError(f"{before.sentence()}. {before.advice}")
        connection.execute(b"SET search_path = public")
        connection.execute(b"SELECT pg_advisory_lock(hashtext('plantroom.convert'))")
        if before.kind in (Kind.APACHE, Kind.COLUMNSTORE):
            return before
        _begin(connection, before)
        for week in _weeks(connection):
            progress(week.part, _copy(connection, week))
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
            connection.execute(b"LOCK TABLE samples IN EXCLUSIVE MODE")  # writers wait from here on
            for week in _weeks(connection):
                _copy(connection, week)
            connection.execute(sql.SQL("CALL plantroom.replace_samples({})").format(NEXT))
            connection.execute(b"DELETE FROM plantroom.compacted")
        return detect(connection)


def _begin(connection: Connection, before: Backend) -> None:
    if before.kind is Kind.CITUS:
        raise ConversionError("The readings are distributed by Citus; a hypertable lives on one server.")
    may = connection.execute(b"SELECT to_regprocedure('plantroom.use_timescaledb()') IS NOT NULL").fetchone()
    if may != (True,):
        raise ConversionError("The schema is older than this program; run 'plantroom hub migrate' first.")
    if connection.execute(b"SELECT plantroom.use_timescaledb()").fetchone() != (True,):
        raise ConversionError(
            f"This database cannot use TimescaleDB now: {before.hint or 'its server does not have it; install it'}."
        )
    if connection.execute(b"SELECT to_regclass(%s) IS NULL", [f"public.{NEXT}"]).fetchone() == (True,):
        connection.execute(sql.SQL("CALL plantroom.make_hypertable({})").format(NEXT))


def _weeks(connection: Connection) -> list[Week]:
    with connection.cursor(row_factory=class_row(Week)) as cursor:
        return cursor.execute(b"SELECT part, starts_at, ends_at FROM plantroom.parts()").fetchall()


def _copy(connection: Connection, week: Week) -> int:
    """Copy what is not there yet, in the order of the key; how many readings the week has."""
    part = sql.SQL("{}").format(sql.Identifier(*week.part.split(".")))
    span = [week.starts_at, week.ends_at]
    have = connection.execute(b"SELECT count(*) FROM samples_next WHERE at >= %s AND at < %s", span).fetchone()
    rows = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(part)).fetchone()
    if have != rows:
        connection.execute(
            sql.SQL(
                "INSERT INTO samples_next SELECT point_id, at, value, quality FROM {} ORDER BY point_id, at "
                "ON CONFLICT DO NOTHING"
            ).format(part)
        )
    return int(rows[0]) if rows else 0
