"""Steps of a migration that move data: in pieces of their own, resumable, each with its place in the database.

The statement of ``NNNN_name.move.sql`` gets ``%(after)s`` (where the last piece ended, '' at first) and ``%(most)s``
(rows at most) and gives one row: where this piece ended (text) and how many rows it moved.  It has nothing more to do
when that is none.  Its place moves in the same transaction as its rows, so whoever is killed in between has done the
piece or has not.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

ROWS_PER_PIECE = 20_000
PIECE_TIMEOUT_MS = 120_000

TABLE = b"""
CREATE TABLE IF NOT EXISTS schema_moves (
    number integer PRIMARY KEY, position text NOT NULL DEFAULT '', moved bigint NOT NULL DEFAULT 0
)
"""

Connection = psycopg.Connection[tuple[Any, ...]]


def begin(connection: Connection, number: int) -> bool:
    """Note that migration ``number`` has begun; False where it had begun before."""
    done = connection.execute(b"INSERT INTO schema_moves (number) VALUES (%s) ON CONFLICT DO NOTHING", [number])
    return done.rowcount == 1


def pieces(connection: Connection, number: int, statement: bytes) -> Iterator[int]:
    """Move piece after piece from where it stood; gives after each how many rows that were in all."""
    while (total := _piece(connection, number, statement)) is not None:
        yield total


def _piece(connection: Connection, number: int, statement: bytes) -> int | None:
    """Move one piece; gives how many rows were moved so far, None when there was nothing more."""
    with connection.transaction():
        connection.execute(f"SET LOCAL statement_timeout = {PIECE_TIMEOUT_MS}".encode())
        stood = connection.execute(b"SELECT position, moved FROM schema_moves WHERE number = %s", [number]).fetchone()
        assert stood is not None
        place = {"after": stood[0], "most": ROWS_PER_PIECE}
        made = connection.execute(statement, place).fetchone()
        if made is None or not made[1]:
            return None
        total = int(stood[1]) + int(made[1])
        connection.execute(
            b"UPDATE schema_moves SET position = %s, moved = %s WHERE number = %s", [str(made[0]), total, number]
        )
        return total


def end(connection: Connection, number: int) -> None:
    """Forget the place: everything is moved."""
    connection.execute(b"DELETE FROM schema_moves WHERE number = %s", [number])
