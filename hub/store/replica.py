"""A streaming replica for questions that only read: used while it is there and near enough.

How far it is behind is measured by positions in the log (LSN): every second the primary says where it stands, and the
replica how far it has replayed.  The replica is behind since the first position of the primary that it has not reached.
Unlike the age of its last transaction this stays right while nothing is written, while replay is paused and while the
two have lost each other; the clocks of the servers do not matter.
"""

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from psycopg import Error as DatabaseError
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from hub.store.pool import POOL_MAX, Pool, pool

LAG_MOST_S = 5.0
CHECK_EVERY_S = 1.0
RECONNECT_S = 2.0  # then every look is an attempt of its own
NAME = "replica"
WAIT_S = 1.0  # for a connection to a replica that was there a second ago
MARKS_MOST = 3_600  # positions not yet reached; later ones are left out, the oldest says how far behind it is

WRITTEN = b"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, system_identifier FROM pg_control_system()"
REPLAYED = b"""
SELECT pg_is_in_recovery(), coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint, 0), system_identifier
FROM pg_control_system()
"""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Distance:
    """How far a replica is behind: positions of the primary, each with the time at which it stood there."""

    marks: deque[tuple[float, int]] = field(default_factory=deque)

    def written(self, now_s: float, position: int) -> None:
        """Remember where the primary stands."""
        if len(self.marks) < MARKS_MOST and (not self.marks or position > self.marks[-1][1]):
            self.marks.append((now_s, position))

    def lag_s(self, now_s: float, replayed: int) -> float:
        """Give for how many seconds the replica has lacked what the primary had; 0 when it lacks nothing."""
        while self.marks and self.marks[0][1] <= replayed:
            self.marks.popleft()
        return now_s - self.marks[0][0] if self.marks else 0.0


class Replica:
    """The second pool of a process, and whether it is used now."""

    def __init__(self, dsn: str, primary: Pool, pool_max: int = POOL_MAX) -> None:
        """Prepare a pool for ``dsn``, a replica of ``primary``; nothing is used before ``open`` has looked at it."""
        self.pool = pool(dsn, pool_max, NAME, RECONNECT_S)
        self.usable = False
        self.lag_s = 0.0
        self._primary = primary
        self._system: int | None = None  # which cluster the primary is of
        self._distance = Distance()
        self._said = ""
        self._closing = False
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the pool and look at the replica from now on."""
        logging.getLogger("psycopg.pool").addFilter(_of_another)
        await self.pool.open()
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop looking and close all connections."""
        self._closing = True
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self.pool.close(timeout=2)

    def lose(self, error: Exception) -> None:
        """Leave the replica alone until it answers again."""
        self._judge(f"does not answer ({type(error).__name__})")

    async def _watch(self) -> None:
        while not self._closing:  # a wait for a connection may swallow the cancellation
            await self._ask_primary()
            try:
                self._judge(await self._look())
            except (DatabaseError, PoolTimeout, OSError) as error:
                self.lose(error)
            await asyncio.sleep(CHECK_EVERY_S)

    async def _ask_primary(self) -> None:
        """Note where the primary stands; one that is away writes nothing that the replica could lack."""
        with suppress(DatabaseError, PoolTimeout, OSError):
            async with self._primary.connection(timeout=WAIT_S) as connection:
                row = await (await connection.execute(WRITTEN)).fetchone()
            if row is not None:
                self._distance.written(time.monotonic(), row[0])
                self._system = row[1]

    async def _look(self) -> str:
        """Give why the replica is not used, in words that follow its name; empty when it is well."""
        async with self.pool.connection(timeout=WAIT_S) as connection:
            row = await (await connection.execute(REPLAYED)).fetchone()
        if row is None:
            raise OperationalError
        standing_by, replayed, system = row
        if not standing_by:
            return "is no replica but a server of its own"
        if self._system is None:
            return "cannot be compared, for the primary does not answer"
        if system != self._system:
            return "follows another server than ours"
        self.lag_s = self._distance.lag_s(time.monotonic(), replayed)
        return f"is more than {LAG_MOST_S:g} s behind" if self.lag_s > LAG_MOST_S else ""

    def _judge(self, why: str) -> None:
        """Use the replica or leave it alone; said once each time that this turns."""
        self.usable = not why
        if why and not self._said:
            log.warning("the replica %s; the primary answers for it until it is well again", why)
        elif self._said and not why:
            log.warning("the replica is well again, %.1f s behind; it answers from here on", self.lag_s)
        self._said = why


def _of_another(record: logging.LogRecord) -> bool:
    """Keep the pool from saying of every attempt what is said once here."""
    return not (isinstance(record.args, tuple) and NAME in record.args)
