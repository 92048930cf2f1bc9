"""Write a database into an archive: one snapshot, table after table, a piece at a time.

Everything goes through COPY of the server itself, so any PostgreSQL that Plantroom runs on can be backed up from any
machine that has Plantroom, whatever other programs of PostgreSQL are there or of which version, and come back into
another version or another store back end.
"""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from deploy.care.archive import PIECE_BYTES, Writer
from deploy.care.catalogue import Connection, Table, applied, chunks, partitions, see_everything, sequences, tables

CONNECT_TIMEOUT_S = 10

Telling = Callable[[str, int, int], None]  # table, rows of it so far, about how many it has


def opened(dsn: str) -> Connection:
    """Connect for long statements: none of the limits of a request holds."""
    connection = psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S, application_name="plantroom/care")
    connection.execute(b"SET statement_timeout = 0")
    connection.execute(b"SET idle_in_transaction_session_timeout = 0")
    connection.execute(b"SET client_encoding = 'UTF8'")
    connection.execute(b"SET search_path = public")
    connection.execute(b"SET timezone = 'UTC'")
    connection.execute(b"SET datestyle = 'ISO'")
    connection.execute(b"SET intervalstyle = 'postgres'")
    connection.execute(b"SET bytea_output = 'hex'")
    connection.execute(b"SET extra_float_digits = 1")  # the shortest text that reads back as the same double
    connection.commit()
    return connection


def begin(connection: Connection) -> dict[str, Any]:
    """Take the snapshot; gives what the archive's head says of the database.  Raises NotOursError."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    known = applied(connection)
    server = connection.info.server_version
    return {
        "schema": max(known),
        "migrations": {str(number): sha256 for number, sha256 in known.items()},
        "server": f"{server // 10_000}.{server % 10_000}",
    }


def dump(connection: Connection, writer: Writer, tell: Telling) -> dict[str, Any]:
    """Write every table within the snapshot that ``begin`` took; gives what the manifest adds."""
    found = tables(connection)
    parted, chunked = partitions(connection), chunks(connection)
    connection.execute(b"SAVEPOINT reading")
    see_everything(connection)
    for table in found:
        _write(connection, table, writer, tell)
    connection.execute(b"ROLLBACK TO SAVEPOINT reading")  # sequences answer to their owner
    return {"sequences": sequences(connection), "partitions": parted, "chunks": chunked}


def _write(connection: Connection, table: Table, writer: Writer, tell: Telling) -> None:
    writer.begin(table.name)
    writer.parts[table.name].columns = list(table.columns)
    tell(table.name, 0, table.about)
    for piece, rows in _pieces(connection, table):
        writer.add(piece, rows)
        tell(table.name, writer.parts[table.name].rows, table.about)


def _pieces(connection: Connection, table: Table) -> Iterator[tuple[bytes, int]]:
    gathered = bytearray()
    rows = 0
    with connection.cursor() as cursor, cursor.copy(table.out()) as copy:
        for line in copy:
            gathered += line
            rows += 1
            if len(gathered) >= PIECE_BYTES:
                yield bytes(gathered), rows
                gathered.clear()
                rows = 0
    if gathered:
        yield bytes(gathered), rows
