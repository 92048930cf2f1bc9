"""Every route × every role × own and other site × own and other organisation: let in as declared, and nothing leaks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg.conninfo import conninfo_to_dict

from hub.access import service as access
from hub.store.database import Database
from tests.builders import WIDE, Dsns
from tests.conftest import PostgresForTests, fresh_dsns
from tests.matrix_routes import ROUTES, Entry
from tests.matrix_world import MARKS, PASSWORD, REALMS, SITE_ONLY, VISITORS, Realm, World, build
from web.app import create
from web.settings import WebSettings

REFUSED, NOT_FOUND, BROKEN = 403, 404, 500
SIGN_IN = (303, 401)
ASKED_CHARACTERS_MIN = 9  # a code with a mark is longer


@dataclass(frozen=True)
class Stage:
    """The world's database, to be copied for each visitor."""

    template: str
    world: World


@pytest.fixture(scope="module")
def stage(postgres: PostgresForTests, migrated: str) -> Iterator[Stage]:
    dsns = fresh_dsns(postgres, migrated)

    async def fill() -> World:
        database = Database(dsns.hub)
        await database.open()
        try:
            return await build(database, dsns)
        finally:
            await database.close()

    yield Stage(conninfo_to_dict(dsns.owner)["dbname"], asyncio.run(fill()))
    postgres.drop(dsns.owner)


def routes(app: FastAPI) -> set[tuple[str, str]]:
    found = set()
    for route in app.routes:
        nested = getattr(getattr(route, "original_router", None), "routes", [route])  # FastAPI keeps routers whole
        found |= {(method, one.path) for one in nested if isinstance(one, APIRoute) for method in one.methods or ()}
    return found


@asynccontextmanager
async def opened(dsns: Dsns) -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    database = Database(dsns.hub)
    await database.open()
    app = create(database, WebSettings(dsns.hub, broadcast=False, rates=WIDE))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as client:
        client.headers["Accept-Language"] = "en"
        yield client, app
    await database.close()


async def sign_in(client: httpx.AsyncClient, app: FastAPI, login: str) -> str:
    """Let somebody in; gives the form secret."""
    login = login.replace("@", ".")
    signed = await access.sign_in(app.state.database, login, PASSWORD, "127.0.0.1", datetime.now(UTC))
    client.cookies.clear()
    client.cookies.set("plantroom_session", signed.token)
    return signed.csrf


async def ask(
    client: httpx.AsyncClient, key: tuple[str, str], entry: Entry, stage: Stage, realm: Realm, login: str, csrf: str
) -> httpx.Response:
    method, path = key
    place = stage.world.places[realm]
    filled = path.replace(":path}", "}").format(**entry.path(stage.world, place, login))
    query = {name: str(value) for name, value in entry.query(stage.world, place, login).items()}
    form = {name: str(value) for name, value in entry.form(stage.world, place, login).items()}
    if entry.json is not None:
        sent = {"json": entry.json(stage.world, place, login), "headers": {"X-CSRF-Token": csrf}}
        return await client.request(method, filled, params=query, **sent)
    data = {**form, "csrf": csrf} if method != "GET" else None
    return await client.request(method, filled, params=query, data=data)


def sees(login: str, realm: Realm) -> bool:
    """Whether a visitor sees the things of a realm at all."""
    role = login.removesuffix(SITE_ONLY)
    if role in ("tenant", "contractor"):
        return realm == "own"
    return realm == "own" or (realm == "north" and SITE_ONLY not in login)


def verdict(entry: Entry, login: str, realm: Realm, answer: httpx.Response) -> str:
    """Say what is wrong with an answer; nothing when it is as declared."""
    role, site_only = login.removesuffix(SITE_ONLY), SITE_ONLY in login
    if answer.status_code >= BROKEN:
        return f"broke: {answer.text[-200:]}"
    for other in REALMS:
        if not sees(login, other) and MARKS[other] and MARKS[other] in shown(answer):
            return f"shows {other}"
    if entry.public or entry.anyone:
        return "refused" if entry.anyone and answer.status_code == REFUSED else ""
    if role not in entry.who or (entry.whole and site_only):
        return "" if answer.status_code == REFUSED else f"let in ({answer.status_code})"
    found = (sees(login, realm) or (entry.shared and realm == "north")) and (realm == "own" or not entry.personal)
    found = found and (not entry.parties or login in entry.parties)
    if entry.named and not found:
        return "" if answer.status_code == NOT_FOUND else f"found ({answer.status_code})"
    return f"kept out ({answer.status_code})" if answer.status_code in (*SIGN_IN[1:], REFUSED, NOT_FOUND) else ""


def shown(answer: httpx.Response) -> str:
    """Everything that an answer says, without the codes that the visitor himself asked about."""
    said = answer.text + str(answer.headers)
    url = answer.request.url
    for asked in sorted({*url.path.split("/"), *url.params.values()}, key=len, reverse=True):
        said = said.replace(asked, "") if len(asked) >= ASKED_CHARACTERS_MIN else said
    return said


def test_every_route_has_its_entry_and_every_entry_its_route() -> None:
    app = create(Database("dbname=none"), WebSettings("", broadcast=False))
    assert routes(app) ^ set(ROUTES) == set()


@pytest.mark.parametrize("login", VISITORS)
async def test_each_visitor_gets_what_is_declared_and_nothing_of_others(
    postgres: PostgresForTests, stage: Stage, login: str
) -> None:
    dsns = fresh_dsns(postgres, stage.template)
    wrong, cells = [], 0
    async with opened(dsns) as (client, app):
        csrf = await sign_in(client, app, login)
        before = strangers(dsns, stage, login)
        for key, entry in sorted(ROUTES.items()):
            for realm in REALMS if entry.named else REALMS[:1]:
                answer = await ask(client, key, entry, stage, realm, login, csrf)
                cells += 1
                said = verdict(entry, login, realm, answer)
                if said:
                    wrong.append(f"{login} {realm} {' '.join(key)}: {said}")
                if key[1].startswith(("/sign-", "/account")):  # the session has ended or has another token
                    csrf = await sign_in(client, app, login)
        after = strangers(dsns, stage, login)
    postgres.drop(dsns.owner)
    assert not wrong, "\n".join(wrong)
    assert after == before
    assert cells > len(ROUTES)


def strangers(dsns: Dsns, stage: Stage, login: str) -> list[tuple[object, ...]]:
    """What other organisations have, for which nobody's request may matter."""
    own = stage.world.places["own"].organisation
    with psycopg.connect(dsns.owner) as owner:
        return [
            (table, owner.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
                                  " WHERE organisation_id <> %s".encode(), [own]).fetchone())
            for table in ("alarms", "work_orders", "users", "grants", "leases", "invoices", "audit_entries")
        ]  # fmt: skip


async def test_nobody_who_is_not_signed_in_gets_anything(postgres: PostgresForTests, stage: Stage) -> None:
    dsns = fresh_dsns(postgres, stage.template)
    async with opened(dsns) as (client, _):
        for key, entry in ROUTES.items():
            answer = await ask(client, key, entry, stage, "own", "nobody", "guessed")
            if not entry.public:
                assert answer.status_code in SIGN_IN, key
            assert not [mark for mark in MARKS.values() if mark and mark in answer.text]
    postgres.drop(dsns.owner)
