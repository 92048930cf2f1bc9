"""Transactions cut off in the middle: nothing half-written stays, and no connection keeps who it was or what it did."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import DivisionByZero
from psycopg.pq import TransactionStatus

from hub.errors import ConflictError, UnavailableError
from hub.store.database import Database, Role, Transaction
from hub.store.pool import POOL_MAX
from tests.builders import ENGINEER, Dsns, Park

Body = Callable[[Transaction], Awaitable[None]]

CONFINED = replace(
    ENGINEER, user_id=uuid4(), places=frozenset({uuid4()}), contractor=True,
    clearances=(("see_bank_accounts", frozenset({uuid4()})),),
)  # fmt: skip
SETTINGS = ("organisation", "places", "tenant", "contractor", "clear_see_bank_accounts")
WRITE = b"INSERT INTO quarantine (received_at, topic, reason, payload) VALUES (now(), 't', 'r', '')"
SLEEP = b"SELECT pg_sleep(20)"
FAIL = b"SELECT 1 / 0"
END_ALL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = 'plantroom_hub' AND datname = current_database()"""
PLACES = b"SELECT current_setting('plantroom.places')"
WHO = b"SELECT current_user::text"
TURNS = 60


async def in_a_statement(tx: Transaction) -> None:
    await tx.run(SLEEP)


async def in_a_pipeline(tx: Transaction) -> None:
    async with tx.together():
        await tx.run(WRITE)
        await tx.run(SLEEP)
        await tx.run(WRITE)


async def under_another_role(tx: Transaction) -> None:
    async with tx.under(Role.DOOR):
        await tx.run(SLEEP)


async def while_unconfined(tx: Transaction) -> None:
    async with tx.unconfined():
        await tx.run(SLEEP)


async def in_a_savepoint(tx: Transaction) -> None:
    async with tx.connection.transaction():
        await tx.run(SLEEP)


CUT_OFF = (in_a_statement, in_a_pipeline, under_another_role, while_unconfined, in_a_savepoint)


async def write(database: Database, park: Park, then: Body) -> None:
    async with database.transaction(park.organisation, CONFINED, Role.INGEST) as tx:
        await tx.run(WRITE)
        await then(tx)


async def assert_clean(database: Database) -> None:
    """Every connection that the pool can give is idle, is nobody, and has nothing set."""
    held = [await database._pool.getconn() for _ in range(POOL_MAX)]
    asked = ", ".join(f"coalesce(current_setting('plantroom.{name}', true), '')" for name in SETTINGS)
    for connection in held:
        assert connection.info.transaction_status is TransactionStatus.IDLE
        found = await (await connection.execute(f"SELECT current_user::text, {asked}".encode())).fetchone()
        assert found == ("plantroom_hub", *[""] * len(SETTINGS))
        await database._pool.putconn(connection)


def kept(dsns: Dsns) -> int:
    with psycopg.connect(dsns.owner) as owner:
        (number,) = owner.execute("SELECT count(*) FROM quarantine").fetchone() or (0,)
    return int(number)


@pytest.mark.parametrize("then", CUT_OFF)
@pytest.mark.parametrize("times", [1, 2, 30])
async def test_a_cancelled_transaction_leaves_nothing(
    database: Database, park: Park, dsns: Dsns, then: Body, times: int
) -> None:
    task = asyncio.create_task(write(database, park, then))
    await asyncio.sleep(0.2)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_clean(database)
    assert kept(dsns) == 0


async def test_a_transaction_may_be_cancelled_at_every_turn(database: Database, park: Park, dsns: Dsns) -> None:
    async def much(tx: Transaction) -> None:
        async with tx.unconfined(), tx.under(Role.APP):
            await tx.value(WHO)
        async with tx.together():
            await tx.run(WHO)
        await tx.run(WRITE)  # two rows or none

    for turns in range(TURNS):
        task = asyncio.create_task(write(database, park, much))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await assert_clean(database)
    assert kept(dsns) % 2 == 0


@pytest.mark.parametrize("then", CUT_OFF)
async def test_a_connection_that_is_lost_says_try_again(database: Database, park: Park, dsns: Dsns, then: Body) -> None:
    task = asyncio.create_task(write(database, park, then))
    await asyncio.sleep(0.2)
    with psycopg.connect(dsns.owner) as owner:
        owner.execute(END_ALL)
    with pytest.raises(UnavailableError, match="try again"):
        await task
    await assert_clean(database)
    assert kept(dsns) == 0


async def test_a_connection_that_is_lost_before_the_commit_keeps_nothing(
    database: Database, park: Park, dsns: Dsns
) -> None:
    async def lose(_: Transaction) -> None:
        with psycopg.connect(dsns.owner) as owner:
            owner.execute(END_ALL)
        await asyncio.sleep(0.1)

    with pytest.raises(UnavailableError, match="try again"):
        await write(database, park, lose)
    await assert_clean(database)
    assert kept(dsns) == 0


@pytest.mark.parametrize("then", CUT_OFF)
async def test_a_statement_that_takes_too_long_says_try_again(
    database: Database, park: Park, dsns: Dsns, then: Body
) -> None:
    async def hurried(tx: Transaction) -> None:
        await tx.run(b"SET LOCAL statement_timeout = 200")
        await then(tx)

    with pytest.raises(UnavailableError, match="try again"):
        await write(database, park, hurried)
    await assert_clean(database)
    assert kept(dsns) == 0


async def test_more_than_the_pool_holds_are_told_to_try_again_and_it_recovers(
    database: Database, park: Park, dsns: Dsns
) -> None:
    database._pool.timeout = 0.2
    free = asyncio.Event()

    async def hold(_: Transaction) -> None:
        await free.wait()

    holders = [asyncio.create_task(write(database, park, hold)) for _ in range(POOL_MAX)]
    await asyncio.sleep(0.5)
    late = await asyncio.gather(*[write(database, park, hold) for _ in range(20)], return_exceptions=True)
    assert all(isinstance(one, UnavailableError) for one in late)
    free.set()
    await asyncio.gather(*holders)
    await assert_clean(database)
    assert kept(dsns) == POOL_MAX


async def test_a_failure_that_is_swallowed_keeps_nothing_of_its_transaction(
    database: Database, park: Park, dsns: Dsns
) -> None:
    async def swallow(tx: Transaction) -> None:
        with suppress(DivisionByZero):
            await tx.value(FAIL)

    await write(database, park, swallow)
    await assert_clean(database)
    assert kept(dsns) == 0


async def test_a_refusal_within_another_role_ends_that_role(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, CONFINED) as tx:
        with suppress(ConflictError):
            async with tx.under(Role.DOOR):
                raise ConflictError("refused")
        assert (tx.role, await tx.value(WHO)) == (Role.APP, "plantroom_app")


async def test_a_refusal_while_unconfined_confines_again(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, CONFINED) as tx:
        before = await tx.value(PLACES)
        with suppress(ConflictError):
            async with tx.unconfined():
                raise ConflictError("refused")
        assert await tx.value(PLACES) == before


async def test_an_unconfined_block_within_another_ends_nothing(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, CONFINED) as tx:
        before = await tx.value(PLACES)
        async with tx.unconfined():
            async with tx.unconfined():
                pass
            assert await tx.value(PLACES) == "*"
        assert await tx.value(PLACES) == before


async def test_a_savepoint_that_is_rolled_back_takes_role_and_confinement_along(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, CONFINED) as tx:
        before: Any = await tx.value(PLACES)
        with suppress(DivisionByZero):
            async with tx.connection.transaction(), tx.under(Role.DOOR), tx.unconfined():
                await tx.value(FAIL)
        assert (tx.role, await tx.value(WHO), await tx.value(PLACES)) == (Role.APP, "plantroom_app", before)
