"""API tokens: what opens, what does not, and that nothing tells a stranger why."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from hub.access import administration, tokens
from hub.access import service as access
from hub.access.rights import RIGHTS, Right
from hub.access.rows import Grant
from hub.access.tokens import REFUSAL, Reach, TokenRefusedError
from hub.assets import service as assets
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database
from rules.model.site import Organisation
from tests.builders import Park, acting
from web.app import create
from web.settings import WebSettings

NOW = datetime.now(UTC).replace(microsecond=0)
PASSWORD = "only for these tests"
YEAR = timedelta(days=365)
READS = Reach(frozenset({Right.SEE_POINTS}))
WATCHES = Reach(frozenset({Right.SEE_CONSOLE, Right.SEE_POINTS}))


@dataclass(frozen=True)
class People:
    """An administrator, an engineer and a service account of one park."""

    park: Park
    database: Database
    admin: Actor
    engineer: Actor
    robot: UUID

    async def make(self, who: Actor, owner: UUID, reach: Reach = WATCHES, name: str = "bms", **more: Any) -> str:
        until = more.get("until", NOW + YEAR)
        async with self.database.transaction(self.park.organisation, who) as tx:
            return (await tokens.create(tx, owner, name, reach, until, NOW))[1]

    def run(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.park.dsns.owner, autocommit=True) as owner:
            owner.execute(statement.encode(), values)


@pytest.fixture
async def people(database: Database, park: Park) -> People:
    admin = acting("test-admin", "administrator")
    async with database.transaction(park.organisation, admin) as tx:
        boss = await access.add_user(tx, "boss", "Boss", "administrator", PASSWORD)
        engineer = await access.add_user(tx, "li.wei", "Li Wei", "engineer", PASSWORD)
        robot = await administration.add_service_account(tx, "bms-export", "BMS export")
    return People(
        park, database, replace(admin, name="boss", user_id=boss),
        acting("li.wei", "engineer", user_id=engineer), robot,
    )  # fmt: skip


@pytest.fixture
async def client(people: People) -> AsyncIterator[httpx.AsyncClient]:
    app = create(people.database, WebSettings(people.park.dsns.hub, broadcast=False))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as opened:
        yield opened


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def refused(client: httpx.AsyncClient, headers: Any, path: str = "/api/alarms") -> httpx.Response:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] in (REFUSAL, "Sign in first.")
    return answer


async def test_a_token_of_a_service_account_opens_the_api_and_nothing_else(
    people: People, client: httpx.AsyncClient
) -> None:
    secret = await people.make(people.admin, people.robot)
    assert tokens.FORM.fullmatch(secret)
    assert (await client.get("/api/alarms", headers=bearer(secret))).status_code == 200
    assert (await client.get("/api/alarms", headers={"authorization": f"bearer {secret}"})).status_code == 200
    assert (await client.get("/alarms", headers=bearer(secret))).headers["location"].startswith("/sign-in")
    assert (await client.post("/language", headers=bearer(secret), data={"language": "en"})).status_code == 303


async def test_a_token_is_never_read_from_an_address(people: People, client: httpx.AsyncClient) -> None:
    secret = await people.make(people.admin, people.robot)
    for name in ("access_token", "token", "authorization"):
        await refused(client, {}, f"/api/alarms?{name}={secret}")


async def test_a_token_beside_a_session_is_refused(people: People, client: httpx.AsyncClient) -> None:
    secret = await people.make(people.admin, people.robot)
    client.cookies.set("plantroom_session", "anything")
    answer = await client.get("/api/alarms", headers=bearer(secret))
    assert (answer.status_code, "not both" in answer.json()["error"]) == (422, True)


async def test_what_only_looks_like_a_token_opens_nothing(people: People, client: httpx.AsyncClient) -> None:
    secret = await people.make(people.admin, people.robot)
    for said in (
        f"Basic {secret}", f"Token {secret}", secret, f"Bearer  {secret}", f"Bearer\t{secret}", f"Bearer {secret} x",
        f"Bearer {secret}\u00a0", "Bearer", "Bearer ", f"Bearer {secret.upper()}", f"Bearer {secret[:-1]}",
        f"Bearer {secret}{'A' * 10_000}", f"Bear\u00e8r {secret}", "Bearer plantroom_" + "_" * 43,
    ):  # fmt: skip
        await refused(client, {"Authorization": said.encode("latin-1")})
    await refused(client, [("Authorization", f"Bearer {secret}"), ("Authorization", f"Bearer {secret}")])
    await refused(client, [("Authorization", f"Bearer {secret}"), ("Authorization", "Basic eA==")])
    assert (await client.get("/api/alarms", headers=bearer(secret))).status_code == 200


async def test_a_token_opens_what_it_names_and_not_what_its_owner_may_besides(
    people: People, client: httpx.AsyncClient
) -> None:
    assert people.engineer.user_id is not None
    secret = await people.make(people.engineer, people.engineer.user_id, READS)
    answer = await client.get("/api/alarms", headers=bearer(secret))
    assert (answer.status_code, "does not include" in answer.json()["error"]) == (403, True)
    asked = {"point": "EM-A-MAIN.energy", "from": "2026-11-01T00:00Z", "to": "2026-11-02T00:00Z"}
    assert (await client.get("/api/readings", params=asked, headers=bearer(secret))).status_code == 200


async def test_a_token_shrinks_at_once_with_its_owners_role(people: People, client: httpx.AsyncClient) -> None:
    assert people.engineer.user_id is not None
    secret = await people.make(people.engineer, people.engineer.user_id)
    people.run("UPDATE grants SET role = 'billing' WHERE user_id = %s", people.engineer.user_id)
    assert (await client.get("/api/alarms", headers=bearer(secret))).status_code == 403
    people.run("UPDATE grants SET role = 'engineer', until = now() WHERE user_id = %s", people.engineer.user_id)
    assert (await client.get("/api/alarms", headers=bearer(secret))).status_code == 403
    people.run("UPDATE grants SET until = NULL WHERE user_id = %s", people.engineer.user_id)
    assert (await client.get("/api/alarms", headers=bearer(secret))).status_code == 200


async def test_a_token_that_ended_a_second_ago_opens_nothing(people: People) -> None:
    secret = await people.make(people.admin, people.robot, until=NOW + timedelta(hours=1))
    end = NOW + timedelta(hours=1)
    assert await tokens.visitor(people.database, secret, "", end - timedelta(seconds=1))
    with pytest.raises(TokenRefusedError):
        await tokens.visitor(people.database, secret, "", end)
    with pytest.raises(TokenRefusedError):
        await tokens.visitor(people.database, secret, "", end + timedelta(seconds=1))


async def test_a_token_that_is_revoked_during_use_opens_nothing_more(people: People, client: httpx.AsyncClient) -> None:
    secret = await people.make(people.admin, people.robot)
    assert (await client.get("/api/alarms", headers=bearer(secret))).status_code == 200
    async with people.database.transaction(people.park.organisation, people.admin) as tx:
        (token,) = await tokens.tokens(tx, people.robot)
        await tokens.revoke(tx, token.id, NOW)
        await tokens.revoke(tx, token.id, NOW)
    await refused(client, bearer(secret))
    with psycopg.connect(people.park.dsns.owner) as owner:
        found = owner.execute("SELECT request_id <> '' FROM audit_entries WHERE action = 'refused'").fetchall()
    assert found == [(True,)]  # as every act of a request, it leads to the request's line in the log


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET active = false",
        "UPDATE organisations SET closed_at = now()",
        "UPDATE api_tokens SET expires_at = now() - interval '1 s', created_at = now() - interval '1 h'",
        "DELETE FROM api_tokens",
    ],
)
async def test_a_token_of_somebody_who_is_gone_opens_nothing(
    people: People, client: httpx.AsyncClient, statement: str
) -> None:
    secret = await people.make(people.admin, people.robot)
    people.run(statement)
    await refused(client, bearer(secret))


async def test_a_token_of_another_organisation_shows_nothing_of_ours(people: People, client: httpx.AsyncClient) -> None:
    other = assets.open_organisation(
        people.park.dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other")
    )
    async with people.database.transaction(other, people.admin) as tx:
        robot = await administration.add_service_account(tx, "their-export", "Theirs")
        secret = (await tokens.create(tx, robot, "x", READS, NOW + YEAR, NOW))[1]
        with pytest.raises(NotFoundError):
            await tokens.create(tx, people.robot, "x", READS, NOW + YEAR, NOW)
        with pytest.raises(InvalidError):
            async with tx.connection.transaction():
                await tokens.create(
                    tx, robot, "y", replace(READS, site_id=people.park.site), NOW + YEAR, NOW
                )  # fmt: skip
    asked = {"point": "EM-A-MAIN.energy", "from": "2026-11-01T00:00Z", "to": "2026-11-02T00:00Z"}
    assert (await client.get("/api/readings", params=asked, headers=bearer(secret))).status_code == 404


async def test_a_token_for_one_site_reaches_no_other(people: People) -> None:
    secret = await people.make(people.admin, people.robot, replace(READS, site_id=people.park.site))
    who = await tokens.visitor(people.database, secret, "", NOW)
    assert who.actor(Right.SEE_POINTS).places == {people.park.site}
    assert who.rights == {Right.SEE_POINTS}


def test_a_place_and_a_role_meet_where_both_reach() -> None:
    here, there, house = UUID(int=1), UUID(int=2), UUID(int=3)
    whole = Grant("engineer", "organisation", None, None)
    assert whole.inside(here) == Grant("engineer", "site", here, None)
    assert whole.inside(here, house) == Grant("engineer", "building", here, house)
    site = Grant("engineer", "site", here, None)
    assert (site.inside(here), site.inside(there)) == (site, None)
    assert site.inside(here, house) == Grant("engineer", "building", here, house)
    building = Grant("engineer", "building", here, house)
    assert (building.inside(here), building.inside(here, house)) == (building, building)
    assert building.inside(here, UUID(int=4)) is None
    assert Reach(frozenset({Right.SEE_CONSOLE}), there).cut([site, building]) == ()


async def test_what_a_token_may_not_have_is_refused(people: People) -> None:
    own = people.engineer.user_id
    assert own is not None
    for reach, until in (
        (Reach(frozenset()), NOW + YEAR),
        (Reach(frozenset({Right.ADD_STILLS})), NOW + YEAR),
        (Reach(frozenset({Right.DIRECT_ORDERS})), NOW + YEAR),
        (READS, NOW),
        (READS, NOW + YEAR + timedelta(days=1)),
    ):
        with pytest.raises(InvalidError):
            await people.make(people.engineer, own, reach, until=until)
    for name in ("", "UPPER", "x" * 41, "a/b", "a b", "a\n", "中文", "-x"):
        with pytest.raises(InvalidError):
            await people.make(people.engineer, own, READS, name)
    await people.make(people.engineer, own)
    with pytest.raises(ConflictError, match="already a token"):
        await people.make(people.engineer, own)
    for n in range(tokens.TOKENS_MAX - 1):
        await people.make(people.engineer, own, name=f"n{n}")
    with pytest.raises(ConflictError, match="at most"):
        await people.make(people.engineer, own, name="one-more")


async def test_nobody_makes_or_ends_a_token_of_somebody_else(people: People) -> None:
    assert people.engineer.user_id is not None
    assert people.admin.user_id is not None
    with pytest.raises(ForbiddenError):
        await people.make(people.admin, people.engineer.user_id)
    with pytest.raises(ForbiddenError):
        await people.make(people.engineer, people.robot)
    await people.make(people.admin, people.robot)
    async with people.database.transaction(people.park.organisation, people.engineer) as tx:
        (token,) = await tokens.tokens(tx)
        with pytest.raises(NotFoundError):
            await tokens.revoke(tx, token.id, NOW)


async def test_a_tenant_gets_no_token(people: People, database: Database) -> None:
    people.run(
        "INSERT INTO tenants (organisation_id, code, name_zh, name_en) SELECT id, 'T', 'T', 'T' FROM organisations"
    )
    async with database.transaction(people.park.organisation, people.admin) as tx:
        tenant_id = await tx.value(b"SELECT id FROM tenants")
        tenant = await access.add_user(tx, "tenant", "T", "tenant", PASSWORD, tenant_id=tenant_id)
    with pytest.raises((InvalidError, ForbiddenError, NotFoundError)):
        await people.make(acting("tenant", "tenant", tenant, tenant_id), tenant, READS)


async def test_the_record_and_the_log_say_who_was_refused_and_never_the_secret(
    people: People, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "plantroom.security")
    secret = await people.make(people.admin, people.robot)
    people.run("UPDATE users SET active = false WHERE id = %s", people.robot)
    for _ in range(3):
        await refused(client, bearer(secret))
    await refused(client, bearer("plantroom_" + "x\ny" * 20))
    async with people.database.transaction(people.park.organisation, people.admin) as tx:
        token = (await tokens.tokens(tx))[0]
        acts = await audit.of_entity(tx, "api token", token.id)
    assert [(act.actor, act.action) for act in acts] == [("bms-export/bms", "refused"), ("boss", "made")]
    said = caplog.text + "".join(str(act.details) for act in acts)
    assert "its owner may not sign in" in said
    assert secret[tokens.PREFIX_CHARACTERS :] not in said
    assert "\ny" not in said


async def test_a_table_that_is_stolen_opens_nothing_and_last_use_is_known_to_the_minute(
    people: People, client: httpx.AsyncClient
) -> None:
    secret = await people.make(people.admin, people.robot)
    await client.get("/api/alarms", headers=bearer(secret))
    with psycopg.connect(people.park.dsns.owner) as owner:
        row = owner.execute("SELECT t::text FROM api_tokens t").fetchone()
    assert row is not None
    assert secret[tokens.PREFIX_CHARACTERS :] not in row[0]
    async with people.database.transaction(people.park.organisation, people.admin) as tx:
        (token,) = await tokens.tokens(tx, people.robot)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tx.run(b"SELECT secret_hash FROM api_tokens")
    assert token.last_used_at is not None
    assert token.last_used_address == "127.0.0.1"


def test_tokens_can_have_the_rights_that_the_api_asks_for_and_no_others(people: People) -> None:
    app = create(people.database, WebSettings(people.park.dsns.hub, broadcast=False))
    asked: set[Right] = set()
    for route in app.routes:
        for one in getattr(getattr(route, "original_router", None), "routes", [route]):
            if getattr(one, "path", "").startswith("/api/"):
                for needed in one.dependant.dependencies:
                    asked |= set(getattr(needed.call, "rights", ()))
    assert asked <= set(tokens.RIGHTS) <= set().union(*RIGHTS.values())
