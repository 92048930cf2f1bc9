"""Every route says who may; every form carries its secret; every answer carries the headers."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from hub.access import service as access
from hub.access.rights import RIGHTS, Right
from hub.leases import service as leases
from hub.store.database import Database
from tests.builders import Park, acting
from web.app import create
from web.boards import TooManyBoardsError
from web.security import HEADERS, INERT
from web.session import Needs
from web.settings import WebSettings

ENGLISH = {"Accept-Language": "en"}
PASSWORD = "only for these tests"
DOORS = ("/sign-in", "/welcome", "/reset")
OTHER_DOORS = {("POST", "/sign-in/with/{provider}"), ("GET", "/oidc/{provider}/callback")}
PUBLIC = OTHER_DOORS | {("GET", "/api/health"), *((verb, door) for verb in ("GET", "POST") for door in DOORS)}


@pytest.fixture
def app(database: Database, park: Park) -> FastAPI:
    return create(database, WebSettings(park.dsns.hub, broadcast=False))


@pytest.fixture
async def people(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, acting("test", "administrator")) as tx:
        await leases.register(tx, park.site, park.file)
        tenant = (await leases.tenants(tx))[0]
        for role in RIGHTS:
            tenant_id = tenant.id if role == "tenant" else None
            await access.add_user(tx, role, role, role, PASSWORD, tenant_id=tenant_id, language="en")


@pytest.fixture
async def client(app: FastAPI, people: None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test", headers=ENGLISH) as opened:
        yield opened


def secret(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def sign_in(client: httpx.AsyncClient, login: str, password: str = PASSWORD) -> httpx.Response:
    door = await client.get("/sign-in")
    form = {"csrf": secret(door), "login": login, "password": password}
    return await client.post("/sign-in", data=form)


def needs(route: APIRoute) -> list[Needs]:
    return [one.call for one in route.dependant.dependencies if isinstance(one.call, Needs)]


def routes(app: FastAPI) -> list[tuple[str, APIRoute]]:
    found = []
    for route in app.routes:
        nested = getattr(getattr(route, "original_router", None), "routes", [route])  # FastAPI keeps routers whole
        found += [(method, one) for one in nested if isinstance(one, APIRoute) for method in one.methods or ()]
    return found


def test_every_route_declares_its_right(app: FastAPI) -> None:
    found = routes(app)
    assert len(found) > 30
    undeclared = {(method, route.path) for method, route in found if not needs(route)}
    assert undeclared == PUBLIC


@pytest.mark.parametrize("role", sorted(RIGHTS))
async def test_each_role_opens_its_own_pages_and_no_others(app: FastAPI, client: httpx.AsyncClient, role: str) -> None:
    await sign_in(client, role)
    for method, route in routes(app):
        if method != "GET" or "{" in route.path or (method, route.path) in PUBLIC:
            continue
        rights = needs(route)[0].rights
        answer = await client.get(route.path)
        if rights and not set(rights) & RIGHTS[role]:
            assert answer.status_code == 403, (role, route.path)
            assert "does not include" in answer.text
        else:
            assert answer.status_code in (200, 303, 422), (role, route.path, answer.text)


async def test_whoever_is_not_signed_in_is_sent_to_the_door_and_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/alarms")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/alarms")
    answer = await client.get("/api/alarms")
    assert (answer.status_code, answer.json()["error"]) == (401, "Sign in first.")


async def test_a_wrong_password_gets_one_sentence_that_gives_nothing_away(client: httpx.AsyncClient) -> None:
    for login in ("engineer", "nobody"):
        answer = await sign_in(client, login, "wrong password")
        assert answer.status_code == 403
        assert access.REFUSAL in answer.text
        assert "plantroom_session" not in client.cookies


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/alarms?page=2", "/alarms?page=2"),
        ("/中文", "/%E4%B8%AD%E6%96%87"),
        ("https://elsewhere.example", "/"),
        ("//elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("/\t/elsewhere.example", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
    ],
)
async def test_nobody_is_led_elsewhere_nor_into_a_header(client: httpx.AsyncClient, asked: str, led: str) -> None:
    door = await client.get("/sign-in")
    form = {"csrf": secret(door), "login": "engineer", "password": PASSWORD, "next": asked}
    assert (await client.post("/sign-in", data=form)).headers["location"] == led
    token = secret(await client.get("/alarms"))
    form = {"csrf": token, "language": "en", "next": asked}
    answer = await client.post("/language", data=form, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, led)


async def test_signing_in_ends_the_session_that_the_browser_had(client: httpx.AsyncClient, database: Database) -> None:
    door = await client.get("/sign-in")
    form = {"csrf": secret(door), "login": "engineer", "password": PASSWORD}
    await client.post("/sign-in", data=form)
    before = client.cookies["plantroom_session"]
    client.cookies.set("plantroom_door", form["csrf"])
    await client.post("/sign-in", data=form)
    assert client.cookies["plantroom_session"] != before
    assert await access.visitor(database, before, datetime.now(UTC)) is None


async def test_what_no_text_column_keeps_is_refused_with_a_sentence(client: httpx.AsyncClient) -> None:
    await sign_in(client, "administrator")
    answer = await client.get("/api/readings?point=%00&from=2026-01-01T00:00Z&to=2026-01-02T00:00Z")
    assert (answer.status_code, "cannot be kept" in answer.text) == (422, True)


async def test_a_form_without_its_secret_is_refused(client: httpx.AsyncClient) -> None:
    await sign_in(client, "engineer")
    for form in ({}, {"csrf": "guessed"}):
        answer = await client.post(f"/alarms/{uuid4()}/acknowledge", data=form)
        assert answer.status_code == 403
    token = secret(await client.get("/alarms"))
    answer = await client.post(f"/alarms/{uuid4()}/acknowledge", headers={"X-CSRF-Token": token})
    assert (answer.status_code, "There is no such alarm" in answer.text) == (404, True)


async def test_what_another_site_sends_is_refused(client: httpx.AsyncClient) -> None:
    await sign_in(client, "engineer")
    token = secret(await client.get("/alarms"))
    answer = await client.post("/sign-out", data={"csrf": token}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert (await client.get("/alarms")).status_code == 200


async def test_what_is_too_big_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-in", content=b"x" * 1_100_000)
    assert answer.status_code == 413


async def test_every_answer_carries_the_headers(client: httpx.AsyncClient) -> None:
    for path, policy in (("/sign-in", "script-src 'self'"), ("/nothing", "script-src 'self'"), ("/api/health", INERT)):
        headers = (await client.get(path)).headers
        assert policy in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


async def test_session_cookies_are_out_of_reach_of_scripts(client: httpx.AsyncClient) -> None:
    answer = await sign_in(client, "engineer")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("plantroom_session"))
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()


async def test_over_https_cookies_are_bound_to_the_host(database: Database, park: Park, people: None) -> None:
    app = create(database, WebSettings(park.dsns.hub, public_address="https://plantroom.test", broadcast=False))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://plantroom.test") as client:
        answer = await sign_in(client, "engineer")
        cookie = next(c for c in answer.headers.get_list("set-cookie") if "plantroom_session" in c)
        assert cookie.startswith("__Host-plantroom_session=")
        assert "; secure" in cookie.lower()
        assert (await client.get("/alarms")).status_code == 200


async def test_a_bug_shows_a_reference_and_no_traceback(app: FastAPI, client: httpx.AsyncClient) -> None:
    @app.get("/broken")
    async def broken() -> None:
        raise TooManyBoardsError("secret detail")

    answer = await client.get("/broken")
    assert answer.status_code == 500
    assert "Reference" in answer.text
    assert "secret detail" not in answer.text
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["cache-control"] == "no-store"


async def test_refusals_of_parts_go_beside_the_list(client: httpx.AsyncClient) -> None:
    await sign_in(client, "engineer")
    token = secret(await client.get("/alarms"))
    headers = {"X-CSRF-Token": token, "HX-Request": "true"}
    answer = await client.post(f"/alarms/{uuid4()}/acknowledge", headers=headers)
    assert (answer.status_code, answer.headers["hx-retarget"]) == (404, "#notices")
    assert "<html" not in answer.text


async def test_a_tenant_sees_his_own_papers_only(client: httpx.AsyncClient, park: Park) -> None:
    await sign_in(client, "tenant")
    page = await client.get("/papers")
    mine = [lease for lease in park.file.lease if lease.code in page.text]
    assert {lease.tenant for lease in mine} == {min(tenant.code for tenant in park.file.tenant)}


async def test_the_language_is_kept_with_the_user(client: httpx.AsyncClient) -> None:
    await sign_in(client, "engineer")
    token = secret(await client.get("/alarms"))
    await client.post("/language", data={"csrf": token, "language": "zh", "next": "/alarms"})
    assert '<html lang="zh-CN">' in (await client.get("/alarms")).text
    answer = await client.post("/language", data={"csrf": token, "language": "xx"})
    assert answer.status_code == 422


async def test_a_right_that_no_role_has_does_not_exist() -> None:
    assert set().union(*RIGHTS.values()) == set(Right)
