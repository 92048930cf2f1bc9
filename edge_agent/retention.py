"""What a spool keeps when it has more than it may: counters and badge events longest, for they are money and evidence.

Readings of other points and pictures lie in tables of their own, so that the oldest can go without a counter of the
same frame.  A number whose frame has gone altogether is a gap in ``frames``; the spool sends it as an empty frame.
"""

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

ALARM_PERCENT = 80
AT_ONCE_ROWS = 500
FREED_AT_ONCE = 64  # of the whole, one part in so many: so that not every new frame must drop something


@dataclass(frozen=True, slots=True)
class Retention:
    """The policy of a gateway; ``loose`` are the codes of points that count nothing and so may go first."""

    max_mb: int
    max_days: int = 366
    when_full: Literal["refuse", "drop_oldest"] = "refuse"
    loose: frozenset[str] = frozenset()

    @property
    def max_bytes(self) -> int:
        """The limit in bytes."""
        return self.max_mb * 1024 * 1024


SCHEMA = """
CREATE TABLE IF NOT EXISTS loose (
    number INTEGER PRIMARY KEY,
    spooled_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    readings TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, head TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY,
    spooled_ms INTEGER NOT NULL,
    head TEXT NOT NULL,
    jpeg BLOB NOT NULL
) STRICT;
"""
_OLDEST = """
SELECT * FROM (
    SELECT number, spooled_ms, count, length(readings) AS bytes FROM loose
    UNION ALL SELECT number, spooled_ms, 1, length(jpeg) FROM pictures
) ORDER BY number LIMIT ?
"""
_KEPT = """
SELECT f.number, coalesce(json_array_length(f.readings, '$.m'), json_array_length(f.readings)) + (e.number IS NOT NULL),
       length(f.readings) + 100
FROM frames f LEFT JOIN events e ON e.number = f.number ORDER BY f.number LIMIT ?
"""


def used_bytes(db: sqlite3.Connection) -> int:
    """Give how much of the file is in use."""
    ((pages,),) = db.execute("PRAGMA page_count")
    ((free,),) = db.execute("PRAGMA freelist_count")
    ((size,),) = db.execute("PRAGMA page_size")
    return int((pages - free) * size)


def make_room(db: sqlite3.Connection, policy: Retention) -> int:
    """Drop the oldest of what may go until the file is below its limit; gives how many readings and events went.

    Inside the caller's transaction.  What is left when nothing more may go is the caller's to judge.
    """
    dropped = 0
    target = policy.max_bytes - policy.max_bytes // FREED_AT_ONCE
    while (excess := used_bytes(db) - target) > 0:
        gone = _drop_loose(db, excess)
        if not gone and policy.when_full == "drop_oldest":
            gone = _drop_oldest(db, excess)
        if not gone:
            break
        dropped += gone
    return dropped


def expire(db: sqlite3.Connection, before_ms: int) -> int:
    """Drop readings that count nothing, and pictures, which were spooled before that; gives how many went."""
    dropped = last = 0
    for table, count in (("loose", "count"), ("pictures", "1")):
        expired = 0
        query = f"SELECT number, spooled_ms, {count} FROM {table} ORDER BY number"  # noqa: S608  # names of our own
        for number, spooled_ms, held in db.execute(query):
            if spooled_ms >= before_ms:
                break  # what follows is younger
            expired, dropped = number, dropped + held
        if expired:
            db.execute(f"DELETE FROM {table} WHERE number <= ?", (expired,))  # noqa: S608  # names of our own
        last = max(last, expired)
    if last:
        _sweep(db, 0, last)
    return dropped


def expires_before(now_ms: int, policy: Retention) -> int:
    """Give the time of spooling before which the age of the policy is reached."""
    return now_ms - policy.max_days * (timedelta(days=1) // timedelta(milliseconds=1))


def _drop_loose(db: sqlite3.Connection, excess: int) -> int:
    dropped = 0
    numbers: list[int] = []
    for number, _, count, size in db.execute(_OLDEST, (AT_ONCE_ROWS,)).fetchall():
        if excess <= 0:
            break
        numbers.append(number)
        dropped, excess = dropped + count, excess - size
    if numbers:
        first, last = numbers[0], numbers[-1]
        db.execute("DELETE FROM loose WHERE number <= ?", (last,))
        db.execute("DELETE FROM pictures WHERE number <= ?", (last,))
        _sweep(db, first, last)
    return dropped


def _drop_oldest(db: sqlite3.Connection, excess: int) -> int:
    dropped, last = 0, None
    for number, count, size in db.execute(_KEPT, (AT_ONCE_ROWS,)).fetchall():
        if excess <= 0:
            break
        dropped, excess, last = dropped + count, excess - size, number
    if last is not None:
        db.execute("DELETE FROM frames WHERE number <= ?", (last,))
        db.execute("DELETE FROM events WHERE number <= ?", (last,))
    return dropped


def _sweep(db: sqlite3.Connection, first: int, last: int) -> None:
    """Forget frames of which nothing is left."""
    db.execute(
        "DELETE FROM frames WHERE number BETWEEN ? AND ? AND readings = '[]' "
        "AND NOT EXISTS (SELECT 1 FROM loose l WHERE l.number = frames.number) "
        "AND NOT EXISTS (SELECT 1 FROM events e WHERE e.number = frames.number) "
        "AND NOT EXISTS (SELECT 1 FROM pictures p WHERE p.number = frames.number)",
        (first, last),
    )
