"""The spool: frames on disk, numbered, until the hub says that it has committed them.

SQLite in WAL mode with ``synchronous=FULL``: ``append`` returns after fsync, so what it numbered survives a
kill and a power cut.  Numbers are contiguous: a transaction that fails gives its numbers back, and a frame that the
policy of the gateway has dropped is sent empty.  One process at a time (exclusive lock).
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from threading import Lock

from edge_agent.clock import wall_clock
from edge_agent.frame import Frame
from edge_agent.packing import pack, unpack
from edge_agent.retention import ALARM_PERCENT, Retention, expire, expires_before, make_room, used_bytes
from edge_agent.spool_file import BEFORE, IDENTITY, SpoolUnusableError, opened, recall, remember
from rules.wire.event import head, joined, picture
from rules.wire.sparkplug import EPOCH, millis

__all__ = ["Spool", "SpoolFullError", "SpoolUnusableError"]

SAY_FULL_EVERY_S = 60.0
EXPIRE_EVERY_S = 60.0
REOPEN_EVERY_S = 60.0
PENDING_MAX = 1000
_BD_SEQ_COUNT = 256
_PENDING = """
SELECT f.number, f.device, f.historical, f.readings, l.readings, coalesce(e.head, p.head), p.jpeg
FROM frames f LEFT JOIN loose l ON l.number = f.number LEFT JOIN events e ON e.number = f.number
LEFT JOIN pictures p ON p.number = f.number
WHERE f.number > ? AND f.number <= ? ORDER BY f.number
"""

_code, _at = itemgetter(0), itemgetter(1)  # of a reading

log = logging.getLogger(__name__)


class SpoolFullError(Exception):
    """The spool or its disk is full: the frames were not taken."""


class Spool:
    """One spool file.  Safe to call from any thread; every call is short."""

    def __init__(
        self,
        path: Path,
        *,
        max_mb: int,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._path = path
        self._policy = Retention(max_mb)
        self._monotonic_s = monotonic_s
        self._wall = wall
        self._lock = Lock()
        self.refused = 0  # frames that were not taken because the spool was full
        self.dropped = 0  # readings and events that were not kept, since the spool was made
        self.percent = 0  # how full it is
        self._full = self._filling = self._dropping = False
        self._said_full_s = self._expired_s = -SAY_FULL_EVERY_S
        self._said_committed = False
        self.used = 0  # bytes, when it was last looked at
        self._garbled = 0  # highest number of a frame that could not be read
        self._take_up(*opened(path))

    def _take_up(self, db: sqlite3.Connection, writable: bool) -> None:
        self._db, self._writable, self._tried_s = db, writable, self._monotonic_s()
        self.identity = str(recall(db, IDENTITY))
        self.before = recall(db, BEFORE) or ""  # the damaged spool that this one was saved from
        self.committed = int(recall(db, "committed") or 0)
        self._deleted = self.committed
        self.last_number = self._last_number()
        self.dropped = max(self.dropped, int(recall(db, "dropped") or 0))
        newest = recall(db, "newest_ms")
        self.newest = None if newest is None else EPOCH + timedelta(milliseconds=int(newest))
        if self.depth() == 0:
            self._forget_points()
        self._points: set[tuple[str, str]] = set(db.execute("SELECT device, measure FROM points"))
        self._codes = {f"{device}.{measure}" for device, measure in self._points}
        self._look_how_full()

    def follow(self, policy: Retention) -> None:
        """Keep to another policy from now on."""
        with self._lock:
            self._policy = policy

    def append(self, frames: Sequence[Frame], *, sha256: str | None = None) -> int:
        """Keep frames under the next numbers, all or none; gives the last number.

        ``sha256`` marks them as an import that must not be repeated.  Raises SpoolFullError, and SpoolUnusableError
        when the file is found damaged.
        """
        with self._lock:
            try:
                self._reopen()
                self._make_room()
                with self._db:
                    last_number, newest, unseen = self._insert(frames, sha256)
            except (sqlite3.OperationalError, OSError) as error:
                if sha256 is None:  # an import can come again
                    self.dropped += sum(len(frame.readings) + (frame.event is not None) for frame in frames)
                raise self._full_error(len(frames), error) from None
            except sqlite3.IntegrityError:
                raise
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None
            self.last_number, self.newest = last_number, newest
            self._points |= unseen
            self._codes |= {f"{device}.{measure}" for device, measure in unseen}
            if self._full:
                self._full = False
                log.warning("spool %s has room again; readings are kept from now on", self._path)
            return last_number

    def _insert(self, frames: Sequence[Frame], sha256: str | None) -> tuple[int, datetime | None, set[tuple[str, str]]]:
        spooled_ms, lets_go = millis(self._wall()), self._policy.loose
        for frame in frames:
            loose = [reading for reading in frame.readings if reading.point in lets_go] if lets_go else []
            kept = [reading for reading in frame.readings if reading.point not in lets_go] if loose else frame.readings
            row = (frame.device, int(frame.historical), pack(frame.device, kept))
            number = self._db.execute(
                "INSERT INTO frames (device, historical, readings) VALUES (?, ?, ?)", row
            ).lastrowid
            if loose:
                lying = (number, spooled_ms, len(loose), pack(frame.device, loose))
                self._db.execute("INSERT INTO loose VALUES (?, ?, ?, ?)", lying)
            if frame.event is not None and (jpeg := picture(frame.event)) is not None:
                self._db.execute(
                    "INSERT INTO pictures VALUES (?, ?, ?, ?)", (number, spooled_ms, head(frame.event), jpeg)
                )
            elif frame.event is not None:
                self._db.execute("INSERT INTO events VALUES (?, ?)", (number, head(frame.event)))
        last_number = self._last_number()
        times = {at for frame in frames for at in set(map(_at, frame.readings))}  # nearly always one for all
        newest = max([*times, *([] if self.newest is None else [self.newest])], default=None)
        if newest is not None and newest != self.newest:
            remember(self._db, "newest_ms", str(millis(newest)))
        unseen = self._unseen(frames)
        self._db.executemany("INSERT OR IGNORE INTO points VALUES (?, ?)", sorted(unseen))
        if sha256 is not None:
            self._db.execute("INSERT INTO imports VALUES (?, ?)", (sha256, last_number))
        return last_number, newest, unseen

    def _reopen(self) -> None:
        """Try again now and then whether the disk can be written; what the hub has committed meanwhile is kept."""
        if self._writable:
            return
        now_s = self._monotonic_s()
        if now_s - self._tried_s >= REOPEN_EVERY_S:
            committed, identity = self.committed, self.identity
            self._db.close()
            self._take_up(*opened(self._path, identity))
            if self.identity == identity:
                self.committed = max(committed, self.committed)
        if not self._writable:
            raise OSError("its disk cannot be written")

    def _make_room(self) -> None:
        """Drop what the policy lets go, by age and by size; raises OSError when the file is full of what stays."""
        now_s = self._monotonic_s()
        dropped = 0
        with self._db:
            if now_s - self._expired_s >= EXPIRE_EVERY_S:
                self._expired_s = now_s
                dropped += expire(self._db, expires_before(millis(self._wall()), self._policy))
            if self._look_how_full() >= self._policy.max_bytes:
                dropped += make_room(self._db, self._policy)
            if dropped:
                remember(self._db, "dropped", str(self.dropped + dropped))
        if dropped:
            self._say_dropped(dropped)
        if self._look_how_full() >= self._policy.max_bytes:
            raise OSError(f"the limit spool_max_mb of {self._policy.max_mb} MB is reached")

    def _look_how_full(self) -> int:
        used = self.used = used_bytes(self._db)
        self.percent = min(100, 100 * used // max(1, self._policy.max_bytes))
        if self.percent < ALARM_PERCENT // 2:
            self._dropping = False
        if (self.percent >= ALARM_PERCENT) != self._filling:
            self._filling = not self._filling
            if self._filling:
                log.warning(
                    "spool %s is %d %% full; when it is full, readings that count nothing go first, oldest first. Look "
                    "why the hub does not take them, or raise spool_max_mb",
                    self._path,
                    self.percent,
                    extra={"event": "spool.filling", "percent": self.percent},
                )
        return used

    def _say_dropped(self, count: int) -> None:
        self.dropped += count
        if not self._dropping:  # once for each time that it fills up
            self._dropping = True
            log.error(
                "spool %s had to drop %d of its oldest readings that count nothing; it goes on so until the hub takes "
                "what waits, and says how many they were in the end to the hub",
                self._path,
                count,
                extra={"event": "spool.lost_readings", "count": count},
            )

    def _full_error(self, frames: int, error: Exception) -> SpoolFullError:
        self.refused += frames
        now_s = self._monotonic_s()
        sentence = f"spool {self._path} takes no new readings: {error}; {self.depth()} frames wait for the hub"
        if not self._full or now_s - self._said_full_s >= SAY_FULL_EVERY_S:
            self._full, self._said_full_s = True, now_s
            full = {"event": "spool.full", "count": self.refused}
            log.error("%s (%d frames refused so far); polling goes on", sentence, self.refused, extra=full)
        return SpoolFullError(sentence)

    def _damaged(self, error: Exception) -> SpoolUnusableError:
        return SpoolUnusableError(
            f"spool {self._path} is damaged ({error}); start the edge agent again, it saves what can be read"
        )

    def pending(self, after: int, limit: int) -> list[Frame]:
        """Give up to ``limit`` frames with the numbers after ``after``, in order; a dropped one is empty."""
        with self._lock:
            first = max(after, self.committed)
            last = min(first + min(limit, PENDING_MAX), self.last_number)
            try:
                rows = self._db.execute(_PENDING, (first, last)).fetchall()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None
        found = {row[0]: self._frame(*row) for row in rows}
        return [found.get(number) or Frame("", (), number=number) for number in range(first + 1, last + 1)]

    def _frame(
        self,
        number: int,
        device: str,
        historical: int,
        packed: str,
        loose: str | None,
        about: str | None,
        jpeg: bytes | None,
    ) -> Frame:
        """Read a row; what a disk has garbled without the file's notice must not hold up the rest."""
        try:
            readings = [*unpack(device, packed), *(() if loose is None else unpack(device, loose))]
            event = None if about is None else joined(about, jpeg)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            if number > self._garbled:
                self._garbled = number
                self.dropped += 1
                log.error("frame %d of spool %s is garbled (%s); it is sent empty", number, self._path, error)  # noqa: TRY400
            return Frame("", (), number=number)
        return Frame(device, tuple(readings), bool(historical), number, event)

    def commit(self, up_to: int) -> None:
        """Forget frames up to a number that the hub has committed; remembers the number."""
        with self._lock:
            self.committed = max(self.committed, min(up_to, self.last_number))
            if self.committed == self._deleted:
                return
            try:
                with self._db:
                    for table in ("frames", "loose", "events", "pictures"):
                        self._db.execute(f"DELETE FROM {table} WHERE number <= ?", (self.committed,))  # noqa: S608
                    remember(self._db, "committed", str(self.committed))
                    remember(self._db, "dropped", str(self.dropped))
                self._deleted = self.committed
                self._said_committed = False
                self._look_how_full()
            except sqlite3.Error as error:  # a full disk: harmless, the next commit deletes these too
                if not self._said_committed:
                    self._said_committed = True
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
            number = int(recall(self._db, "bd_seq") or 0)
            try:
                with self._db:
                    remember(self._db, "bd_seq", str((number + 1) % _BD_SEQ_COUNT))
            except sqlite3.Error as error:
                log.warning("spool %s: birth number not kept: %s", self._path, error)
            return number

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._db.close()

    def _unseen(self, frames: Iterable[Frame]) -> set[tuple[str, str]]:
        """Give (device, measure) of points that no frame has spoken of."""
        return {
            (frame.device, reading.point[len(frame.device) + 1 :])
            for frame in frames
            if not self._codes.issuperset(map(_code, frame.readings))
            for reading in frame.readings
            if reading.point not in self._codes
        }

    def _forget_points(self) -> None:
        with suppress(sqlite3.OperationalError), self._db:  # a full disk: known points do no harm
            self._db.execute("DELETE FROM points")

    def _last_number(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frames'").fetchone()
        return max(int(row[0]) if row else 0, self.committed)
