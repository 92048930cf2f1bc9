"""Somebody at the door, in tests of signing in: a browser without a window, a phone with a second factor."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from hub.access import factor
from hub.access import service as access
from hub.access.door import Keeper
from hub.access.policy import shipped
from hub.access.vault import Vault
from hub.store.database import Database, Role
from tests.builders import ENGINEER, Park
from web.app import create
from web.settings import WebSettings

TYPING_S = 3.0
PASSWORD = "correct horse battery"
STRICT = Keeper(Vault.passing(), shipped())  # as an installation is: the staff cannot go without a second factor


async def moment() -> datetime:
    """The time, early enough in its thirty seconds for a code of it to be typed."""
    left_s = factor.STEP_S - time.time() % factor.STEP_S
    if left_s < TYPING_S:
        await asyncio.sleep(left_s)
    return datetime.now(UTC)


class Caller:
    """A browser at our pages."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.seed = b""

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(self, page: str, path: str | None = None, **fields: Any) -> httpx.Response:
        """Fill in the form of a page and send it."""
        shown = await self.client.get(page)
        return await self.client.post(path or page.partition("?")[0], data={**hidden(shown), **fields})

    async def give_password(self, login: str, password: str = PASSWORD) -> httpx.Response:
        return await self.post("/sign-in", login=login, password=password)

    async def set_up(self) -> httpx.Response:
        """Set up a second factor where somebody is asked to."""
        page = await self.client.get("/second-factor/set-up")
        self.seed = seed_of(page)
        form = {**hidden(page), "code": await self.code()}
        return await self.client.post("/second-factor/set-up", data=form)

    async def code(self) -> str:
        """What the phone shows."""
        return factor.code(self.seed, factor.step_of(await moment()))

    @property
    def token(self) -> str:
        return self.client.cookies.get("plantroom_session") or ""


def hidden(page: httpx.Response) -> dict[str, str]:
    """The fields that a page fills in by itself."""
    found = re.findall(r'<input type="hidden" name="(\w+)"[^>]* value="([^"]*)"', page.text)
    return dict(found)


def seed_of(page: httpx.Response) -> bytes:
    """The seed that a page offers, as somebody reads it who types it."""
    key = re.search(r'<code class="key">([A-Z2-7 ]+)</code>', page.text)
    assert key is not None, page.text
    return base64.b32decode(key[1].replace(" ", ""))


def codes_of(page: httpx.Response) -> list[str]:
    """The recovery codes that a page shows."""
    return re.findall(r"<li><code>([a-z2-7-]+)</code></li>", page.text)


@asynccontextmanager
async def calling(app: FastAPI, url: str = "http://plantroom.test") -> AsyncIterator[Caller]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=url, headers={"Accept-Language": "en"}) as client:
        yield Caller(client)


def strict(database: Database, park: Park, **settings: Any) -> FastAPI:
    """The pages of an installation where the staff needs a second factor."""
    return create(database, WebSettings(park.dsns.hub, broadcast=False, keeper=STRICT, **settings))


async def add(database: Database, park: Park, login: str, role: str, **more: Any) -> UUID:
    """A user with PASSWORD."""
    async with database.transaction(park.organisation, ENGINEER) as tx:
        return await access.add_user(tx, login, login.title(), role, PASSWORD, language="en", **more)


async def enrol(database: Database, park: Park, user_id: UUID, at: datetime, keeper: Keeper = STRICT) -> bytes:
    """Give a user a second factor, whose code of that moment is used up; gives its seed."""
    seed = factor.new_seed()
    async with database.transaction(park.organisation, ENGINEER, Role.DOOR) as tx:
        await factor.set_up(tx, keeper.vault, user_id, seed, factor.code(seed, factor.step_of(at)), at)
    return seed
