"""The web server on real sockets: whoever is slow, silent, many or speaks for others is held to limits."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import httpx
import pytest
import websockets
from fastapi import FastAPI, Request
from websockets.exceptions import InvalidStatus

from hub.access import service as access
from hub.store.database import Database
from tests.builders import Dsns, Park, acting
from tests.integration.test_web_rights import PASSWORD, sign_in
from web import intake, main, throttle, wire
from web.settings import WebSettings

Serve = Callable[..., AbstractAsyncContextManager[int]]


@pytest.fixture
def serve(database: Database, dsns: Dsns) -> Serve:
    """Serves the application with settings on a free port, and a route that says who asks."""

    @asynccontextmanager
    async def served(**settings: object) -> AsyncIterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = main.server(database, WebSettings(dsns.hub, broadcast=False, **settings), "127.0.0.1", 1)  # type: ignore[arg-type]
            server.config.load()
            _add_routes(server.config.app)  # type: ignore[arg-type]
            task = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            yield listener.getsockname()[1]
            server.should_exit = True
            await task

    return served


def _add_routes(app: FastAPI) -> None:
    @app.get("/whose")
    async def whose(request: Request) -> list[str]:
        assert request.client is not None
        return [request.client.host, request.url.scheme]

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.get("/much")
    async def much() -> str:
        return "x" * 20_000_000


async def talk(port: int, *words: str, pause_s: float = 0.0, until_s: float = 5.0) -> str:
    """Say ``words`` with pauses and give all that comes back until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = asyncio.create_task(_hear(reader))
    for word in words:
        writer.write(word.encode())
        await asyncio.sleep(pause_s)
    said = await asyncio.wait_for(heard, until_s)
    await _close(writer)
    return said.decode()


async def _hear(reader: asyncio.StreamReader) -> bytes:
    said = b""
    with suppress(ConnectionError):
        while piece := await reader.read(100_000):
            said += piece
    return said


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def ask(path: str, *headers: str, method: str = "GET", body: str = "") -> str:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: plantroom.test",
        "Accept-Language: en",
        "Connection: close",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines)


def body_of(answer: str) -> str:
    return answer.partition("\r\n\r\n")[2]


async def test_a_head_that_never_ends_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_WITHIN_S", 0.3)
    async with serve() as port:
        assert await talk(port) == ""  # a connection that says nothing
        assert await talk(port, "GET / HTTP/1.1\r\n", *(f"X-{n}: 1\r\n" for n in range(20)), pause_s=0.05) == ""
        begun = ask("/whose").replace("close", "keep-alive")
        assert body_of(await talk(port, begun, "GET / HT")) == '["127.0.0.1","http"]'  # a second one on the same line


async def test_a_body_that_never_ends_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "FORM", intake.Body(1_000, 0.3))
    async with serve() as port:
        answer = await talk(port, ask("/raw", "Content-Length: 900", method="POST"), *"xxxxxxxxxx", pause_s=0.05)
        assert answer.startswith("HTTP/1.1 408")
        assert "came too slowly" in answer
        assert body_of(await talk(port, ask("/raw", "Content-Length: 3", method="POST", body="abc"))) == "3"


async def test_a_body_that_nobody_reads_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_WITHIN_S", 0.3)
    async with serve() as port:
        begun = ask("/nothing", "Content-Length: 900", method="POST").replace("close", "keep-alive")
        assert (await talk(port, begun, *"x" * 20, pause_s=0.05)).startswith("HTTP/1.1 404")


async def test_whoever_does_not_read_is_let_go(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "READ_WITHIN_S", 0.3)
    async with serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(ask("/much").encode())
        await asyncio.sleep(1.0)
        assert len(await _hear(reader)) < 20_000_000
        await _close(writer)


async def test_an_address_holds_so_many_connections_and_gets_them_back(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CONNECTIONS_PER_ADDRESS_MAX", 3)
    async with serve() as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert await talk(port, ask("/whose")) == ""
        for _, writer in held:
            await _close(writer)
        await asyncio.sleep(0.1)
        assert "200 OK" in await talk(port, ask("/whose"))
    async with serve(trusted_proxies=("127.0.0.0/8",)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        assert "200 OK" in await talk(port, ask("/whose"))
        for _, writer in held:
            await _close(writer)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "seen"),
    [
        ((), "203.0.113.7", "127.0.0.1"),
        (("192.0.2.0/24",), "203.0.113.7", "127.0.0.1"),
        (("127.0.0.1",), "203.0.113.7", "203.0.113.7"),
        (("127.0.0.0/8",), "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first is what the client made up
        (("127.0.0.1", "203.0.113.0/24"), "198.51.100.1, 203.0.113.7", "198.51.100.1"),  # two proxies
    ],
)
async def test_only_a_trusted_proxy_says_for_whom_it_speaks(
    serve: Serve, trusted: tuple[str, ...], forwarded: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable counts for nothing
    async with serve(trusted_proxies=trusted) as port:
        answer = await talk(port, ask("/whose", f"X-Forwarded-For: {forwarded}", "X-Forwarded-Proto: https"))
        assert json.loads(body_of(answer)) == [seen, "http" if seen == "127.0.0.1" else "https"]


async def test_the_server_does_not_say_what_it_is(serve: Serve) -> None:
    async with serve() as port:
        heads = (await talk(port, ask("/whose"))).lower() + (await talk(port, "nonsense\r\n\r\n")).lower()
        assert "uvicorn" not in heads
        assert "server:" not in heads


@pytest.mark.parametrize(
    "said",
    [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET /" + "a" * 20_000,
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + "a" * 20_000,
    ],
)
async def test_what_is_not_http_is_refused_and_the_line_is_cut(serve: Serve, said: str) -> None:
    async with serve() as port:
        answer = await talk(port, said)
        assert answer.split(" ")[1:2] in (["400"], ["501"])


async def test_a_socket_opens_for_pages_of_ours_only(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as port:
        here = f"http://127.0.0.1:{port}"
        for origin in (None, "https://evil.example", "null", f"{here}.evil.example"):
            with pytest.raises(InvalidStatus) as caught:
                await websockets.connect(f"ws://127.0.0.1:{port}/live", origin=origin)  # type: ignore[arg-type]
            assert caught.value.response.status_code == 403
        async with websockets.connect(f"ws://127.0.0.1:{port}/live", origin=here) as opened:  # type: ignore[arg-type]
            await opened.wait_closed()
            assert opened.close_code == 4401  # nobody is signed in
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_an_address_holds_so_many_sockets_and_shakes_hands_so_often(serve: Serve) -> None:
    rates = throttle.Rates(sockets_per_address=0)
    often = throttle.Rates(handshakes=throttle.Rate(1, 1))
    for settings, passing in ((rates, 0), (often, 1)):
        async with serve(rates=settings) as port:
            here = f"http://127.0.0.1:{port}"
            for _ in range(passing):
                async with websockets.connect(f"ws://127.0.0.1:{port}/live", origin=here):  # type: ignore[arg-type]
                    pass
            with pytest.raises(InvalidStatus) as caught:
                await websockets.connect(f"ws://127.0.0.1:{port}/live", origin=here)  # type: ignore[arg-type]
            assert caught.value.response.status_code == 403


async def test_one_user_holds_so_many_sockets_and_gets_them_back(serve: Serve, database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await access.add_user(tx, "li.wei", "Li Wei", "engineer", PASSWORD, language="en")
    async with serve(rates=throttle.Rates(sockets_per_user=2)) as port:
        here = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=here) as client:
            await sign_in(client, "li.wei", PASSWORD)
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())

        def live() -> websockets.connect:
            return websockets.connect(
                f"ws://127.0.0.1:{port}/live?list=alarms",
                origin=here,
                additional_headers={"Cookie": cookies},  # type: ignore[arg-type]
            )

        async with live() as first, live() as second:
            await asyncio.gather(first.recv(), second.recv())
            async with live() as third:
                await third.wait_closed()
                assert third.close_code == 1013  # try again later
        await asyncio.sleep(0.2)
        async with live() as again:
            await again.recv()
