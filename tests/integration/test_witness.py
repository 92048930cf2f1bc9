"""Refusals are witnessed: in the security log always, in the record when somebody signed in asked for too much."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from hub import refusals
from hub.access import service as access
from hub.audit import service as audit
from hub.audit.rows import Entry
from hub.store.database import Database
from tests.builders import ENGINEER, Park
from tests.integration.test_web_rights import PASSWORD, secret
from web import witness
from web.app import create
from web.live import NOT_ALLOWED, SIGN_IN_NEEDED
from web.settings import WebSettings

SECURITY = "plantroom.security"


@pytest.fixture
async def app(database: Database, park: Park, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr(witness.Witness.__init__, "__defaults__", (refusals.Refusals().note,))
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.add_user(tx, "clerk", "Clerk", "billing", PASSWORD, language="en")
    return create(database, WebSettings(park.dsns.hub, broadcast=False))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
    headers = {"Accept-Language": "en"}
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test", headers=headers) as opened:
        yield opened


async def sign_in(client: httpx.AsyncClient) -> None:
    form = {"csrf": secret(await client.get("/sign-in")), "login": "clerk", "password": PASSWORD}
    assert (await client.post("/sign-in", data=form)).status_code == 303


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == SECURITY]


async def recorded(database: Database, park: Park, route: str) -> list[Entry]:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        return await audit.of_entity(tx, "page", route)


async def test_a_page_that_is_not_for_him_leaves_one_trace_in_the_log_and_one_in_the_record(
    client: httpx.AsyncClient, database: Database, park: Park, caplog: pytest.LogCaptureFixture
) -> None:
    await sign_in(client)
    answers = [await client.get("/alarms") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {403}
    (line,) = told(caplog)
    assert line.startswith('refused: a forbidden act GET /alarms to="clerk" status="403" route="GET /alarms"')
    assert 'address="192.0.2.7"' in line
    assert f'request="{answers[0].headers["x-request-id"]}"' in line
    assert 'why="Your role does not include this page or act' in line
    (entry,) = await recorded(database, park, "GET /alarms")
    assert (entry.action, entry.actor, entry.address) == ("refused", "clerk", "192.0.2.7")
    assert entry.request_id == answers[0].headers["x-request-id"]
    assert (await client.get("/orders")).status_code == 403
    assert len(told(caplog)) == 2


async def test_a_stale_form_and_a_foreign_page_are_witnessed(
    client: httpx.AsyncClient, database: Database, park: Park, caplog: pytest.LogCaptureFixture
) -> None:
    await sign_in(client)
    assert (await client.post("/language", data={"language": "zh", "csrf": "stale"})).status_code == 403
    foreign = {"Origin": "https://elsewhere.example"}
    assert (await client.post("/language", data={"language": "zh"}, headers=foreign)).status_code == 403
    assert [line.split(" status=")[0] for line in told(caplog)] == [
        'refused: a forbidden act POST /language to="clerk"',
        'refused: a forbidden act to="192.0.2.7"',
    ]
    assert len(await recorded(database, park, "POST /language")) == 1


@pytest.mark.parametrize(
    ("asked", "status", "what"),
    [
        ({"url": "/sign-in", "headers": {"Content-Length": "99999999"}}, 413, "a big request"),
        ({"url": "/sign-in?" + "x" * 9_000}, 414, "a long address"),
        ({"url": "/sign-in", "headers": [(f"X-{n}", "1") for n in range(80)]}, 431, "too many headers"),
        ({"url": "/api/alarms", "headers": {"Authorization": "Bearer not-one-of-ours"}}, 401, "an unknown token"),
        ({"url": "/sign-in", "headers": {"Host": "a b"}}, 400, "a misshapen request"),
    ],
)
async def test_what_only_a_tool_sends_is_witnessed_without_its_secrets(
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    asked: dict[str, object],
    status: int,
    what: str,
) -> None:
    answer = await client.request("POST" if status == 413 else "GET", **asked)  # type: ignore[arg-type]
    assert answer.status_code == status
    (line,) = told(caplog)
    assert f'refused: {what} to="192.0.2.7"' in line
    assert "not-one-of-ours" not in caplog.text


async def test_a_session_that_is_over_is_no_attempt_at_anything(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await client.get("/alarms")).status_code == 303
    assert (await client.get("/api/alarms")).status_code == 401
    assert (await client.get("/nowhere")).status_code == 404
    assert told(caplog) == []


async def test_too_many_requests_are_witnessed_once_per_streak(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = [(await client.post("/sign-in")).status_code for _ in range(40)]
    assert statuses[-1] == 429
    first, tenth = (line for line in told(caplog) if "too many requests" in line)
    assert "times=" not in first
    assert 'times="10"' in tenth


async def knock(app: FastAPI, cookie: str = "") -> list[Message]:
    """Open a socket as a browser does, and give what it hears."""
    heard: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        heard.append(message)

    headers = [(b"host", b"plantroom.test"), (b"origin", b"http://plantroom.test"), (b"cookie", cookie.encode())]
    scope = {"type": "websocket", "path": "/live", "raw_path": b"/live", "query_string": b"list=alarms",
             "headers": headers, "client": ("192.0.2.7", 4711), "subprotocols": [], "scheme": "ws"}  # fmt: skip
    await app(scope, receive, send)
    return heard


async def test_a_socket_of_nobody_and_a_socket_for_too_much_are_witnessed(
    app: FastAPI, client: httpx.AsyncClient, database: Database, park: Park, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await knock(app))[-1]["code"] == SIGN_IN_NEEDED
    await sign_in(client)
    held = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert (await knock(app, held))[-1]["code"] == NOT_ALLOWED
    assert [line.split(" status=")[0] for line in told(caplog)] == [
        'refused: a socket of nobody to="192.0.2.7"',
        'refused: a forbidden socket SOCKET /live to="clerk"',
    ]
    assert len(await recorded(database, park, "SOCKET /live")) == 1


async def test_the_log_knows_which_request_is_answered_and_for_whom(app: FastAPI, client: httpx.AsyncClient) -> None:
    said: list[dict[str, str]] = []

    @app.get("/of-tests")
    async def page(request: Request) -> dict[str, str]:
        said.append(dict(witness.asking()))
        return {}

    answer = await client.get("/of-tests")
    assert said == [{"request": answer.headers["x-request-id"], "actor": "", "organisation": ""}]
    await sign_in(client)
    await client.get("/leases")
    assert witness.asking()["actor"] == "clerk"


async def test_a_refusal_is_answered_although_the_record_cannot_be_reached(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await sign_in(client)

    async def gone(*_: object, **__: object) -> None:
        raise witness.UnavailableError("gone")

    monkeypatch.setattr(witness.audit, "record", gone)
    assert (await client.get("/alarms")).status_code == 403
    assert "could not be recorded" in caplog.text


def test_the_security_log_is_a_log_of_its_own() -> None:
    assert refusals.log.name == SECURITY
    assert refusals.log.getEffectiveLevel() <= logging.WARNING
