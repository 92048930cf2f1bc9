"""Who does the jobs: of all hubs on one database the one that holds an advisory lock; the others stand by."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from psycopg import AsyncConnection, Error

from hub.jobs.doings import Doings
from hub.jobs.service import Job
from hub.store.sql import queries
from hub.streak import Streak

SQL = queries(__package__)

TRY_EVERY_S = 2.0
CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 5.0
STEP_BACK = timedelta(seconds=1)

log = logging.getLogger(__name__)


class Holder:
    """Stands by until the lock is free, does the jobs while it holds it, stands by again when it is lost."""

    def __init__(
        self, dsn: str, jobs: Sequence[Job], clock: Callable[[], datetime], doings: Doings | None = None
    ) -> None:
        self._dsn = dsn
        self._doings = doings or Doings()
        self._jobs = jobs
        self._clock = clock
        self._streaks = {job.name: Streak(f"the job '{job.name}'") for job in jobs}
        self.holds = False

    async def run(self) -> None:
        """Work until cancelled."""
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it reports every second that a slow job skips
        while True:
            try:
                connection = await AsyncConnection.connect(
                    self._dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="plantroom/jobs"
                )
                async with connection:
                    await self._stand_by(connection)
            except (Error, TimeoutError) as error:
                log.debug("the job lock cannot be held: %s", error)
            await asyncio.sleep(TRY_EVERY_S)

    async def _stand_by(self, connection: AsyncConnection[tuple[bool]]) -> None:
        while True:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                got = await (await connection.execute(SQL["try_hold"])).fetchone()
            if got is not None and got[0]:
                await self._serve(connection)
            await asyncio.sleep(TRY_EVERY_S)

    async def _serve(self, connection: AsyncConnection[tuple[bool]]) -> None:
        """Do the jobs for as long as the connection that holds the lock lives."""
        scheduler = AsyncIOScheduler(timezone=UTC)
        for job in self._jobs:
            scheduler.add_job(
                self._do,
                "interval",
                args=[job],
                seconds=job.every_s,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
                next_run_time=datetime.now(UTC),
            )
        scheduler.start()
        self.holds = self._doings.held = True
        log.info("this hub does the jobs", extra={"event": "jobs.held"})
        try:
            while True:
                wall, at_s = datetime.now(UTC), time.monotonic()
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await connection.execute(b"SELECT 1")
                await asyncio.sleep(TRY_EVERY_S)
                if datetime.now(UTC) < wall + timedelta(seconds=time.monotonic() - at_s) - STEP_BACK:
                    hurry(scheduler)
        finally:
            self.holds = self._doings.held = False
            scheduler.shutdown(wait=False)
            log.info("this hub no longer does the jobs", extra={"event": "jobs.released"})

    async def _do(self, job: Job) -> None:
        with suppress(asyncio.CancelledError):  # only the end of this hub's turn cancels a job
            began, began_s = self._clock(), time.monotonic()
            well = await self._streaks[job.name].attempt(job.work(began))
            self._doings.note(job.name, began, self._clock(), time.monotonic() - began_s, well=well)


def hurry(scheduler: AsyncIOScheduler) -> None:
    """Do every job now: the computer's clock was set back, and the scheduler would wait for it to catch up."""
    log.warning("the computer's clock was set back; the jobs go on at once")
    for job in scheduler.get_jobs():
        job.modify(next_run_time=datetime.now(UTC))
