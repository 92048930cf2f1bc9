"""Commands over HTTP: one wish is one command however often it is sent, and a refusal is a sentence with its status."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from hub.access import tokens
from hub.access.rights import Right
from hub.access.tokens import Reach
from hub.store.database import Database
from tests.builders import Dsns
from tests.commanding import POINT
from tests.commanding_hub import Plantroom, plantroom
from web.app import create
from web.settings import WebSettings

COMMANDS = "/api/commands"


@pytest.fixture
async def room(database: Database, dsns: Dsns) -> Plantroom:
    return await plantroom(database, dsns)


@pytest.fixture
async def client(room: Plantroom) -> AsyncIterator[httpx.AsyncClient]:
    app = create(room.database, WebSettings(room.park.dsns.hub, broadcast=False))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as opened:
        yield opened


async def bearer(room: Plantroom, login: str, *rights: Right) -> dict[str, str]:
    now = datetime.now(UTC)
    reach = Reach(frozenset(rights or (Right.COMMAND_POINTS, Right.SEE_CONSOLE)))
    async with room.as_(login) as tx:
        _, secret = await tokens.create(tx, room.users[login], "bms", reach, now + timedelta(days=1), now)
    return {"Authorization": f"Bearer {secret}"}


def wish(**more: Any) -> dict[str, Any]:
    return {"point": POINT, "value": 20.5, "reason": "too warm", **more}


async def test_the_senders_id_in_body_or_header_makes_a_retry_harmless(
    client: httpx.AsyncClient, room: Plantroom
) -> None:
    may, number = await bearer(room, "fay"), str(uuid4())
    first = await client.post(COMMANDS, json=wish(id=number), headers=may)
    again = await client.post(COMMANDS, json=wish(), headers={**may, "Idempotency-Key": number})
    both = await client.post(COMMANDS, json=wish(id=number), headers={**may, "Idempotency-Key": number})
    seen = await client.get(f"{COMMANDS}/{number}", headers=may)
    assert [one.status_code for one in (first, again, both, seen)] == [200] * 4
    assert first.json() == again.json() == both.json() == seen.json()
    said = first.json()
    assert (said["state"], said["value"], said["unit"], said["shown"]) == ("given", 20.5, "°C", None)
    assert room.rows("SELECT count(*) FROM commands") == [(1,)]
    other = await client.post(COMMANDS, json=wish(id=number, value=21), headers=may)
    assert other.status_code == 409


@pytest.mark.parametrize(
    ("sent", "headers", "status", "says"),
    [
        (wish(), {}, 422, "Idempotency-Key"),
        (wish(id=str(uuid4())), {"Idempotency-Key": str(uuid4())}, 422, "not the one of the header"),
        (wish(), {"Idempotency-Key": "monday"}, 422, ""),
        (wish(id=str(uuid4()), value=27), {}, 422, "from 16 to 24 °C"),
        (wish(id=str(uuid4()), value="20.5x"), {}, 422, ""),
        (wish(id=str(uuid4()), point="AHU-1.supply_temp"), {}, 404, "cannot be set from here"),
        (wish(id=str(uuid4()), by="somebody else"), {}, 422, ""),
        (wish(id=str(uuid4()), reason="x" * 501), {}, 422, ""),
        (wish(id=str(uuid4()), reason="a\x00b"), {}, 422, ""),
    ],
)
async def test_what_cannot_be_used_is_said_and_leaves_no_command(
    client: httpx.AsyncClient, room: Plantroom, sent: dict[str, Any], headers: dict[str, str], status: int, says: str
) -> None:
    answer = await client.post(COMMANDS, json=sent, headers={**await bearer(room, "fay"), **headers})
    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert room.rows("SELECT count(*) FROM commands") == [(0,)]


async def test_numbers_that_json_does_not_have_are_refused(client: httpx.AsyncClient, room: Plantroom) -> None:
    may = {**await bearer(room, "fay"), "Content-Type": "application/json"}
    for value in ("NaN", "Infinity", "1e999"):
        body = f'{{"id": "{uuid4()}", "point": "{POINT}", "value": {value}}}'
        assert (await client.post(COMMANDS, content=body, headers=may)).status_code == 422


async def test_a_token_without_the_right_sees_and_sets_nothing(client: httpx.AsyncClient, room: Plantroom) -> None:
    given = await room.give(20.0)
    reads = await bearer(room, "gil", Right.SEE_POINTS)
    assert (await client.post(COMMANDS, json=wish(id=str(uuid4())), headers=reads)).status_code == 403
    assert (await client.get(f"{COMMANDS}/{given.id}", headers=reads)).status_code == 403
    assert (await client.post(COMMANDS, json=wish(id=str(uuid4())))).status_code == 401
    assert (await client.get(f"{COMMANDS}/{uuid4()}", headers=await bearer(room, "fay"))).status_code == 404
    assert room.rows("SELECT count(*) FROM commands") == [(1,)]


async def test_a_critical_command_is_asked_for_by_a_person_not_by_a_token(
    client: httpx.AsyncClient, room: Plantroom
) -> None:
    room.rows("UPDATE allowances SET critical = true RETURNING 1")
    asked = await client.post(COMMANDS, json=wish(id=str(uuid4())), headers=await bearer(room, "fay"))
    assert asked.status_code == 403
    assert "not a program with a token" in asked.json()["error"]
    person = await room.give(20.0, reason="pump is changed")
    by_token = await client.post(f"{COMMANDS}/{person.id}/give", headers=await bearer(room, "gil"))
    assert by_token.status_code == 409
    assert room.rows("SELECT count(*) FROM commands WHERE issued_at IS NOT NULL") == [(0,)]
