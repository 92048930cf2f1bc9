"""Each role sends what the OpenAPI of pages and API allows, and what it does not: nothing breaks, nothing hangs."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from hub.store.database import Database
from tests.builders import WIDE
from tests.conftest import PostgresForTests, fresh_dsns
from tests.integration.test_matrix import sign_in
from tests.matrix_routes import ROUTES
from tests.matrix_world import OUTSIDE, STAFF, World, build
from web.app import create
from web.settings import WebSettings

SEEDS = (1, 2, 3)
EXAMPLES = 4  # per route, role and seed
ANSWER_WITHIN_S = 10.0
ENDS_THE_SESSION = {"/sign-out", "/sign-in"}


class Sender:
    """One visitor in one copy of the world; ``said`` gathers what went wrong."""

    def __init__(self, postgres: PostgresForTests, template: str, login: str) -> None:
        self.dsns = fresh_dsns(postgres, template)
        self.runner = asyncio.Runner()
        self.login = login
        self.said: list[str] = []
        self.sent = 0
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.database = Database(self.dsns.hub)
        await self.database.open()
        self.app = create(self.database, WebSettings(self.dsns.hub, broadcast=False, rates=WIDE))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://plantroom.test")
        self.csrf = await sign_in(self.client, self.app, self.login)

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.run(self.database.close())
        self.runner.close()

    def send(self, case: schemathesis.Case) -> None:
        self.runner.run(self._send(case))

    async def _send(self, case: schemathesis.Case) -> None:
        sent = case.as_transport_kwargs()
        sent = {name: sent[name] for name in ("method", "url", "params", "json", "data", "files") if name in sent}
        self.sent += 1
        try:
            asked = self.client.request(**sent, headers={"X-CSRF-Token": self.csrf})
            answer = await asyncio.wait_for(asked, ANSWER_WITHIN_S)
        except TimeoutError:
            self.said.append(f"{sent}: hangs")
            return
        except (httpx.InvalidURL, UnicodeEncodeError):  # nothing that a client can put on the wire
            return
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or "Traceback" in answer.text:
            self.said.append(f"{sent}: {answer.status_code} {answer.text[-200:]}")


@pytest.fixture(scope="module")
def world(postgres: PostgresForTests, migrated: str) -> Iterator[tuple[str, World]]:
    dsns = fresh_dsns(postgres, migrated)

    async def fill() -> World:
        database = Database(dsns.hub)
        await database.open()
        try:
            return await build(database, dsns)
        finally:
            await database.close()

    yield conninfo_to_dict(dsns.owner)["dbname"], asyncio.run(fill())
    postgres.drop(dsns.owner)


def with_things_that_are_there(
    case: schemathesis.Case, world: World, login: str, draw: st.DataObject
) -> schemathesis.Case:
    """Put the name of something real into the path of every second request, so that it gets past 'not found'."""
    entry = ROUTES.get((case.method, case.path))
    known: dict[str, Any] = dict(entry.path(world, world.places["own"], login)) if entry else {}
    real = {name: str(value) for name, value in known.items()}
    if real and draw.draw(st.booleans(), label="real"):
        case.path_parameters = {**(case.path_parameters or {}), **real}
    return case


@pytest.mark.fault
@pytest.mark.timeout(600)
@pytest.mark.parametrize("login", [*STAFF, *OUTSIDE])
def test_nothing_that_a_role_sends_breaks_or_hangs(
    postgres: PostgresForTests, world: tuple[str, World], login: str
) -> None:
    sender = Sender(postgres, world[0], login)
    schema = schemathesis.openapi.from_dict(sender.app.openapi())
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) >= len(ROUTES) - len(ENDS_THE_SESSION)
    for number in SEEDS:
        for operation in operations:
            if operation.path in ENDS_THE_SESSION:
                continue

            @seed(number)
            @settings(
                max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(), draw=st.data())
            def once(case: schemathesis.Case, draw: st.DataObject) -> None:
                sender.send(with_things_that_are_there(case, world[1], login, draw))

            once()
    sender.close()
    postgres.drop(sender.dsns.owner)
    assert not sender.said, "\n".join(sender.said[:10])
    assert sender.sent > len(operations) * len(SEEDS)
