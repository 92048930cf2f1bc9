"""Of several hubs one does the jobs; when it goes, another takes over."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hub.jobs import holder
from hub.jobs.holder import Holder
from hub.jobs.service import Job, Work
from hub.main import clock
from hub.store.database import Database
from rules.detect.book import RuleBook
from tests.builders import Park


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  a holder has no event for this
            await asyncio.sleep(0.02)


async def test_one_hub_does_the_jobs_and_another_takes_over(park: Park, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "TRY_EVERY_S", 0.1)
    done: list[str] = []

    def job(name: str) -> Job:
        async def work(_now: datetime) -> None:
            done.append(name)

        return Job(name, 0.1, work)

    hubs = [Holder(park.dsns.hub, [job(name)], clock) for name in ("first", "second")]
    tasks = [asyncio.create_task(hubs[0].run())]
    try:
        await until(lambda: hubs[0].holds)
        tasks.append(asyncio.create_task(hubs[1].run()))
        await until(lambda: done.count("first") >= 3)
        assert not hubs[1].holds
        tasks[0].cancel()
        await until(lambda: hubs[1].holds and "second" in done)
        assert not hubs[0].holds
        with psycopg.connect(
            park.dsns.owner, autocommit=True
        ) as admin:  # its connection dies: it stands by and returns
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'plantroom/jobs'"
            )
        await until(lambda: not hubs[1].holds)
        await until(lambda: hubs[1].holds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_job_runs_on_a_fresh_database(database: Database, park: Park) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for job in Work(database, RuleBook(()), lambda _now: now).jobs():
        await job.work(now)
    with psycopg.connect(park.dsns.owner) as connection:
        weeks = connection.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'samples'::regclass").fetchone()
        unsealed = connection.execute("SELECT count(*) FROM audit_entries WHERE hash IS NULL").fetchone()
    assert (weeks, unsealed) == ((3,), (0,))


async def test_only_the_newest_of_the_quarantine_is_kept(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.jobs.service.QUARANTINE_ROWS_MAX", 3)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute(
            "INSERT INTO quarantine (received_at, topic, reason, payload) "
            "SELECT now(), n::text, '', '' FROM generate_series(1, 9) n"
        )
    await Work(database, RuleBook(()), lambda now: now).drop_quarantine(clock())
    with psycopg.connect(park.dsns.owner) as connection:
        assert connection.execute("SELECT topic FROM quarantine ORDER BY id").fetchall() == [("7",), ("8",), ("9",)]


async def test_a_gateway_that_died_unheard_is_shown_as_off_but_not_when_nobody_listened(
    database: Database, park: Park
) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("UPDATE gateways SET online = true, spool = 'a', seen_at = %s", [now - timedelta(minutes=3)])
    shown = []
    for heard_since in (now - timedelta(minutes=1), now - timedelta(minutes=5)):
        await Work(database, RuleBook(()), lambda _now, since=heard_since: since).miss_gateways(now)
        with psycopg.connect(park.dsns.owner) as connection:
            shown += connection.execute("SELECT online FROM gateways").fetchall()
    assert shown == [(True,), (False,)]


async def test_jobs_go_on_when_the_clock_is_set_back() -> None:
    scheduler, done = AsyncIOScheduler(timezone=UTC), asyncio.Event()

    async def work() -> None:
        done.set()

    an_hour_from_now = datetime.now(UTC) + timedelta(hours=1)
    scheduler.add_job(work, "interval", seconds=1, next_run_time=an_hour_from_now)
    scheduler.start()
    holder.hurry(scheduler)
    await asyncio.wait_for(done.wait(), 5)
    scheduler.shutdown(wait=False)
