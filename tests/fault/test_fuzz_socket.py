"""The live socket under rubbish: handshakes, addresses and messages of every kind; the server answers on."""

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI

from hub.access import service as access
from hub.store.database import Database
from tests.builders import Park, acting
from web.main import server
from web.settings import WebSettings

SEEDS = (1, 2, 3)
ROUNDS = 60
ANSWER_WITHIN_S = 5.0
PASSWORD = "only for these tests"
LISTS = ("alarms", "points", "orders", "point", "sheet", "jobs", "job", "tiles", "gateways", "chips")


@asynccontextmanager
async def served(database: Database, park: Park) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        web = server(database, WebSettings(park.dsns.hub), "127.0.0.1", port)
        task = asyncio.create_task(web.serve(sockets=[listener]))
        while not web.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
        yield f"127.0.0.1:{port}"
        web.should_exit = True
        await task


def text(dice: random.Random) -> str:
    """A text of any kind: words, control characters, other scripts, half pairs of quotes, very long."""
    kinds = ("a'\"<>", "\x00\r\n\t", "中文\u202e\ufeff", "😀\U0010ffff", "%00%2e%2e/", "?&=#;", "1e309 -1 NaN")
    return "".join(dice.choice(dice.choice(kinds)) for _ in range(dice.choice((0, 1, 5, 40, 3_000))))


def address(dice: random.Random) -> str:
    names = [dice.choice((*LISTS, text(dice))) for _ in range(dice.choice((0, 1, 2, 9, 40)))]
    filters = [f"{dice.choice(('device', 'number', 'priority', text(dice)))}={text(dice)}" for _ in names]
    specs = [f"list={quote(f'{name}?{said}', safe='')}" for name, said in zip(names, filters, strict=True)]
    return "&".join(specs)[:7_000]


def messages(dice: random.Random) -> Iterator[str | bytes]:
    for _ in range(dice.randrange(4)):
        size = dice.choice((0, 1, 125, 126, 65_536, 300_000))
        yield dice.choice((text(dice), dice.randbytes(size), "[" * 10_000, '{"list": null}'))


async def talk(opened: ClientConnection, dice: random.Random) -> None:
    for message in messages(dice):
        await opened.send(message)
    with suppress(TimeoutError):
        await asyncio.wait_for(opened.recv(), 0.05)


@pytest.mark.fault
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_handshake_address_or_message_breaks_the_socket_or_the_server(
    database: Database, park: Park, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    dice = random.Random(seed)
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await access.add_user(tx, "engineer", "E", "engineer", PASSWORD, language="en")
    token = (await access.sign_in(database, "engineer", PASSWORD, "127.0.0.1", datetime.now(UTC))).token
    caplog.set_level(logging.ERROR)
    async with served(database, park) as host, httpx.AsyncClient(base_url=f"http://{host}") as client:
        for _ in range(ROUNDS):
            cookie = dice.choice((token, token, token, "", "x" * 4_000, quote(text(dice)[:500])))
            origin = dice.choice((f"http://{host}", f"http://{host}", "https://elsewhere.example", "null"))
            with suppress(InvalidHandshake, InvalidMessage, InvalidURI, ConnectionClosed, OSError, TimeoutError):
                async with connect(
                    f"ws://{host}/live?{address(dice)}", origin=origin, open_timeout=ANSWER_WITHIN_S,
                    additional_headers={"Cookie": f"plantroom_session={cookie}"}, proxy=None,
                ) as opened:  # fmt: skip
                    await talk(opened, dice)
            await raw(host, dice)
        answer = await asyncio.wait_for(client.get("/api/health"), ANSWER_WITHIN_S)
        assert answer.status_code == httpx.codes.OK
    broken = [one for one in caplog.records if one.levelno >= logging.ERROR or one.exc_info]
    assert not [one.getMessage() for one in broken]


async def raw(host: str, dice: random.Random) -> None:
    """Speak what is hardly HTTP, and hang up."""
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    asked = b"GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    heads = (
        asked + b"\r\n",
        asked + b"Sec-WebSocket-Key: eHh4\r\nSec-WebSocket-Version: 99\r\n\r\n",
        b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        dice.randbytes(200),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    )
    writer.write(dice.choice(heads))
    with suppress(OSError, TimeoutError):
        await writer.drain()
        await asyncio.wait_for(reader.read(100), 0.2)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
