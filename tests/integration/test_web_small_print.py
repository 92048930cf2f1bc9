"""What no page is about and every answer keeps to: types, caches, other origins, spare methods, spare fields."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from hub.access import service as access
from hub.leases import service as leases
from hub.store.database import Database
from tests.builders import Dsns, Park, acting
from tests.integration.test_web_rights import ENGLISH, PASSWORD, routes, secret, sign_in
from web import files
from web.app import create
from web.settings import WebSettings

ELSEWHERE = {"Origin": "https://elsewhere.example"}
KINDS = re.compile(r"text/[a-z]+; charset=utf-8|application/(json|pdf|problem\+json)", re.IGNORECASE)


DOORS = ("/welcome", "/reset")  # for people who are not signed in


@pytest.fixture
def app(database: Database, park: Park) -> FastAPI:
    return create(database, WebSettings(park.dsns.hub, broadcast=False))


@pytest.fixture
async def client(app: FastAPI, database: Database, park: Park) -> AsyncIterator[httpx.AsyncClient]:
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await leases.register(tx, park.site, park.file)
        await access.add_user(tx, "administrator", "A", "administrator", PASSWORD, language="en")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test", headers=ENGLISH) as opened:
        yield opened


def addresses(app: FastAPI) -> list[str]:
    return sorted({route.path for method, route in routes(app) if method == "GET" and "{" not in route.path})


async def test_every_answer_says_what_it_is_and_stays_out_of_caches(app: FastAPI, client: httpx.AsyncClient) -> None:
    await sign_in(client, "administrator")
    for address in [*addresses(app), "/nothing-here"]:
        answer = await client.get(address)
        if answer.content:
            assert KINDS.fullmatch(answer.headers["content-type"]), address
        assert answer.headers["cache-control"] == "no-store", address
        assert answer.headers["x-content-type-options"] == "nosniff", address


async def test_nothing_is_opened_to_other_origins(app: FastAPI, client: httpx.AsyncClient) -> None:
    await sign_in(client, "administrator")
    preflight = {**ELSEWHERE, "Access-Control-Request-Method": "POST"}
    for address in addresses(app):
        for answer in (
            await client.get(address, headers=ELSEWHERE),
            await client.options(address, headers=preflight),
            await client.get(address, headers={"Origin": "null"}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-")], address


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_a_method_that_nobody_needs_is_refused(client: httpx.AsyncClient, method: str) -> None:
    for address in ("/sign-in", "/api/health", f"/static/{files.version()}/app.css"):
        answer = await client.request(method, address, headers={"X-Told": "back to me"})
        assert 400 <= answer.status_code < 500, address
        assert "back to me" not in answer.text


async def test_strangers_find_neither_documents_nor_lists_of_files_nor_what_is_not_served(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    assert not app.debug
    kept = f"/static/{files.version()}"
    hidden = [
        "/docs",
        "/redoc",
        "/openapi.json",
        "/metrics",
        "/static",
        "/static/",
        kept,
        f"{kept}/",
        f"{kept}/vendor/",
    ]
    reached = [f"{kept}/../app.py", f"{kept}/%2e%2e/app.py", f"{kept}/..%2fsession.py", "/.git/config", "/.env"]
    for address in hidden + reached:
        answer = await client.get(address)
        assert answer.status_code in (307, 404), address
        assert "/static/" in answer.headers.get("location", "/static/"), address


async def test_every_page_lets_its_visitor_go(app: FastAPI, client: httpx.AsyncClient) -> None:
    await sign_in(client, "administrator")
    pages = 0
    for address in addresses(app):
        answer = await client.get(address)
        if answer.status_code == 200 and "<html" in answer.text and address not in DOORS:
            pages += 1
            assert 'action="/sign-out"' in answer.text, address
    assert pages > 5


async def test_fields_that_no_form_has_change_nothing(client: httpx.AsyncClient, park: Park) -> None:
    await sign_in(client, "administrator")
    token = secret(await client.get("/alarms"))
    spare = {"role": "security", "roles": "security", "kind": "service", "login": "root", "active": "false",
             "organisation_id": "00000000-0000-0000-0000-000000000000", "password_hash": "x"}  # fmt: skip
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        look = "SELECT to_jsonb(u) - 'language', (SELECT jsonb_agg(g) FROM grants g) FROM users u"
        before = owner.execute(look).fetchall()
        answer = await client.post("/language", data={**spare, "csrf": token, "language": "zh", "next": "/alarms"})
        assert answer.status_code in (303, 422)
        assert owner.execute(look).fetchall() == before


async def test_a_field_counts_only_where_it_belongs(client: httpx.AsyncClient) -> None:
    await sign_in(client, "administrator")
    token = secret(await client.get("/alarms"))
    assert (await client.post(f"/sign-out?csrf={token}")).status_code == 403
    assert (await client.post("/language?language=zh", data={"csrf": token})).status_code == 422
    twice = {"csrf": [token, "guessed"], "language": "zh"}
    assert (await client.post("/language", data=twice)).status_code in (403, 422)
    assert (await client.get("/alarms")).status_code == 200


async def test_a_session_that_is_never_idle_ends_all_the_same(client: httpx.AsyncClient, database: Database) -> None:
    now = datetime.now(UTC)
    opened = await access.sign_in(database, "administrator", PASSWORD, "127.0.0.1", now)
    step = access.SESSION_IDLE / 2
    for n in range(access.SESSION_LIFE // step):
        assert await access.visitor(database, opened.token, now + n * step) is not None
    assert await access.visitor(database, opened.token, now + access.SESSION_LIFE - timedelta(seconds=1)) is not None
    assert await access.visitor(database, opened.token, now + access.SESSION_LIFE) is None


def test_a_new_database_has_nobody_in_it(schema: Dsns) -> None:
    with psycopg.connect(schema.owner) as owner:
        owner.execute("SET row_security = off")
        for table in ("users", "grants", "sessions", "organisations"):
            assert owner.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), table
