"""My account: password, second factor, recovery codes, mail address, sessions; grave acts ask for a fresh proof."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fastapi import FastAPI

from hub.access import factor, session
from hub.access import service as access
from hub.audit import service as audit
from hub.leases import service as leases
from hub.store.database import Database
from tests.builders import ENGINEER, Park
from tests.door import PASSWORD, STRICT, Caller, add, calling, codes_of, enrol, hidden, moment, seed_of, strict

NEW = "seven quiet llamas graze"
GRAVE = (
    ("GET", "/account/factor"), ("POST", "/account/factor"), ("POST", "/account/factor/give-up"),
    ("POST", "/account/codes"), ("POST", "/account/email"), ("POST", "/account/sessions/end-others"),
    ("POST", "/account/sessions/00000000-0000-0000-0000-000000000000/end"),
)  # fmt: skip


@pytest.fixture
def app(database: Database, park: Park) -> FastAPI:
    return strict(database, park)


@pytest.fixture
async def boss(database: Database, park: Park, app: FastAPI) -> AsyncIterator[Caller]:
    """An administrator who is signed in with both factors."""
    user_id = await add(database, park, "boss", "administrator")
    async with calling(app) as opened:
        opened.seed = await enrol(database, park, user_id, datetime.now(UTC) - timedelta(minutes=5))
        await opened.give_password("boss")
        await opened.post("/second-factor", code=await opened.code())
        assert (await opened.get("/alarms")).status_code == 200
        forget_steps(park)
        yield opened


def forget_steps(park: Park) -> None:
    """Let the code of these thirty seconds count once more: tests do not wait for the next."""
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE credentials SET totp_step = 0")


def age(park: Park) -> None:
    """Let everybody's proof grow old."""
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE sessions SET authenticated_at = authenticated_at - %s", [session.FRESH])


async def acts(database: Database, park: Park) -> list[str]:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        (user,) = await access.users(tx)
        return [act.action for act in await audit.of_entity(tx, "user", user.id)]


async def test_grave_acts_ask_for_a_proof_that_is_a_few_minutes_old(boss: Caller, park: Park) -> None:
    page = await boss.get("/account")
    age(park)
    assert (await boss.get("/account")).status_code == 200
    headers = {"Referer": "http://plantroom.test/account?a=b", "X-CSRF-Token": hidden(page)["csrf"]}
    for method, path in GRAVE:
        answer = await boss.client.request(method, path, headers=headers)
        back = path if method == "GET" else "/account%3Fa%3Db"
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in/again?next={back}"), path


async def test_proving_again_takes_all_factors_and_gives_a_new_token(
    boss: Caller, database: Database, park: Park
) -> None:
    age(park)
    before = boss.token
    page = "/sign-in/again?next=/account/factor"
    for fields in ({"password": PASSWORD, "code": "000000"}, {"password": "wrong", "code": await boss.code()}, {}):
        answer = await boss.post(page, **fields)
        assert (answer.status_code, "password or the code is wrong" in answer.text) == (403, True)
    forget_steps(park)
    answer = await boss.post(page, password=PASSWORD, code=await boss.code())
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/factor")
    assert boss.token != before
    assert await access.visitor(database, before, datetime.now(UTC), STRICT.policy) is None
    assert (await boss.get("/account/factor")).status_code == 200
    assert (await acts(database, park))[0] == "proved again who he is"


async def test_a_session_that_somebody_fixed_beforehand_is_worth_nothing(
    database: Database, park: Park, app: FastAPI
) -> None:
    user_id = await add(database, park, "victim", "administrator")
    async with calling(app) as victim:
        victim.seed = await enrol(database, park, user_id, datetime.now(UTC) - timedelta(minutes=5))
        victim.client.cookies.set("plantroom_session", "chosen-by-the-thief", domain="plantroom.test")
        seen = {"chosen-by-the-thief"}
        await victim.give_password("victim")
        assert victim.token not in seen
        seen.add(victim.token)
        await victim.post("/second-factor", code=await victim.code())
        assert victim.token not in seen
        for old in seen:
            assert await access.visitor(database, old, datetime.now(UTC), STRICT.policy) is None
            assert await session.halfway(database, old, datetime.now(UTC), STRICT.policy) is None


async def test_changing_the_password_asks_for_the_present_one_and_ends_other_sessions(
    boss: Caller, database: Database, park: Park, app: FastAPI
) -> None:
    page = await boss.get("/account/password")
    assert 'name="others" value="yes" checked' in page.text
    async with calling(app) as elsewhere:
        await elsewhere.give_password("boss")
        await elsewhere.post("/second-factor", code=await boss.code())
        forget_steps(park)
        wrong = {"current": "wrong", "chosen": NEW, "repeated": NEW, "others": "yes"}
        assert (await boss.post("/account/password", code=await boss.code(), **wrong)).status_code == 403
        forget_steps(park)
        before = boss.token
        done = await boss.post("/account/password", code=await boss.code(), **{**wrong, "current": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (303, "/account")
        assert boss.token != before
        assert (await boss.get("/alarms")).status_code == 200
        assert (await elsewhere.get("/alarms")).status_code == 303
    async with calling(app) as later:
        assert "is wrong" in (await later.give_password("boss")).text
        assert (await later.give_password("boss", NEW)).headers["location"] == "/second-factor"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [(PASSWORD, "one of your last 5"), ("boss.boss.boss", "soon be guessed"), ("1234567890", "lists of stolen"),
     ("short", "10 to 128"), ("Riverside Park", "soon be guessed")],
)  # fmt: skip
async def test_a_poor_password_is_not_kept_and_the_session_goes_on(
    boss: Caller, park: Park, chosen: str, said: str
) -> None:
    fields = {"current": PASSWORD, "chosen": chosen, "repeated": chosen, "code": await boss.code()}
    answer = await boss.post("/account/password", **fields)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert (await boss.get("/alarms")).status_code == 200


async def test_another_phone_replaces_the_first_and_ends_other_sessions(
    boss: Caller, database: Database, park: Park, app: FastAPI
) -> None:
    async with calling(app) as elsewhere:
        await elsewhere.give_password("boss")
        await elsewhere.post("/second-factor", code=await boss.code())
        assert (await elsewhere.get("/alarms")).status_code == 200
        page = await boss.get("/account/factor")
        new, before = seed_of(page), boss.token
        wrong = await boss.client.post("/account/factor", data={**hidden(page), "code": await boss.code()})
        assert (wrong.status_code, "does not fit" in wrong.text) == (422, True)
        code = factor.code(new, factor.step_of(await moment()))
        shown = await boss.client.post("/account/factor", data={**hidden(wrong), "code": code})
        assert len(codes_of(shown)) == factor.RECOVERY_CODES
        assert boss.token != before
        assert (await boss.get("/alarms")).status_code == 200
        assert (await elsewhere.get("/alarms")).status_code == 303
    assert "set up the second factor" in (await acts(database, park))


async def test_whose_roles_ask_for_a_second_factor_cannot_go_without(boss: Caller) -> None:
    assert "Go without a second factor" not in (await boss.get("/account")).text
    answer = await boss.post("/account", "/account/factor/give-up")
    assert (answer.status_code, "not go without" in answer.text) == (409, True)


async def test_a_tenant_may_set_one_up_and_give_it_up(database: Database, park: Park, app: FastAPI) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file)
        tenant_id = (await leases.tenants(tx))[0].id
    await add(database, park, "tenant", "tenant", tenant_id=tenant_id)
    async with calling(app) as tenant:
        await tenant.give_password("tenant")
        assert (await tenant.get("/papers")).status_code == 200
        page = await tenant.get("/account/factor")
        code = factor.code(seed_of(page), factor.step_of(await moment()))
        shown = await tenant.client.post("/account/factor", data={**hidden(page), "code": code})
        assert len(codes_of(shown)) == factor.RECOVERY_CODES
        async with calling(app) as other:
            assert (await other.give_password("tenant")).headers["location"] == "/second-factor"
        assert (await tenant.post("/account", "/account/factor/give-up")).status_code == 303
        async with calling(app) as other:
            assert (await other.give_password("tenant")).headers["location"] == "/"


async def test_new_recovery_codes_are_shown_once(boss: Caller) -> None:
    shown = await boss.post("/account", "/account/codes")
    codes = codes_of(shown)
    assert (shown.status_code, len(codes), shown.headers["cache-control"]) == (200, 10, "no-store")
    account = await boss.get("/account")
    assert "10 left" in account.text
    assert not [code for code in codes if code in account.text]


async def test_my_sessions_are_listed_exported_and_ended(boss: Caller, park: Park, app: FastAPI) -> None:
    async with calling(app) as elsewhere:
        elsewhere.client.headers["User-Agent"] = (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0"
        )
        await elsewhere.give_password("boss")
        await elsewhere.post("/second-factor", code=await boss.code())
        page = await boss.get("/account")
        assert ("Edge 131 · Windows" in page.text, page.text.count("this one")) == (True, 1)
        export = (await boss.get("/account/sessions.csv")).text.splitlines()
        assert (len(export), export[0].lstrip("\ufeff").split(",")[0]) == (3, "this_one")
        (path,) = [
            part.split('"')[0]
            for part in page.text.split('action="')[1:]
            if "/end" in part and "others" not in part.split('"')[0]
        ]
        assert (await boss.post("/account", path)).status_code == 303
        assert (await elsewhere.get("/alarms")).status_code == 303
        assert (await boss.post("/account", path)).status_code == 404
    assert (await boss.get("/alarms")).status_code == 200


async def test_nobody_ends_sessions_or_changes_accounts_of_others(
    boss: Caller, database: Database, park: Park, app: FastAPI
) -> None:
    await add(database, park, "other", "engineer")
    async with calling(app) as other:
        await other.give_password("other")
        await other.set_up()
        with psycopg.connect(park.dsns.owner) as owner:
            ((mine,),) = owner.execute(
                "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.login = 'boss'"
            ).fetchall()
        assert (await other.post("/account", f"/account/sessions/{mine}/end")).status_code == 404
        await other.post("/account", "/account/email", email="other@example.com", login="boss", user_id=str(mine))
    assert (await boss.get("/alarms")).status_code == 200
    with psycopg.connect(park.dsns.owner) as owner:
        kept = owner.execute("SELECT login, email FROM users ORDER BY login").fetchall()
    assert kept == [("boss", None), ("other", "other@example.com")]


async def test_a_mail_address_is_changed_and_refused_with_a_sentence(boss: Caller) -> None:
    assert (await boss.post("/account", "/account/email", email="Boss@Example.com")).status_code == 303
    assert "boss@example.com" in (await boss.get("/account")).text
    for bad in ("boss", "b\u043ess@example.com", "a@b.com\r\nBcc: c@d.com"):
        answer = await boss.post("/account", "/account/email", email=bad)
        assert (answer.status_code, "not a mail address" in answer.text) == (422, True)


async def test_signing_out_over_https_makes_the_browser_forget(database: Database, park: Park) -> None:
    await add(database, park, "boss", "administrator")
    app = strict(database, park, public_address="https://plantroom.test")
    async with calling(app, "https://plantroom.test") as caller:
        form = hidden(await caller.get("/sign-in"))
        await caller.client.post("/sign-in", data={**form, "login": "boss", "password": PASSWORD})
        await caller.set_up()
        form = {"csrf": hidden(await caller.get("/account"))["csrf"]}
        answer = await caller.client.post("/sign-out", data=form)
        assert answer.headers["clear-site-data"] == '"cache", "storage"'
        cleared = [one for one in answer.headers.get_list("set-cookie") if one.startswith("__Host-plantroom_session")]
        assert "Max-Age=0" in cleared[0]
        assert (await caller.get("/alarms")).headers["location"].startswith("/sign-in")
