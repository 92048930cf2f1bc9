"""At the door: strangers' guesses keep no owner out, look-alikes find nobody, every refusal leaves a trace."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from argon2 import PasswordHasher

from hub.access import backoff, door, password, session
from hub.access import service as access
from hub.access.backoff import ACCOUNT, ADDRESS, PLACE
from hub.access.rows import Browser, SignedIn
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from hub.store.database import Database, Role
from hub.workers import Workers
from tests.builders import ENGINEER, Park
from tests.door import PASSWORD, STRICT, add

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOME, OFFICE = "198.51.100.7", "203.0.113.9"


async def come(
    database: Database, login: str, said: str = PASSWORD, address: str = HOME, at: datetime = NOW, mark: str = ""
) -> SignedIn:
    """Sign in where a second factor is not needed, and nobody waits for refusals."""
    keeper = door.Keeper(STRICT.vault)
    return await door.sign_in(database, login, said, address, at, browser=Browser("Test", mark), keeper=keeper)


async def guess(database: Database, login: str, times: int, address: str = OFFICE, mark: str = "") -> None:
    for n in range(times):
        with pytest.raises(ForbiddenError):
            await come(database, login, f"wrong {n}", address, NOW, mark)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals come at once; that they take their time is tested in test_access."""
    monkeypatch.setattr(door, "REFUSAL_TAKES_S", 0.0)


async def test_somebody_at_one_address_holds_back_himself_and_nobody_elsewhere(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    await guess(database, "li.wei", PLACE.free + 1)
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", address=OFFICE)
    assert (await come(database, "li.wei", address=HOME)).token


async def test_the_wait_grows_and_ends(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    await guess(database, "li.wei", PLACE.free + 1)
    later = NOW + PLACE.first + timedelta(seconds=1)
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", "wrong again", OFFICE, later)
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", PASSWORD, OFFICE, later + PLACE.first)
    assert (await come(database, "li.wei", PASSWORD, OFFICE, later + 2 * PLACE.first)).token


async def test_guesses_from_everywhere_do_not_keep_the_owner_out_of_a_browser_that_he_used(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(database, park, "li.wei", "engineer")
    mark = (await come(database, "li.wei")).mark
    few = backoff.Patience(3, ACCOUNT.first, ACCOUNT.most, ACCOUNT.forgiven_every)
    monkeypatch.setattr(backoff, "ACCOUNT", few)
    monkeypatch.setattr(backoff.counts, "__defaults__", (few,))
    for n in range(few.free + 1):
        await guess(database, "li.wei", 1, f"192.0.2.{n}")
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", address="192.0.2.200")  # a stranger with the right password waits
    assert (await come(database, "li.wei", address="192.0.2.200", mark=mark)).token


async def test_a_browsers_mark_is_good_for_its_account_alone_and_cannot_be_made_up(
    database: Database, park: Park
) -> None:
    await add(database, park, "li.wei", "engineer")
    await add(database, park, "thief", "engineer")
    mark = (await come(database, "thief", address=OFFICE)).mark
    for n, said in enumerate((mark, "AAAA", mark[:-4] + "AAAA", "\u00e9", "x" * 500)):
        address = f"192.0.2.{n}"
        await guess(database, "li.wei", PLACE.free + 1, address, said)
        with pytest.raises(ForbiddenError):
            await come(database, "li.wei", address=address)


async def test_guesses_in_a_browser_that_the_account_knows_are_held_back_there(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    mark = (await come(database, "li.wei")).mark
    await guess(database, "li.wei", PLACE.free + 1, HOME, mark)
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", mark=mark)
    assert (await come(database, "li.wei", address=OFFICE)).mark != mark


async def test_an_address_that_tries_name_after_name_waits_whatever_names(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    for n in range(ADDRESS.free + 1):
        await guess(database, f"nobody{n}", 1)
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", address=OFFICE)


async def test_a_network_of_ipv6_is_one_address(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    for n in range(PLACE.free + 1):
        await guess(database, "li.wei", 1, f"2001:db8:1:2::{n + 1:x}")
    with pytest.raises(ForbiddenError):
        await come(database, "li.wei", address="2001:db8:1:2:ffff::1")
    assert (await come(database, "li.wei", address="2001:db8:1:3::1")).token


async def test_counts_of_guesses_do_not_grow_without_end(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "ROWS_MAX", 5)
    for n in range(4):
        await guess(database, f"nobody{n}", 1)
    await access.drop_expired(database, NOW)
    with psycopg.connect(park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM throttles").fetchone() == (5,)
    await access.drop_expired(database, NOW + backoff.KEPT + timedelta(seconds=1))
    with psycopg.connect(park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM throttles").fetchone() == (0,)


@pytest.mark.parametrize(
    "look_alike",
    [
        "\u212aevin",
        "kev\u0456n",
        "kev\u0131n",
        "\uff4bevin",
        "kevin\u200b",
        "ke\u0301vin",
        "kevin\0",
        "kevi\u0578",
    ],
)
async def test_a_look_alike_finds_nobody_and_cannot_be_added(database: Database, park: Park, look_alike: str) -> None:
    await add(database, park, "kevin", "engineer")
    with pytest.raises(ForbiddenError):
        await come(database, look_alike)
    with pytest.raises(InvalidError):
        await add(database, park, look_alike.strip() if look_alike.strip() != "kevin" else "ke vin", "engineer")
    assert (await come(database, " KEVIN ")).token


@pytest.mark.parametrize(
    "name", ["a\u202eb", "a\u200bb", "a\u2066b", "", "a\u0007b", "\ufeffa", "x" * 121, "a\u00adb", "a\u2028b"]
)
async def test_names_that_hide_something_are_refused(database: Database, park: Park, name: str) -> None:
    with pytest.raises(InvalidError):
        async with database.transaction(park.organisation, ENGINEER) as tx:
            await access.add_user(tx, "li.wei", name, "engineer", PASSWORD)


async def test_names_are_kept_composed(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.add_user(tx, "jose", " Jose\u0301 ", "engineer", PASSWORD)
        assert [user.name for user in await access.users(tx)] == ["Jos\u00e9"]


async def test_a_mail_address_is_ascii_and_one_persons_in_an_organisation(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer", email=" Li.Wei@Example.COM ")
    with pytest.raises(ConflictError):
        await add(database, park, "other", "engineer", email="li.wei@example.com")
    for bad in (
        "li wei@example.com",
        "li@ex\u0430mple.com",
        "li@example.com\r\nBcc: all@example.com",
        "li@host",
        "@a.b",
    ):
        with pytest.raises(InvalidError):
            await add(database, park, "third", "engineer", email=bad)


async def test_every_refusal_leaves_a_trace_also_of_unknown_names(
    database: Database, park: Park, caplog: pytest.LogCaptureFixture
) -> None:
    user_id = await add(database, park, "traced", "engineer")
    with caplog.at_level(logging.WARNING, "plantroom.security"):
        for login in ("nobody\nroot signed in", "traced"):
            with pytest.raises(ForbiddenError):
                await door.sign_in(database, login, "wrong one", OFFICE, NOW, request_id="r1")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert 'to="nobody\\nroot signed in' in told[0]
    assert all("\n" not in line and "r1" in line and OFFICE in line and "wrong one" not in line for line in told)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        act = (await audit.of_entity(tx, "user", user_id))[0]
    assert (act.action, act.details["why"], act.address, act.request_id) == (
        "sign-in refused", "wrong password", OFFICE, "r1",
    )  # fmt: skip


async def test_a_password_beyond_the_limit_is_refused_even_if_it_begins_right(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    for said in (PASSWORD + "x" * 200, PASSWORD.upper(), PASSWORD + " ", PASSWORD + "\0"):
        with pytest.raises(ForbiddenError):
            await come(database, "li.wei", said)


async def test_an_account_without_a_password_lets_nobody_in(database: Database, park: Park) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.add_user(tx, "robot", "Robot", "integration")
    for said in ("", "!", "None", PASSWORD):
        with pytest.raises(ForbiddenError):
            await come(database, "robot", said)


async def test_a_hash_of_older_parameters_is_renewed_by_the_next_sign_in(database: Database, park: Park) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    weaker = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        owner.execute("UPDATE credentials SET password_hash = %s WHERE user_id = %s", [weaker, user_id])
        await come(database, "li.wei")
        (kept,) = owner.execute("SELECT password_hash FROM credentials").fetchone() or ()
    assert kept != weaker
    assert (await come(database, "li.wei")).token


async def test_when_too_many_sign_in_at_once_the_rest_is_told_so(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(database, park, "li.wei", "engineer")
    monkeypatch.setattr(password, "HASHERS", Workers("password", 1, 0, password.BUSY))
    held = asyncio.create_task(password.HASHERS.run(time.sleep, 0.3))
    await asyncio.sleep(0.05)
    with pytest.raises(UnavailableError, match="Too many people"):
        await come(database, "li.wei")
    await held
    assert (await come(database, "li.wei")).token


async def test_the_application_role_has_no_right_on_what_lies_behind_the_door(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    with psycopg.connect(park.dsns.owner) as owner:
        tables = ("credentials", "password_history", "recovery_codes", "invitations", "throttles")
        for table in tables:
            may = owner.execute(
                """SELECT r, p
                   FROM unnest(ARRAY['plantroom_app', 'plantroom_ingest', 'plantroom_sealer', 'plantroom_reader']) r,
                        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
                   WHERE has_any_column_privilege(r, %s, p) OR has_table_privilege(r, %s, 'DELETE, TRUNCATE')""",
                [table, table],
            ).fetchall()
            assert may == [], table


async def test_an_eleventh_session_ends_the_oldest_and_says_so(database: Database, park: Park) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    opened = [await come(database, "li.wei", at=NOW + timedelta(seconds=n)) for n in range(session.SESSIONS_MAX + 1)]
    alive = [await access.visitor(database, one.token, NOW) is not None for one in opened]
    assert alive == [False] + [True] * session.SESSIONS_MAX
    async with database.transaction(park.organisation, ENGINEER) as tx:
        acts = await audit.of_entity(tx, "user", user_id)
    assert [act.details["why"] for act in acts if act.action == "ended sessions"] == ["too many at once"]


async def test_a_technicians_phone_may_rest_longer_than_a_desk(database: Database, park: Park) -> None:
    await add(database, park, "walker", "technician")
    await add(database, park, "sitter", "engineer")
    lunch = NOW + session.SESSION_IDLE + timedelta(minutes=1)
    for login, there in (("walker", True), ("sitter", False)):
        token = (await come(database, login)).token
        assert (await access.visitor(database, token, lunch) is not None) == there
    token = (await come(database, "walker")).token
    assert await access.visitor(database, token, NOW + session.SESSION_IDLE_PHONE) is None


async def test_a_closed_organisation_and_an_erased_person_have_no_session_left(database: Database, park: Park) -> None:
    await add(database, park, "li.wei", "engineer")
    await add(database, park, "other", "engineer")
    mine, others = (await come(database, "li.wei")).token, (await come(database, "other")).token
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        owner.execute("DELETE FROM grants USING users u WHERE u.id = user_id AND u.login = 'li.wei'")
        owner.execute("DELETE FROM users WHERE login = 'li.wei'")
        assert owner.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
        assert owner.execute("SELECT count(*) FROM credentials").fetchone() == (1,)
        assert await access.visitor(database, mine, NOW) is None
        assert await access.visitor(database, others, NOW) is not None
        owner.execute("UPDATE organisations SET closed_at = now()")
    assert await access.visitor(database, others, NOW) is None
    with pytest.raises(ForbiddenError):
        await come(database, "other")


async def test_sessions_are_ended_one_by_one_or_all_and_only_inside_ones_organisation(
    database: Database, park: Park
) -> None:
    user_id = await add(database, park, "li.wei", "engineer")
    tokens = [(await come(database, "li.wei", at=NOW + timedelta(seconds=n))).token for n in range(4)]

    async def alive() -> int:
        return sum([await access.visitor(database, token, NOW) is not None for token in tokens])

    async with database.transaction(park.organisation, ENGINEER) as tx:
        shown = await session.sessions(tx, user_id, NOW)
        assert [(row.login, row.user_agent, row.address) for row in shown] == [("li.wei", "Test", HOME)] * 4
        await session.end(tx, shown[0].id)
    assert await alive() == 3
    async with database.transaction(UUID(int=7), ENGINEER, Role.DOOR) as tx:
        assert await session.sessions(tx, None, NOW) == []
        assert await session.end_all(tx, user_id) == 0
        with pytest.raises(Exception, match="no such session"):
            await session.end(tx, shown[1].id)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert await session.end_all(tx, user_id, but=shown[1].id) == 2
        assert await session.end_everybody(tx) == 1
    assert await alive() == 0
