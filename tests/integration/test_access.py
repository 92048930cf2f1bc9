"""Signing in, sessions and rows of other organisations."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import psycopg
import pytest

from hub.access import service as access
from hub.access.backoff import PLACE
from hub.assets import service as assets
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError
from hub.store.database import Database
from rules.model.site import Organisation
from tests.builders import ENGINEER, Dsns, Park

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
PASSWORD = "correct horse battery"


async def _with_user(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.add_user(tx, "li.wei", "李伟", "engineer", PASSWORD)


async def test_a_right_password_opens_a_session_that_ends(database: Database, park: Park) -> None:
    await _with_user(database, park)
    opened = await access.sign_in(database, "LI.WEI ", PASSWORD, "127.0.0.1", NOW)
    visitor = await access.visitor(database, opened.token, NOW)
    assert visitor is not None
    assert (visitor.login, visitor.roles, visitor.csrf) == ("li.wei", ("engineer",), opened.csrf)
    assert await access.visitor(database, opened.token, NOW + access.SESSION_IDLE) is None
    await access.sign_out(database, opened.token)
    assert await access.visitor(database, opened.token, NOW) is None


async def test_unknown_name_wrong_password_and_lock_say_the_same(database: Database, park: Park) -> None:
    await _with_user(database, park)
    said = set()
    for login in ("nobody", *["li.wei"] * (PLACE.free + 1)):
        started_s = monotonic()
        with pytest.raises(ForbiddenError) as refused:
            await access.sign_in(database, login, "wrong password", "127.0.0.1", NOW)
        assert monotonic() - started_s >= access.REFUSAL_TAKES_S - 0.01
        said.add(str(refused.value))
    with pytest.raises(ForbiddenError) as refused:
        await access.sign_in(database, "li.wei", PASSWORD, "127.0.0.1", NOW)
    assert said == {str(refused.value)}
    later = NOW + PLACE.first + timedelta(seconds=1)
    assert (await access.sign_in(database, "li.wei", PASSWORD, "127.0.0.1", later)).token


async def test_guesses_that_come_all_at_once_lock_as_well(database: Database, park: Park) -> None:
    await _with_user(database, park)
    guesses = [
        access.sign_in(database, "li.wei", f"wrong password {n}", "127.0.0.1", NOW) for n in range(PLACE.free + 1)
    ]
    assert {type(one) for one in await asyncio.gather(*guesses, return_exceptions=True)} == {ForbiddenError}
    with pytest.raises(ForbiddenError):
        await access.sign_in(database, "li.wei", PASSWORD, "127.0.0.1", NOW)


async def test_a_user_who_is_put_out_is_out_at_once_and_a_new_role_holds_at_once(
    database: Database, park: Park, dsns: Dsns
) -> None:
    await _with_user(database, park)
    opened = await access.sign_in(database, "li.wei", PASSWORD, "127.0.0.1", NOW)
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute("UPDATE grants SET role = 'technician'")
        visitor = await access.visitor(database, opened.token, NOW)
        assert visitor is not None
        assert visitor.roles == ("technician",)
        owner.execute("UPDATE users SET active = false")
    assert await access.visitor(database, opened.token, NOW) is None


async def test_the_record_holds_every_act_of_a_visit_and_no_secret(database: Database, park: Park) -> None:
    await _with_user(database, park)
    opened = await access.sign_in(database, "li.wei", PASSWORD, "127.0.0.1", NOW)
    visitor = await access.visitor(database, opened.token, NOW)
    assert visitor is not None
    async with database.transaction(park.organisation, visitor.actor()) as tx:
        await access.set_language(tx, visitor.user_id, "en")
    await access.sign_out(database, opened.token)
    await access.sign_out(database, opened.token)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        acts = await audit.of_entity(tx, "user", visitor.user_id)
    assert [(act.action, act.actor) for act in acts] == [
        ("signed out", "li.wei"),
        ("chose a language", "li.wei"),
        ("signed in", "li.wei"),
        ("granted", "test-engineer"),
        ("added", "test-engineer"),
    ]
    told = "".join(str(act.details) for act in acts)
    assert not [secret for secret in (PASSWORD, "$argon2", opened.token, opened.csrf) if secret in told]


async def test_a_login_is_taken_once_and_passwords_are_long_enough(database: Database, park: Park) -> None:
    await _with_user(database, park)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(InvalidError):
            await access.add_user(tx, "new", "New", "engineer", "short")
    with pytest.raises(ConflictError):
        await _with_user(database, park)


async def test_another_organisation_sees_and_writes_nothing_of_ours(database: Database, park: Park, dsns: Dsns) -> None:
    other = assets.open_organisation(dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other"))
    async with database.transaction(other, ENGINEER) as tx:
        assert await assets.sites(tx) == []
        assert await assets.devices(tx) == []
        assert await tx.run(b"UPDATE devices SET name_en = 'mine now'") == 0
        assert await tx.value(b"SELECT count(*) FROM latest_readings") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tx.run(b"SELECT * FROM samples")
    async with database.transaction(None, ENGINEER) as tx:
        assert await assets.sites(tx) == []
