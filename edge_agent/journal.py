"""The journal: every command that was taken up, on disk before its device hears of it, with its answer.

A file of its own beside the spool.  What stands in it without an answer after a restart was being carried out when the
gateway stopped.  ``synchronous=FULL``, as in the spool: what ``begin`` returned from survives a power cut.  A damaged
file is moved aside; since the new one knows nothing of before, what was given before its birth counts as known.
"""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from edge_agent.spool_file import make_private
from rules.control.command import Answer, Command, Outcome
from rules.wire.sparkplug import EPOCH, millis

KEEP_HEARD = timedelta(days=1)  # far beyond the longest life of a command, even where a clock was set back
KEEP_UNHEARD = timedelta(days=7)
ENTRIES_MAX = 10_000
MEMORY = Path(":memory:")
LOCK_WAIT_S = 1.0
WAL_BYTES_MAX = 1024 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY,
    point TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    tried INTEGER NOT NULL,
    outcome TEXT,
    answered_ms INTEGER,
    shown REAL,
    reason TEXT NOT NULL DEFAULT '',
    heard INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS birth (one INTEGER PRIMARY KEY CHECK (one = 1), ms INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS commands_point ON commands (point, begun_ms);
"""
_ENTRY = "SELECT id, point, outcome, answered_ms, shown, reason FROM commands "


log = logging.getLogger(__name__)


class JournalError(Exception):
    """The journal cannot be written or opened; one sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command that was taken up; ``answer`` is None until it has one."""

    id: str
    point: str
    answer: Answer | None


class Journal:
    """One file.  Safe to call from any thread; every call is short."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Open the file or make it; raises JournalError for a folder that cannot be used."""
        self._path = path
        self._lock = Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _opened(path, now)
            with self._db:
                self._db.execute("INSERT OR IGNORE INTO birth VALUES (1, ?)", (millis(now),))
            ((born_ms,),) = self._db.execute("SELECT ms FROM birth").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"the journal of commands {path} cannot be opened: {error}; check the folder's owner and free space"
            ) from None
        self.born_at = EPOCH + timedelta(milliseconds=born_ms)

    @classmethod
    def refusing(cls, now: datetime) -> "Journal":
        """Give one for a disk that takes nothing: it remembers nothing, so no command may be carried out."""
        journal = cls(MEMORY, now)
        journal._db.execute("PRAGMA query_only = 1")
        return journal

    def find(self, number: str) -> Entry | None:
        """Give the entry of a command, None for one that is new here."""
        found = self._entries("WHERE id = ?", number)
        return found[0] if found else None

    def unfinished(self) -> list[Entry]:
        """Give what was begun and has no answer."""
        return self._entries("WHERE outcome IS NULL ORDER BY begun_ms")

    def unheard(self) -> list[Answer]:
        """Give the answers that the hub has not yet said it has heard, oldest first."""
        found = self._entries("WHERE outcome IS NOT NULL AND NOT heard ORDER BY begun_ms")
        return [entry.answer for entry in found if entry.answer is not None]

    def last_set(self, point: str) -> datetime | None:
        """Give when a command last went to a point's device."""
        with self._lock:
            asked = "SELECT max(begun_ms) FROM commands WHERE point = ? AND tried"
            ((ms,),) = self._db.execute(asked, (point,)).fetchall()
        return None if ms is None else EPOCH + timedelta(milliseconds=ms)

    def begin(self, command: Command, now: datetime) -> None:
        """Remember that a command is carried out from now on; raises JournalError, and it must not be then."""
        self._write(command, now, None)

    def refuse(self, command: Command, answer: Answer) -> None:
        """Remember a command that is not carried out; raises JournalError."""
        self._write(command, answer.at, answer)

    def finish(self, answer: Answer) -> None:
        """Remember what came of a command; raises JournalError."""
        said = (answer.outcome.value, millis(answer.at), answer.shown, answer.reason, answer.id)
        self._change("UPDATE commands SET outcome = ?, answered_ms = ?, shown = ?, reason = ? WHERE id = ?", [said])

    def heard(self, numbers: Iterable[str]) -> None:
        """Note whose answers the hub has; raises JournalError."""
        self._change("UPDATE commands SET heard = 1 WHERE id = ?", [(number,) for number in numbers])

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._db.close()

    def _entries(self, which: str, *asked: object) -> list[Entry]:
        with self._lock:
            return [_entry(*row) for row in self._db.execute(_ENTRY + which, asked)]

    def _write(self, command: Command, now: datetime, answer: Answer | None) -> None:
        self._change(
            "DELETE FROM commands WHERE begun_ms < iif(heard, ?, ?)",
            [(millis(now - KEEP_HEARD), millis(now - KEEP_UNHEARD))],
        )
        with self._lock:
            ((many,),) = self._db.execute("SELECT count(*) FROM commands").fetchall()
        if many >= ENTRIES_MAX:
            raise JournalError(f"the gateway remembers {many} commands already; it takes more when the oldest are over")
        said = (None,) * 3 if answer is None else (answer.outcome.value, millis(answer.at), answer.shown)
        reason = "" if answer is None else answer.reason
        row = (command.id, command.point, millis(now), int(answer is None), *said, reason)
        self._change(
            "INSERT INTO commands (id, point, begun_ms, tried, outcome, answered_ms, shown, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [row],
        )

    def _change(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._lock:
            try:
                with self._db:
                    self._db.executemany(statement, rows)
            except (sqlite3.Error, OSError) as error:
                raise JournalError(f"the journal of commands {self._path} cannot be written: {error}") from None


def _entry(number: str, point: str, outcome: str | None, at_ms: int | None, shown: float | None, reason: str) -> Entry:
    if outcome is None or at_ms is None:
        return Entry(number, point, None)
    at = EPOCH + timedelta(milliseconds=at_ms)
    return Entry(number, point, Answer(number, Outcome(outcome), at, shown, reason))


def _opened(path: Path, now: datetime) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged-{millis(now)}")
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        log.error("the journal of commands %s is damaged (%s); kept as %s, starting a new one", path, error, aside)  # noqa: TRY400  one line
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    if path != MEMORY:
        make_private(path)
    db = sqlite3.connect(path, timeout=LOCK_WAIT_S, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", f"journal_size_limit = {WAL_BYTES_MAX}"):
            db.execute(f"PRAGMA {pragma}")
        db.executescript(_SCHEMA)
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            db.close()
        raise
    return db
