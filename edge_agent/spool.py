"""The spool: frames on disk, numbered, until the hub says that it has committed them.

SQLite in WAL mode with ``synchronous=FULL``: ``append`` returns after fsync, so what it numbered survives a
kill and a power cut.  Numbers are contiguous: a transaction that fails gives its numbers back.  One process at a
time (exclusive lock).  Nothing that is spooled is ever dropped: a full spool or disk refuses new frames.
"""

import logging
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from edge_agent.frame import Frame, pack, unpack
from rules.wire.sparkplug import EPOCH, millis

SAY_FULL_EVERY_S = 60.0
LOCK_WAIT_S = 1.0
PENDING_MAX = 1000
WAL_BYTES_MAX = 8 * 1024 * 1024
_BD_SEQ_COUNT = 256
_SCHEMA = """
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

log = logging.getLogger(__name__)


class SpoolFullError(Exception):
    """The spool or its disk is full: the frames were not taken."""


class SpoolUnusableError(Exception):
    """The spool cannot be opened: another process has it, or the folder is not ours."""


class Spool:
    """One spool file.  Safe to call from any thread; every call is short."""

    def __init__(self, path: Path, *, max_mb: int, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._max_bytes = max_mb * 1024 * 1024
        self._monotonic_s = monotonic_s
        self._lock = Lock()
        self._db = _opened(path)
        self.identity = self._remember_once("identity", str(uuid.uuid4()))
        self.committed = int(self._recall("committed") or 0)
        self._deleted = self.committed
        self.last_number = self._last_number()
        newest = self._recall("newest_ms")
        self.newest = None if newest is None else EPOCH + timedelta(milliseconds=int(newest))
        if self.depth() == 0:
            self._forget_points()
        self._points: set[tuple[str, str]] = set(self._db.execute("SELECT device, measure FROM points"))
        self.refused = 0  # frames that were not taken because the spool was full
        self._full = False
        self._said_full_s = 0.0

    def append(self, frames: Sequence[Frame], *, sha256: str | None = None) -> int:
        """Keep frames under the next numbers, all or none; gives the last number.

        ``sha256`` marks them as an import that must not be repeated.  Raises SpoolFullError.
        """
        with self._lock:
            try:
                self._refuse_above_limit()
                with self._db:
                    last_number, newest = self._insert(frames, sha256)
            except (sqlite3.OperationalError, OSError) as error:
                raise self._full_error(len(frames), error) from None
            self.last_number, self.newest = last_number, newest
            self._points |= _points_of(frames)
            if self._full:
                self._full = False
                log.warning("spool %s has room again; readings are kept from now on", self._path)
            return last_number

    def _insert(self, frames: Sequence[Frame], sha256: str | None) -> tuple[int, datetime | None]:
        rows = [(frame.device, int(frame.historical), pack(frame)) for frame in frames]
        self._db.executemany("INSERT INTO frames (device, historical, readings) VALUES (?, ?, ?)", rows)
        last_number = self._last_number()
        times = [reading.at for frame in frames for reading in frame.readings]
        newest = max([*times, *([] if self.newest is None else [self.newest])], default=None)
        if newest is not None and newest != self.newest:
            self._remember("newest_ms", str(millis(newest)))
        unseen = _points_of(frames) - self._points
        self._db.executemany("INSERT OR IGNORE INTO points VALUES (?, ?)", sorted(unseen))
        if sha256 is not None:
            self._db.execute("INSERT INTO imports VALUES (?, ?)", (sha256, last_number))
        return last_number, newest

    def _refuse_above_limit(self) -> None:
        ((pages,),) = self._db.execute("PRAGMA page_count")
        ((free,),) = self._db.execute("PRAGMA freelist_count")
        ((size,),) = self._db.execute("PRAGMA page_size")
        if (pages - free) * size >= self._max_bytes:
            raise OSError(f"the limit spool_max_mb of {self._max_bytes >> 20} MB is reached")

    def _full_error(self, frames: int, error: Exception) -> SpoolFullError:
        self.refused += frames
        now_s = self._monotonic_s()
        sentence = f"spool {self._path} takes no new readings: {error}; {self.depth()} frames wait for the hub"
        if not self._full or now_s - self._said_full_s >= SAY_FULL_EVERY_S:
            self._full, self._said_full_s = True, now_s
            log.error("%s (%d frames refused so far); polling goes on", sentence, self.refused)
        return SpoolFullError(sentence)

    def pending(self, after: int, limit: int) -> list[Frame]:
        """Give up to ``limit`` frames with numbers above ``after``, in order."""
        with self._lock:
            rows = self._db.execute(
                "SELECT number, device, historical, readings FROM frames WHERE number > ? ORDER BY number LIMIT ?",
                (max(after, self.committed), min(limit, PENDING_MAX)),
            ).fetchall()
        return [unpack(number, device, bool(historical), packed) for number, device, historical, packed in rows]

    def commit(self, up_to: int) -> None:
        """Forget frames up to a number that the hub has committed; remembers the number."""
        with self._lock:
            self.committed = max(self.committed, min(up_to, self.last_number))
            if self.committed == self._deleted:
                return
            try:
                with self._db:
                    self._db.execute("DELETE FROM frames WHERE number <= ?", (self.committed,))
                    self._remember("committed", str(self.committed))
                self._deleted = self.committed
            except sqlite3.Error as error:  # a full disk: harmless, the next commit deletes these too
                log.warning("spool %s: committed frames stay for now: %s", self._path, error)

    def depth(self) -> int:
        """Frames that the hub has not committed."""
        return self.last_number - self.committed

    def imported(self, sha256: str) -> bool:
        """Whether a file with this content has been imported."""
        with self._lock:
            return bool(self._db.execute("SELECT 1 FROM imports WHERE sha256 = ?", (sha256,)).fetchone())

    def points(self) -> set[tuple[str, str]]:
        """(device, measure) of everything that waiting frames may speak of."""
        with self._lock:
            return set(self._points)

    def next_bd_seq(self) -> int:
        """Give the birth/death number of the next connection, 0..255, counted across restarts."""
        with self._lock:
            number = int(self._recall("bd_seq") or 0)
            try:
                with self._db:
                    self._remember("bd_seq", str((number + 1) % _BD_SEQ_COUNT))
            except sqlite3.Error as error:
                log.warning("spool %s: birth number not kept: %s", self._path, error)
            return number

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._db.close()

    def _forget_points(self) -> None:
        with suppress(sqlite3.OperationalError), self._db:  # a full disk: known points do no harm
            self._db.execute("DELETE FROM points")

    def _last_number(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frames'").fetchone()
        return int(row[0]) if row else 0

    def _recall(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _remember(self, name: str, value: str) -> None:
        self._db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = ?2", (name, value))

    def _remember_once(self, name: str, value: str) -> str:
        with self._db:
            self._db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, value))
        return str(self._recall(name))


def _points_of(frames: Iterable[Frame]) -> set[tuple[str, str]]:
    return {(f.device, r.point[len(f.device) + 1 :]) for f in frames for r in f.readings}


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file; a corrupt one is moved aside and a new one made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connected(path)
    except OSError as error:
        raise SpoolUnusableError(f"spool folder {path.parent} cannot be made: {error.strerror}") from None
    except sqlite3.OperationalError as error:
        raise SpoolUnusableError(
            f"spool {path} is in use; another edge agent runs with this data directory, stop one of the two"
            if "locked" in str(error)
            else f"spool {path} cannot be opened: {error}; check the folder's owner and free space"
        ) from None
    except sqlite3.DatabaseError as error:
        aside = _move_aside(path)
        log.error("spool %s is damaged (%s); kept as %s, starting a new one", path, error, aside)  # noqa: TRY400  # one line
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
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
    except sqlite3.Error:
        db.close()
        raise
    return db


def _move_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
