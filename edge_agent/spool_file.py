"""The file of a spool: opened and checked; a damaged one is kept aside and what is readable in it is saved.

What is saved goes into a new file under another identity and new numbers: which numbers the damaged one had given out
can no longer be known, and a number given twice would be a reading lost.  What the hub had already falls on its
(point, at).
"""

import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge_agent.identity import PRIVATE
from edge_agent.packing import unpack
from edge_agent.retention import SCHEMA as RETENTION_SCHEMA
from rules.wire.event import joined
from rules.wire.sparkplug import MalformedPayloadError

LOCK_WAIT_S = 1.0
WAL_BYTES_MAX = 8 * 1024 * 1024
SAVED_AT_ONCE = 500  # frames
IDENTITY, BEFORE = "identity", "before"
_MOVED = ("newest_ms", "bd_seq", "dropped")  # what is remembered of a damaged file, where it can be read
_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS frames (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL,
    historical INTEGER NOT NULL,
    readings TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS imports (sha256 TEXT PRIMARY KEY, last_number INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS points (device TEXT, measure TEXT, PRIMARY KEY (device, measure)) STRICT;
"""
    + RETENTION_SCHEMA
)

log = logging.getLogger(__name__)


class SpoolUnusableError(Exception):
    """The spool cannot be opened: another process has it, or it was found damaged while in use."""


def opened(path: Path, identity: str = "") -> tuple[sqlite3.Connection, bool]:
    """Open the file and give whether it can be written; what is readable of a corrupt one is in a new one.

    A new file gets the ``identity``, or one of its own.  On a disk that takes nothing the
    file is opened to be read, or an empty one in memory stands in for it.  Raises SpoolUnusableError when another
    process has it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connected(path, identity), True
    except (OSError, sqlite3.OperationalError) as error:
        if "locked" in str(error):
            raise SpoolUnusableError(
                f"spool {path} is in use; another edge agent runs with this data directory, stop one of the two"
            ) from None
        log.error(  # noqa: TRY400  # one line
            "spool %s cannot be written (%s); readings go to the hub as they come and none is kept for later. Check "
            "the folder's owner, its free space and whether the disk is read-only",
            path,
            getattr(error, "strerror", None) or error,
        )
        return _read_only(path, identity), False
    except sqlite3.DatabaseError as error:
        return _renewed(path, str(error)), True


def make_private(path: Path) -> None:
    """Make a file that its owner alone reads, unless it is there: badges and pictures wait in it.  Raises OSError.

    SQLite gives its other files the same mode.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))


def _connected(path: Path, identity: str = "") -> sqlite3.Connection:
    make_private(path)
    db = sqlite3.connect(path, timeout=LOCK_WAIT_S, check_same_thread=False)
    try:
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"journal_size_limit = {WAL_BYTES_MAX}",
        ):
            db.execute(f"PRAGMA {pragma}")
        ((verdict,),) = db.execute("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        db.executescript(_SCHEMA)
        with db:
            remember_once(db, IDENTITY, identity or str(uuid.uuid4()))
    except sqlite3.Error:
        db.close()
        raise
    return db


def _read_only(path: Path, identity: str) -> sqlite3.Connection:
    """Give the file as it lies there; what only stands in its log is found again when the disk can be written."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        try:
            if db.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone():
                for table in ("frames", "loose", "events", "pictures", "imports", "points"):
                    db.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608  # names of our own
                return db
        except sqlite3.Error:
            db.close()
            raise
    except sqlite3.Error:
        pass
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.executescript(_SCHEMA)
    remember_once(db, IDENTITY, identity or str(uuid.uuid4()))
    db.commit()
    db.execute("PRAGMA query_only = 1")
    return db


def remember_once(db: sqlite3.Connection, name: str, value: str) -> None:
    """Write something about the spool unless it is known."""
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, value))


def remember(db: sqlite3.Connection, name: str, value: str) -> None:
    """Write something about the spool."""
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = ?2", (name, value))


def recall(db: sqlite3.Connection, name: str) -> str | None:
    """Give what is known about the spool."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _renewed(path: Path, reason: str) -> sqlite3.Connection:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    db = _connected(path)
    saved = _save(aside, db)
    log.error(
        "spool %s is damaged (%s); kept as %s, and a new one begun with the %d frames that can still be read",
        path,
        reason,
        aside,
        saved,
    )
    return db


def _save(aside: Path, db: sqlite3.Connection) -> int:
    """Put what is readable into the new file; gives how many frames."""
    saved = 0
    try:
        with closing(sqlite3.connect(aside, timeout=LOCK_WAIT_S)) as old:
            for table in ("imports", "points"):
                _copy(old, db, table)
            with db:
                for name in _MOVED:
                    if (value := _known(old, name)) is not None:
                        remember(db, name, value)
                if (before := _known(old, IDENTITY)) is not None:
                    remember_once(db, BEFORE, before)
            for numbers in _numbers(old):
                with db:
                    saved += sum(_save_frame(old, db, number) for number in numbers)
    except sqlite3.Error as error:
        log.error("what the damaged spool %s holds cannot be saved whole: %s", aside, error)  # noqa: TRY400  # one line
    return saved


def _known(old: sqlite3.Connection, name: str) -> str | None:
    try:
        return recall(old, name)
    except sqlite3.DatabaseError:
        return None


def _copy(old: sqlite3.Connection, db: sqlite3.Connection, table: str) -> None:
    try:
        rows = old.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # names of our own
    except sqlite3.DatabaseError:
        return
    with db:
        db.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)  # noqa: S608  # names of our own


def _numbers(old: sqlite3.Connection) -> Iterator[list[int]]:
    """Give the numbers of the frames that can be reached: from the front to the damage, then from behind to it."""
    front = _reached(old, "SELECT number FROM frames ORDER BY number")
    last = front[-1] if front else 0
    behind = _reached(old, "SELECT number FROM frames WHERE number > ? ORDER BY number DESC", last)
    numbers = front + behind[::-1]
    for start in range(0, len(numbers), SAVED_AT_ONCE):
        yield numbers[start : start + SAVED_AT_ONCE]


def _reached(old: sqlite3.Connection, query: str, *after: int) -> list[int]:
    numbers: list[int] = []
    try:
        for (number,) in old.execute(query, after):
            numbers.append(int(number))
    except sqlite3.DatabaseError:
        pass  # as far as it goes
    return numbers


def _save_frame(old: sqlite3.Connection, db: sqlite3.Connection, number: int) -> bool:
    """Move one frame; gives whether anything of it could be read."""
    frame = _row(old, "SELECT device, historical, readings FROM frames WHERE number = ?", number)
    if frame is None or not _readable(frame[0], frame[2]):
        return False
    loose = _row(old, "SELECT spooled_ms, count, readings FROM loose WHERE number = ?", number)
    event = _row(old, "SELECT head FROM events WHERE number = ?", number)
    still = _row(old, "SELECT spooled_ms, head, jpeg FROM pictures WHERE number = ?", number)
    new = db.execute("INSERT INTO frames (device, historical, readings) VALUES (?, ?, ?)", frame).lastrowid
    if loose is not None and _readable(frame[0], loose[2]):
        db.execute("INSERT INTO loose VALUES (?, ?, ?, ?)", (new, *loose))
    if event is not None and _tells(event[0], None):
        db.execute("INSERT INTO events VALUES (?, ?)", (new, *event))
    if still is not None and _tells(still[1], still[2]):
        db.execute("INSERT INTO pictures VALUES (?, ?, ?, ?)", (new, *still))
    return True


def _row(old: sqlite3.Connection, query: str, number: int) -> tuple[str, ...] | None:
    try:
        found: tuple[str, ...] | None = old.execute(query, (number,)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return found


def _readable(device: object, packed: str) -> bool:
    try:
        return isinstance(device, str) and sum(1 for _ in unpack(device, packed)) >= 0
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return False


def _tells(text: str, jpeg: object) -> bool:
    try:
        return bool(joined(text, jpeg if isinstance(jpeg, bytes) else None))
    except MalformedPayloadError:
        return False
