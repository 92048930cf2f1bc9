"""What another sign-in hands out stays between it and us: no browser, no table and no line of a log has it."""

import json
import logging
from collections.abc import AsyncIterator

import psycopg
import pytest
from fastapi import Response

from hub.store.database import Database
from tests.builders import Park
from tests.door import add
from tests.identity_provider import IdentityProvider, running
from tests.integration.test_oidc import PUBLIC, TRUSTED, Stage, leave, there


@pytest.fixture
async def stage(database: Database, park: Park) -> AsyncIterator[Stage]:
    async with running() as provider:
        provider.redirect_uris = {f"{PUBLIC}/oidc/corp/callback"}
        yield Stage(database, park, provider, await add(database, park, "li.wei", "engineer"))


def everything(park: Park) -> str:
    """All rows of all tables, as text."""
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("SET row_security = off")
        tables = owner.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        assert len(tables) > 30
        return str([owner.execute(f"SELECT t::text FROM {table} t".encode()).fetchall() for (table,) in tables])


async def test_what_the_provider_hands_out_reaches_neither_browser_nor_database(
    stage: Stage, park: Park, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    handed: list[str] = []
    token = IdentityProvider.token

    def watched(self: IdentityProvider, authorization: str, form: dict[str, str]) -> Response:
        answer = token(self, authorization, form)
        said = json.loads(bytes(answer.body))
        handed.extend((said["access_token"], said["id_token"], form["code_verifier"]))
        return answer

    monkeypatch.setattr(IdentityProvider, "token", watched)
    stage.link(stage.li)
    stage.provider.claims = TRUSTED
    async with stage.caller() as caller:
        answer = await caller.get(await there(await leave(caller)))
        page = await caller.get("/alarms")
        seen = answer.text + page.text + str(answer.headers) + str(page.headers) + str(caller.client.cookies)
    assert (answer.status_code, page.status_code, len(handed)) == (303, 200, 3)
    kept = everything(park)
    assert "li.wei" in kept
    for secret in handed:
        assert secret not in seen
        assert secret not in kept
        assert secret not in caplog.text
