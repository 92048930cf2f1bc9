"""Points of ASVS that no page is about: asked of every route, every form, every cookie, every answer."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from hub.access import door, session
from hub.leases import service as leases
from hub.store.database import Database
from tests.builders import ENGINEER, WIDE, Park
from tests.conftest import PostgresForTests, fresh_dsns
from tests.door import PASSWORD, STRICT, Caller, add, calling, enrol, hidden, strict
from tests.integration.test_matrix import opened, sign_in
from tests.integration.test_web_rights import needs, routes
from tests.matrix_routes import ROUTES
from tests.matrix_world import build
from web.security import INERT

PUBLIC = "https://plantroom.test"
LONG = "x" * 20_000
DISPOSITION = re.compile(r'(attachment|inline); filename="[\w.-]+"')
GRAVE = {  # what opens an account, or lasts longer than a session
    ("POST", "/account/email"), ("GET", "/account/factor"), ("POST", "/account/factor"), ("POST", "/account/codes"),
    ("POST", "/account/factor/give-up"), ("POST", "/account/sessions/end-others"),
    ("POST", "/account/sessions/{session_id}/end"),
}  # fmt: skip


@pytest.fixture
def app(database: Database, park: Park) -> FastAPI:
    return strict(database, park, rates=WIDE)


def run(park: Park, statement: str) -> None:
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        owner.execute(statement.encode())


async def enter(database: Database, park: Park, caller: Caller, role: str) -> None:
    user_id = await add(database, park, "li.wei", role)
    caller.seed = await enrol(database, park, user_id, datetime.now(UTC) - timedelta(minutes=5))
    await caller.give_password("li.wei")
    await caller.post("/second-factor", code=await caller.code())


async def test_every_route_that_declares_it_asks_for_a_fresh_proof(
    app: FastAPI, database: Database, park: Park
) -> None:
    fresh = {(method, one.path) for method, one in routes(app) if any(need.fresh for need in needs(one))}
    assert fresh >= GRAVE
    async with calling(app) as caller:
        await enter(database, park, caller, "administrator")
        csrf = hidden(await caller.get("/account"))["csrf"]
        run(park, f"UPDATE sessions SET authenticated_at = now() - interval '{session.FRESH + timedelta(seconds=1)}'")
        for method, path in sorted(fresh):
            filled = "/".join(str(uuid4()) if part.startswith("{") else part for part in path.split("/"))
            answer = await caller.client.request(method, filled, headers={"X-CSRF-Token": csrf})
            assert answer.status_code == 303, (method, path)
            assert answer.headers["location"].startswith("/sign-in/again"), (method, path)


async def test_a_password_of_years_ago_opens_as_on_its_first_day(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    run(park, "UPDATE credentials SET password_set_at = now() - interval '20 years'")
    come = await door.sign_in(database, "li.wei", PASSWORD, "192.0.2.9", datetime.now(UTC), keeper=STRICT)
    assert len(come.token) >= 43


async def test_over_https_every_cookie_is_bound_to_the_host_and_to_tls(database: Database, park: Park) -> None:
    kept: list[str] = []
    async with calling(strict(database, park, public_address=PUBLIC), PUBLIC) as caller:
        await add(database, park, "helper", "contractor")
        door_, come = await caller.get("/sign-in"), await caller.give_password("helper")
        spoken = await caller.post("/my", "/language", language="en")
        for answer in (door_, come, spoken, await caller.get("/reset"), await caller.post("/my", "/sign-out")):
            kept += [one for one in answer.headers.get_list("set-cookie") if "Max-Age=0" not in one]
    assert len({one.partition("=")[0] for one in kept}) >= 4
    for one in kept:
        assert one.startswith("__Host-plantroom_")
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= {part.strip().lower() for part in one.split(";")}
        assert "domain=" not in one.lower()


async def test_nothing_is_led_from_http_to_https_so_that_no_program_notices_too_late(
    database: Database, park: Park
) -> None:
    app = strict(database, park, public_address=PUBLIC, rates=WIDE)
    async with calling(app, PUBLIC.replace("https", "http")) as caller:
        for method, path in sorted((method, one.path) for method, one in routes(app)):
            filled = "/".join(str(uuid4()) if part.startswith("{") else part for part in path.split("/"))
            answer = await caller.client.request(method, filled)
            assert not answer.headers.get("location", "/").startswith("http"), (method, path)
            if path.startswith("/api/"):
                assert "location" not in answer.headers, path


async def test_data_that_is_opened_like_a_page_can_do_nothing(app: FastAPI, database: Database, park: Park) -> None:
    kinds = set()
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file)
    async with calling(app) as caller:
        await enter(database, park, caller, "administrator")
        for path in sorted({one.path for method, one in routes(app) if method == "GET" and "{" not in one.path}):
            answer = await caller.get(path)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            if kind not in ("text/html", ""):
                kinds.add(kind)
                assert answer.headers["content-security-policy"] == INERT, path
                assert answer.headers["x-content-type-options"] == "nosniff", path
            if kind == "text/csv":
                assert DISPOSITION.fullmatch(answer.headers["content-disposition"]), path
    assert kinds == {"application/json", "text/csv"}


async def test_a_name_in_an_address_gets_into_no_head_of_a_download(
    app: FastAPI, database: Database, park: Park
) -> None:
    async with calling(app) as caller:
        await enter(database, park, caller, "billing")
        for name in ('x"; filename="evil.html', "a%0d%0aSet-Cookie:%20a=b", "../../etc/passwd", "x" * 3_000):
            answer = await caller.get(f"/invoices/{name}.pdf")
            assert answer.status_code in (400, 404), name
            assert "content-disposition" not in answer.headers


def declared(route: APIRoute) -> bool:
    """Whether an answer's fields are declared one by one; the description of the API describes itself."""
    return route.response_model is not None or route.path == "/api/openapi.json"


def test_every_answer_in_json_declares_its_fields(app: FastAPI) -> None:
    found = [one for _, one in routes(app) if one.path.startswith("/api/")]
    assert len(found) >= 4
    assert [one.path for one in found if not declared(one)] == []
    assert not [one.path for _, one in routes(app) if one not in found and one.response_class is JSONResponse]


def form_fields(schema: dict[str, object], path: str, method: str) -> Iterator[str]:
    """The names of a form's fields, as the description of the API gives them."""
    operation = schema["paths"][path][method.lower()]  # type: ignore[index]
    content = operation.get("requestBody", {}).get("content", {})
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        reference = content.get(kind, {}).get("schema", {}).get("$ref", "")
        yield from schema["components"]["schemas"].get(reference.rpartition("/")[2], {}).get("properties", {})  # type: ignore[index]


async def test_a_value_that_is_far_too_long_is_refused_in_every_field_of_every_form(
    postgres: PostgresForTests, migrated: str
) -> None:
    dsns, sent = fresh_dsns(postgres, migrated), 0
    async with opened(dsns) as (client, app):
        world = await build(app.state.database, dsns)
        csrf, schema = await sign_in(client, app, "administrator"), app.openapi()
        own = world.places["own"]
        for (method, path), entry in sorted(ROUTES.items()):
            filled = path.replace(":path}", "}").format(**entry.path(world, own, "administrator"))
            usual = {name: str(value) for name, value in entry.form(world, own, "administrator").items()}
            for field in form_fields(schema, path, method) if method == "POST" else ():
                sent += 1
                answer = await client.post(filled, data={**usual, "csrf": csrf, field: LONG})
                assert answer.status_code < 500, (path, field, answer.text[-200:])
                assert LONG not in answer.headers.get("location", ""), (path, field)
                if path.startswith(("/sign-", "/account", "/second-factor")):
                    csrf = await sign_in(client, app, "administrator")
    postgres.drop(dsns.owner)
    assert sent > 20
