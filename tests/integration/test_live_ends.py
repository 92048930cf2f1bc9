"""An open page learns at once that its visitor may do less, or nothing any more."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hub.access import service as access
from hub.access import session
from hub.store.database import Database, Transaction
from tests.builders import ENGINEER, Park
from tests.door import PASSWORD, add
from web.live import NOT_ALLOWED, RIGHTS_CHANGED, SIGN_IN_NEEDED
from web.main import server
from web.settings import WebSettings

AT_ONCE_S = 2.0
WITHIN_S = 6.0  # what ends by the clock: the heartbeat, and some


@pytest.fixture
async def url(database: Database, park: Park) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        web = server(database, WebSettings(park.dsns.hub), "127.0.0.1", port)
        task = asyncio.create_task(web.serve(sockets=[listener]))
        while not web.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)  # it listens
        yield f"127.0.0.1:{port}"
        web.should_exit = True
        await task


async def opened(database: Database, url: str, login: str) -> ClientConnection:
    token = (await access.sign_in(database, login, PASSWORD, "127.0.0.1", datetime.now(UTC))).token
    headers = {"Cookie": f"plantroom_session={token}"}
    found = await connect(f"ws://{url}/live?list=alarms", origin=f"http://{url}", additional_headers=headers)  # type: ignore[arg-type]
    await found.recv()
    return found


async def closed(opened: ClientConnection, within_s: float) -> tuple[int | None, float]:
    """The code with which the server closes a socket, and after how many seconds."""
    started_s = time.monotonic()
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(within_s):
            async for _ in opened:
                pass
    return opened.close_code, time.monotonic() - started_s


async def put_out(tx: Transaction, user_id: UUID) -> None:
    await tx.run(b"UPDATE users SET active = false WHERE id = %(id)s", {"id": user_id})


async def lower(tx: Transaction, user_id: UUID) -> None:
    await tx.run(b"UPDATE grants SET until = now() WHERE user_id = %(id)s", {"id": user_id})


async def end_sessions(tx: Transaction, user_id: UUID) -> None:
    await session.end_all(tx, user_id)


@pytest.mark.parametrize(
    ("act", "code"), [(put_out, SIGN_IN_NEEDED), (lower, RIGHTS_CHANGED), (end_sessions, SIGN_IN_NEEDED)]
)
async def test_a_page_closes_at_once_when_its_visitor_is_put_out_lowered_or_ended(
    database: Database, park: Park, url: str, act: object, code: int
) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    await add(database, park, "other", "engineer")
    mine, others = await opened(database, url, "li.wei"), await opened(database, url, "other")
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await act(tx, user_id)  # type: ignore[operator]
    said, took_s = await closed(mine, AT_ONCE_S)
    assert (said, took_s < AT_ONCE_S) == (code, True)
    assert (await closed(others, 0.5))[0] is None
    await others.close()


async def test_a_page_closes_at_once_when_its_organisation_is_closed(database: Database, park: Park, url: str) -> None:
    await add(database, park, "li.wei", "engineer")
    mine = await opened(database, url, "li.wei")
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE organisations SET closed_at = now()")
    assert (await closed(mine, AT_ONCE_S))[0] == SIGN_IN_NEEDED


async def test_a_page_closes_when_a_role_ends_by_the_clock(database: Database, park: Park, url: str) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE grants SET until = %s", [datetime.now(UTC) + timedelta(seconds=1.5)])
    mine = await opened(database, url, "li.wei")
    assert (await closed(mine, WITHIN_S + 1.5))[0] == RIGHTS_CHANGED
    assert user_id


async def test_a_new_role_opens_pages_at_the_next_request(database: Database, park: Park, url: str) -> None:
    user_id = await add(database, park, "walker", "technician")
    token = (await access.sign_in(database, "walker", PASSWORD, "127.0.0.1", datetime.now(UTC))).token
    address, headers = f"ws://{url}/live?list=alarms", {"Cookie": f"plantroom_session={token}"}
    async with connect(address, origin=f"http://{url}", additional_headers=headers) as refused:  # type: ignore[arg-type]
        assert (await closed(refused, AT_ONCE_S))[0] == NOT_ALLOWED
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.grant(tx, user_id, "engineer")
    async with connect(address, origin=f"http://{url}", additional_headers=headers) as found:  # type: ignore[arg-type]
        assert await found.recv()
