"""Two embedded servers, one following the other: what only reads goes to the second while it is well."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import ReadOnlySqlTransaction
from pydantic import SecretStr

from deploy import doctor_growth
from deploy.doctor_check import Check
from deploy.postgres import Postgres
from deploy.settings import Settings
from hub.errors import UnavailableError
from hub.store import replica as replicas
from hub.store.database import Database
from hub.store.migrate import migrate
from tests.builders import ENGINEER, Dsns, Park, register_park, site_file
from tests.conftest import HUB_PASSWORD
from tests.standby import Standby

PATIENCE_S = 30.0
WHERE = b"SELECT pg_is_in_recovery()"


@dataclass(frozen=True)
class Pair:
    """A primary with a park, and its standby."""

    dsns: Dsns
    standby: Standby
    park: Park

    @property
    def replica(self) -> str:
        """The hub's login at the standby."""
        return make_conninfo(self.standby.dsn, user="plantroom_hub", password=HUB_PASSWORD, options="")

    def open(self) -> Database:
        """The pools of a process that has the standby for a replica."""
        return Database(self.dsns.hub, replica_dsn=self.replica)


@pytest.fixture(scope="module")
def pair(open_directory: Path) -> Iterator[Pair]:
    """Two servers for the tests of this file."""
    server = Postgres(open_directory / "primary")
    server.start()
    try:
        owner = make_conninfo(server.dsn, options="-c search_path=public")
        migrate(owner, HUB_PASSWORD)
        dsns = Dsns(owner, make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))
        park = asyncio.run(_registered(dsns))
        standby = Standby(open_directory / "standby", server.dsn)
        try:
            standby.start()
            yield Pair(dsns, standby, park)
        finally:
            standby.stop()
    finally:
        server.stop()


async def _registered(dsns: Dsns) -> Park:
    database = Database(dsns.hub)
    await database.open()
    try:
        return await register_park(database, dsns, site_file())
    finally:
        await database.close()


@pytest.fixture
async def near(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A process that looks at its replica often and has found it well."""
    monkeypatch.setattr(replicas, "CHECK_EVERY_S", 0.05)
    opened = pair.open()
    await opened.open()
    await _until(lambda: _usable(opened))
    yield opened
    await opened.close()


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE_S / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it has not come to that in time")


async def _on_replica(database: Database) -> bool:
    async with database.reading(None) as tx:
        return bool(await tx.value(WHERE))


def _usable(database: Database) -> bool:
    assert database.replica is not None
    return database.replica.usable


def _write(pair: Pair, name: str) -> None:
    with psycopg.connect(pair.dsns.owner) as connection:
        connection.execute("UPDATE sites SET name_en = %s", [name])


async def _name(database: Database, pair: Pair) -> tuple[str, bool]:
    async with database.reading(pair.park.organisation, ENGINEER) as tx:
        return await tx.value(b"SELECT name_en FROM sites"), bool(await tx.value(WHERE))


async def test_what_only_reads_goes_to_the_replica_and_sees_its_organisation_alone(near: Database, pair: Pair) -> None:
    assert await _on_replica(near)
    async with near.reading(pair.park.organisation, ENGINEER) as tx:
        assert await tx.value(b"SELECT count(*) FROM points") == len(pair.park.points)
    async with near.reading(None, ENGINEER) as tx:
        assert await tx.value(b"SELECT count(*) FROM points") == 0
    async with near.transaction(pair.park.organisation, ENGINEER) as tx:
        assert not await tx.value(WHERE)


@pytest.mark.parametrize("well", [True, False])
async def test_nothing_is_written_there_on_either_server(near: Database, pair: Pair, well: bool) -> None:
    assert near.replica is not None
    if not well:
        await near.replica.close()
        near.replica = None
    with pytest.raises(ReadOnlySqlTransaction):
        async with near.reading(pair.park.organisation, ENGINEER) as tx:
            await tx.run(b"UPDATE sites SET name_en = 'x'")


async def test_a_replica_that_lags_is_left_alone_until_it_has_caught_up(
    near: Database, pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replicas, "LAG_MOST_S", 0.3)
    pair.standby.run("SELECT pg_wal_replay_pause()")
    try:
        with caplog.at_level(logging.WARNING, replicas.__name__):
            _write(pair, "While it stood still")
            await _until(lambda: not _usable(near))
            assert await _name(near, pair) == ("While it stood still", False)
            assert "bytes" in _doctor(pair)[0].found
            pair.standby.run("SELECT pg_wal_replay_resume()")
            await _until(lambda: _usable(near))
            assert await _name(near, pair) == ("While it stood still", True)
    finally:
        pair.standby.run("SELECT pg_wal_replay_resume()")
    said = [record.getMessage() for record in caplog.records]
    assert [one.split(";")[0].split(",")[0] for one in said] == [
        "the replica is more than 0.3 s behind",
        "the replica is well again",
    ]


async def test_an_idle_primary_makes_no_lag(near: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "LAG_MOST_S", 0.3)
    await asyncio.sleep(0.6)
    assert _usable(near)
    assert await _on_replica(near)


async def test_an_outage_of_the_replica_is_answered_by_the_primary_and_said_once(
    near: Database, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, replicas.__name__):
        pair.standby.stop()
        try:
            for _ in range(20):  # also before anybody has noticed
                assert not await _on_replica(near)
            check = _doctor(pair)[0]
            assert (check.ok, check.needed) == (False, False)
            assert "the primary answers everything" in check.sentence()
        finally:
            pair.standby.start()  # from this thread, with which it would end
        await _until(lambda: _usable(near))
    assert await _on_replica(near)
    said = [record.getMessage() for record in caplog.records]
    assert ["does not answer" in said[0], "well again" in said[1], len(said)] == [True, True, 2]
    assert _doctor(pair)[0].ok


async def test_a_query_that_the_replica_cuts_off_is_tried_again_by_who_asked(near: Database, pair: Pair) -> None:
    async def cut_off() -> None:
        async with near.reading(pair.park.organisation, ENGINEER) as tx:
            pid = await tx.value(b"SELECT pg_backend_pid()")
            await asyncio.to_thread(pair.standby.run, f"SELECT pg_terminate_backend({pid})")
            await tx.value(WHERE)

    with pytest.raises(UnavailableError, match="try again"):
        await cut_off()
    async with near.reading(None) as tx:
        assert await tx.value(b"SELECT 1") == 1


async def test_a_server_that_is_no_replica_of_ours_is_never_read(pair: Pair, dsns: Dsns) -> None:
    for strange in (pair.dsns.hub, dsns.hub):
        opened = Database(pair.dsns.hub, replica_dsn=strange)
        await opened.open()
        assert opened.replica is not None
        watched = opened.replica
        await _until(lambda watched=watched: bool(watched._said))  # type: ignore[misc]
        assert not watched.usable
        assert "no replica but a server of its own" in watched._said
        await opened.close()


def _doctor(pair: Pair) -> list[Check]:
    return doctor_growth.checks(Settings(database_dsn=SecretStr(pair.dsns.hub), replica_dsn=SecretStr(pair.replica)))
