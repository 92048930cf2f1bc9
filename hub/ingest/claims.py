"""Which sites this worker takes in: a fair share, held by advisory locks of a session that lasts as long as the worker.

Every worker looks once a second who lives and takes or gives up shards until its share is fair; of a worker that dies
the server frees the locks.  The locks divide the work and no more: that a reading is stored once, in order, is the
affair of the gateway's row, whoever writes it.  So a worker that loses its session goes on with what it had until it
can look again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import tuple_row

from hub.errors import UnavailableError
from hub.ingest.share import REST, Share, shard_of, share, target
from hub.store.sql import queries
from hub.streak import Streak

SQL = queries(__package__)
LOOK_EVERY_S = 1.0
CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 5.0
SESSION = "-c timezone=UTC -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"

log = logging.getLogger(__name__)
Follow = Callable[[Share], Awaitable[None]]  # go by this share from now on; returns when what was given up is at rest


@dataclass(slots=True)
class _Session:
    """One session of the database and what it has locked."""

    connection: AsyncConnection[Any]
    pid: int
    held: set[int] = field(default_factory=set)

    async def rows(self, name: str, asked: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(ANSWER_TIMEOUT_S), self.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(SQL[name], asked)
            return await cursor.fetchall()

    async def claim(self, units: Sequence[int]) -> None:
        """Lock what is free of ``units``."""
        if units:
            self.held |= {unit for unit, got in await self.rows("claim", {"units": list(units)}) if got}

    async def release(self, units: Sequence[int]) -> None:
        """Unlock."""
        if units:
            await self.rows("release", {"units": list(units)})
            self.held -= set(units)


class Claims:
    """Keeps a fair share; ``follow`` is told whenever it changes."""

    def __init__(self, dsn: str, follow: Follow) -> None:
        self._dsn = dsn
        self._follow = follow
        self._sharing = Streak("sharing the sites")
        self._wanted: tuple[int, ...] = ()  # what was held before the session was lost
        self.share: Share | None = None  # None: not known yet

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._sharing.attempt(self._serve())
            await asyncio.sleep(LOOK_EVERY_S)

    async def _serve(self) -> None:
        try:
            connection = await AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="plantroom/worker",
                options=SESSION,
            )
            async with connection:
                await self._hold(connection)
        except (OperationalError, TimeoutError) as error:
            raise UnavailableError("the database does not answer; what this worker takes in stays as it is.") from error

    async def _hold(self, connection: AsyncConnection[Any]) -> None:
        session = _Session(connection, 0)
        ((session.pid,),) = await session.rows("join_workers")
        await connection.execute(b"SET ROLE plantroom_ingest")
        await session.claim(self._wanted)
        while True:
            await self._look(session)
            self._wanted = tuple(sorted(session.held))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, session: _Session) -> None:
        workers = [pid for (pid,) in await session.rows("workers")]
        sites = [code for (code,) in await session.rows("all_sites")]
        units = sorted({shard_of(site) for site in sites} | {REST})
        wanted = target(len(units), workers, session.pid)
        spare = sorted(session.held - set(units)) + sorted(session.held & set(units))[wanted:]
        if not spare and len(session.held) < wanted:
            free = [unit for unit in units if unit not in session.held]
            for unit in free:  # one by one, and no more than is fair
                if len(session.held) < wanted:
                    await session.claim([unit])
        kept = session.held - set(spare)
        now = share(kept, sites, alone=len(workers) == 1)
        if now != self.share:
            self.share = now
            await self._follow(now)
            log.info("this worker is one of %d and takes in %s", len(workers), _said(now))
        await session.release(spare)


def _said(now: Share) -> str:
    if now.alone:
        return "all sites"
    rest = " and what nobody has registered" if now.rest else ""
    return f"{len(now.sites)} sites{rest}"
