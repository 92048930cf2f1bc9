"""Links to choose a password: once, not for long, of no use to anybody else, and never past the second factor."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from hub.access import backoff, door, invitation, password, session
from hub.access import service as access
from hub.access.rows import Invitation
from hub.errors import ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database, Transaction
from tests.builders import ENGINEER, Park
from tests.door import PASSWORD, STRICT, Caller, add, calling, enrol, strict

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
NEW = "seven quiet llamas graze"
NOBODY = Actor("?", address="198.51.100.7")
SECRET_NAMES = re.compile(r"(token|password|secret|offer|csrf)(?!_id)", re.IGNORECASE)


@pytest.fixture
def app(database: Database, park: Park) -> FastAPI:
    return strict(database, park)


@pytest.fixture
async def caller(app: FastAPI) -> AsyncIterator[Caller]:
    async with calling(app) as opened:
        yield opened


async def make(database: Database, park: Park, login: str, purpose: str = "invitation", at: datetime = NOW) -> str:
    """A link's secret."""
    async with database.transaction(park.organisation, ENGINEER) as tx:
        (user,) = [user for user in await access.users(tx) if user.login == login]
        made = await invitation.make(tx, user.id, purpose, at)
    return made.path.removeprefix("/welcome#")


async def accept(database: Database, token: str, chosen: str = NEW, at: datetime = NOW) -> object:
    return await invitation.accept(database, token, chosen, NOBODY, at)


async def asked(database: Database, said: str, at: datetime = NOW, address: str = "198.51.100.7") -> list[Invitation]:
    """What is posted when somebody asks for a reset."""
    posted: list[Invitation] = []

    async def post(_: Transaction, made: Invitation) -> None:
        posted.append(made)

    await invitation.ask_reset(database, said, Actor("?", address=address), at, post)
    return posted


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "time" not in request.node.name:
        monkeypatch.setattr(invitation, "RESET_TAKES_S", 0.0)


async def invited(database: Database, park: Park, login: str = "li.wei", **more: Any) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.add_user(tx, login, login, "engineer", language="en", **more)


async def test_whoever_is_invited_chooses_a_password_and_signs_in_with_it(
    database: Database, park: Park, caller: Caller
) -> None:
    await invited(database, park)
    token = await make(database, park, "li.wei", at=datetime.now(UTC))
    page = await caller.get("/welcome")
    assert token not in page.text
    weak = await caller.post("/welcome", token=token, password="li.wei.li.wei", repeated="li.wei.li.wei")
    assert (weak.status_code, "soon be guessed" in weak.text, token in weak.text) == (422, True, True)
    unequal = await caller.post("/welcome", token=token, password=NEW, repeated=NEW + "s")
    assert (unequal.status_code, "not the same" in unequal.text) == (422, True)
    done = await caller.post("/welcome", token=token, password=NEW, repeated=NEW)
    assert (done.status_code, done.headers["location"]) == (303, "/sign-in")
    assert not caller.token
    again = await caller.post("/welcome", token=token, password=NEW + "s", repeated=NEW + "s")
    assert (again.status_code, "not valid any more" in again.text) == (403, True)
    assert (await caller.give_password("li.wei", NEW)).headers["location"] == "/second-factor/set-up"


async def test_a_link_is_used_once_also_when_two_use_it_at_once(database: Database, park: Park) -> None:
    await invited(database, park)
    token = await make(database, park, "li.wei")
    tries = [accept(database, token, f"{NEW} number {n}") for n in range(4)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ForbiddenError"] * 3 + ["Invited"]


@pytest.mark.parametrize(("purpose", "life"), [("invitation", timedelta(hours=72)), ("reset", timedelta(minutes=10))])
async def test_a_link_lives_no_longer_than_it_should(
    database: Database, park: Park, purpose: str, life: timedelta
) -> None:
    await add(database, park, "li.wei", "engineer")
    assert invitation.LIFE[purpose] == life
    token = await make(database, park, "li.wei", purpose)
    with pytest.raises(ForbiddenError):
        await accept(database, token, at=NOW + life)
    assert await accept(database, token, at=NOW + life - timedelta(seconds=1))


async def test_a_newer_link_ends_the_older_whatever_it_is_for(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    old = await make(database, park, "li.wei")
    new = await make(database, park, "li.wei", "reset")
    with pytest.raises(ForbiddenError):
        await accept(database, old)
    assert await accept(database, new)


async def test_links_have_256_random_bits_and_only_their_hash_is_kept(database: Database, park: Park) -> None:
    await invited(database, park)
    tokens = {await make(database, park, "li.wei") for _ in range(5)}
    assert (len(tokens), invitation.TOKEN_BYTES * 8) == (5, 256)
    with psycopg.connect(park.dsns.owner) as owner:
        kept = str(owner.execute("SELECT array_agg(i::text) FROM invitations i").fetchone())
        told = str(owner.execute("SELECT array_agg(a::text) FROM audit_entries a").fetchone())
    assert not [token for token in tokens if token in kept + told]


async def test_a_reset_changes_the_password_and_leaves_the_second_factor_in_force(
    database: Database, park: Park
) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    await enrol(database, park, user_id, NOW)
    before = (await door.sign_in(database, "li.wei", PASSWORD, "192.0.2.1", NOW, keeper=STRICT)).token
    await accept(database, await make(database, park, "li.wei", "reset"))
    assert await session.halfway(database, before, NOW, STRICT.policy) is None
    with pytest.raises(ForbiddenError):
        await door.sign_in(database, "li.wei", PASSWORD, "192.0.2.1", NOW, keeper=STRICT)
    opened = await door.sign_in(database, "li.wei", NEW, "192.0.2.1", NOW, keeper=STRICT)
    assert (opened.through, opened.enrolled) == (False, True)
    assert await access.visitor(database, opened.token, NOW, STRICT.policy) is None


async def test_a_used_password_is_refused_and_the_link_stays_good(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    chosen = [f"{NEW} number {n}" for n in range(password.HISTORY)]
    for n, one in enumerate(chosen):
        token = await make(database, park, "li.wei", at=NOW + timedelta(seconds=n))
        await accept(database, token, one, NOW + timedelta(seconds=n))
    later = NOW + timedelta(minutes=1)
    token = await make(database, park, "li.wei", at=later)
    for one in chosen:
        with pytest.raises(InvalidError, match="one of your last 5"):
            await accept(database, token, one, later)
    assert await accept(database, token, PASSWORD, later)  # the sixth before is forgotten


async def test_nobody_is_invited_who_is_not_active_or_of_another_organisation(database: Database, park: Park) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    token = await make(database, park, "li.wei")
    async with database.transaction(user_id, ENGINEER) as tx:  # any other number is another organisation
        with pytest.raises(NotFoundError):
            await invitation.make(tx, user_id, "reset", NOW)
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE users SET active = false")
    with pytest.raises(ForbiddenError):
        await accept(database, token)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(NotFoundError):
            await invitation.make(tx, user_id, "reset", NOW)


async def test_a_reset_goes_to_the_account_with_that_name_or_address_and_to_nobody_else(
    database: Database, park: Park
) -> None:
    await add(database, park, "li.wei", "engineer", email="li@example.com")
    await add(database, park, "without", "engineer")
    await invited(database, park, "invited", email="new@example.com")
    for said in ("li.wei", " LI@Example.com "):
        (made,) = await asked(database, said)
        assert (made.email, made.purpose) == ("li@example.com", "reset")
    for said in ("without", "invited", "new@example.com", "nobody", "", "l\u0456@example.com", "li.wei\0", "%"):
        assert await asked(database, said) == []


async def test_resets_are_few_per_account_and_per_address(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer", email="li@example.com")
    await add(database, park, "other", "engineer", email="other@example.com")
    sent = [await asked(database, "li.wei", address=f"192.0.2.{n}") for n in range(invitation.RESETS_PER_HOUR_MAX + 2)]
    assert [len(one) for one in sent] == [1] * invitation.RESETS_PER_HOUR_MAX + [0, 0]
    assert len(await asked(database, "li.wei", NOW + timedelta(hours=1, seconds=1))) == 1
    for _ in range(backoff.RESETS.free + 1):
        await asked(database, "nobody")
    assert await asked(database, "other") == []
    assert len(await asked(database, "other", address="192.0.2.200")) == 1


async def test_an_unknown_address_gets_the_same_answer_after_the_same_time(
    database: Database, park: Park, caller: Caller
) -> None:
    await add(database, park, "li.wei", "engineer", email="li@example.com")
    answers, took_s = set(), []
    for said in ("li@example.com", "nobody@example.com"):
        started_s = time.monotonic()
        answer = await caller.post("/reset", who=said)
        took_s.append(time.monotonic() - started_s)
        answers.add((answer.status_code, re.sub(r'value="[^"]*"', "", answer.text)))
    assert len(answers) == 1
    assert min(took_s) >= invitation.RESET_TAKES_S
    with psycopg.connect(park.dsns.owner) as owner:
        mails = owner.execute("SELECT address, path FROM mails").fetchall()
    assert [(address, path.startswith("/welcome#")) for address, path in mails] == [("li@example.com", True)]


async def test_mails_of_the_door_speak_the_users_language_and_carry_the_link_once(
    database: Database, park: Park, caller: Caller
) -> None:
    await add(database, park, "li.wei", "engineer", email="li@example.com")
    await caller.post("/reset", who="li.wei")
    with psycopg.connect(park.dsns.owner) as owner:
        subject, body, path = owner.execute("SELECT subject, body, path FROM mails").fetchone() or ("", "", "")
    assert (subject, "li.wei" in body, path in body) == ("A new password for Plantroom", True, False)
    done = await caller.post("/welcome", token=path.removeprefix("/welcome#"), password=NEW, repeated=NEW)
    assert done.headers["location"] == "/sign-in"


async def test_a_link_of_the_door_needs_the_doors_own_form(database: Database, park: Park, caller: Caller) -> None:
    await invited(database, park)
    token = await make(database, park, "li.wei", at=datetime.now(UTC))
    form = {"token": token, "password": NEW, "repeated": NEW, "csrf": "guessed"}
    assert (await caller.client.post("/welcome", data=form)).status_code == 403
    assert (await caller.client.post("/reset", data={"who": "li.wei", "csrf": "guessed"})).status_code == 403
    assert await invitation.read(database, token, datetime.now(UTC))


def test_no_route_takes_a_secret_from_the_address(app: FastAPI) -> None:
    found = []
    for route in app.routes:
        nested = getattr(getattr(route, "original_router", None), "routes", [route])
        for one in nested:
            if isinstance(one, APIRoute):
                found += [(one.path, name) for name in _asked_in_the_address(one.dependant)]
    assert len(found) > 10
    assert [(path, name) for path, name in found if SECRET_NAMES.search(name)] == []
    doors = ("/sign-in", "/second-factor", "/welcome", "/reset", "/account")
    assert [(path, name) for path, name in found if path.startswith(doors) and "code" in name] == []


def _asked_in_the_address(dependant: Dependant) -> list[str]:
    own = [field.name for field in (*dependant.query_params, *dependant.path_params)]
    return own + [name for inner in dependant.dependencies for name in _asked_in_the_address(inner)]
