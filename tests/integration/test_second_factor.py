"""The second factor: asked of the staff, given once, lost and found; nothing opens between password and code."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from hub.access import door, factor, session
from hub.access import service as access
from hub.access.backoff import PLACE
from hub.access.door import Knock
from hub.access.rights import RIGHTS
from hub.access.rows import Visitor
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError
from hub.leases import service as leases
from hub.store.database import Database, Role
from rules.model.sign_in import OFFERED
from tests.builders import ENGINEER, Park
from tests.door import PASSWORD, STRICT, Caller, add, calling, codes_of, enrol, hidden, moment, seed_of, strict
from web.session import Needs

NOW = datetime(2026, 11, 24, 8, 0, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=factor.STEP_S)
HALFWAY = {"/second-factor", "/second-factor/set-up", "/second-factor/leave"}


@pytest.fixture
def app(database: Database, park: Park) -> FastAPI:
    return strict(database, park)


@pytest.fixture
async def caller(app: FastAPI) -> AsyncIterator[Caller]:
    async with calling(app) as opened:
        yield opened


async def halfway(database: Database, login: str, at: datetime = LATER) -> tuple[Visitor, str]:
    """Somebody who has given his password."""
    opened = await door.sign_in(database, login, PASSWORD, "127.0.0.1", at, keeper=STRICT)
    assert not opened.through
    who = await session.halfway(database, opened.token, at, STRICT.policy)
    assert who is not None
    return who, opened.token


async def give(database: Database, who: Visitor, token: str, code: str, at: datetime = LATER) -> str:
    knock = Knock("127.0.0.1", at)
    return (await door.second_factor(database, who, token, code, knock, STRICT)).token


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every route that asks who somebody is; which ones do not, test_web_rights says."""
    found = []
    for route in app.routes:
        nested = getattr(getattr(route, "original_router", None), "routes", [route])
        asking = [one for one in nested if isinstance(one, APIRoute) and _asks(one)]
        found += [(method, one.path) for one in asking for method in one.methods or ()]
    return found


def _asks(route: APIRoute) -> bool:
    return any(isinstance(inner.call, Needs) for inner in route.dependant.dependencies)


@pytest.mark.parametrize("enrolled", [False, True])
async def test_between_password_and_code_no_route_of_the_program_opens(
    database: Database, park: Park, app: FastAPI, caller: Caller, enrolled: bool
) -> None:
    user_id = await add(database, park, "boss", "administrator")
    if enrolled:
        await enrol(database, park, user_id, datetime.now(UTC) - timedelta(minutes=2))
    await caller.give_password("boss")
    who = await session.halfway(database, caller.token, datetime.now(UTC), STRICT.policy)
    assert who is not None
    assert len(routes(app)) > 50
    for method, path in routes(app):
        if path in HALFWAY:
            continue
        filled = "/".join(str(uuid4()) if part.startswith("{") else part for part in path.split("/"))
        answer = await caller.client.request(method, filled, headers={"X-CSRF-Token": who.csrf})
        assert (answer.status_code, answer.headers.get("location", "").partition("?")[0]) in (
            (303, "/sign-in"), (401, ""),
        ), (method, path)  # fmt: skip


async def test_between_password_and_code_there_is_no_visitor_for_pages_or_sockets(
    database: Database, park: Park
) -> None:
    await add(database, park, "boss", "administrator")
    _, token = await halfway(database, "boss")
    assert await access.visitor(database, token, LATER, STRICT.policy) is None


async def test_the_staff_sets_up_a_second_factor_at_its_first_sign_in(
    database: Database, park: Park, caller: Caller
) -> None:
    await add(database, park, "boss", "administrator")
    answer = await caller.give_password("boss")
    assert answer.headers["location"] == "/second-factor/set-up"
    before = caller.token
    shown = await caller.set_up()
    assert (shown.status_code, len(codes_of(shown))) == (200, factor.RECOVERY_CODES)
    assert caller.token != before
    assert await session.halfway(database, before, datetime.now(UTC), STRICT.policy) is None
    assert (await caller.get("/alarms")).status_code == 200


@pytest.mark.parametrize("role", sorted(RIGHTS))
async def test_everybody_needs_one_whom_the_policy_does_not_exempt(database: Database, park: Park, role: str) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file)
        tenant_id = (await leases.tenants(tx))[0].id if role == "tenant" else None
        await access.add_user(tx, "somebody", "Somebody", role, PASSWORD, tenant_id=tenant_id)
    opened = await door.sign_in(database, "somebody", PASSWORD, "127.0.0.1", NOW, keeper=STRICT)
    assert opened.through == (role in ("tenant", "contractor"))


async def test_where_it_is_only_offered_a_password_is_enough(database: Database, park: Park) -> None:
    await add(database, park, "boss", "administrator")
    opened = await door.sign_in(database, "boss", PASSWORD, "127.0.0.1", NOW, keeper=door.Keeper(STRICT.vault, OFFERED))
    assert opened.through
    assert await access.visitor(database, opened.token, NOW, OFFERED) is not None
    assert await access.visitor(database, opened.token, NOW, STRICT.policy) is None  # somebody set it to required


async def test_whoever_gets_a_role_that_asks_for_one_is_sent_to_set_it_up(
    database: Database, park: Park, caller: Caller
) -> None:
    user_id = await add(database, park, "helper", "contractor")
    await caller.give_password("helper")
    assert (await caller.get("/my")).status_code == 200
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("DELETE FROM grants")
        owner.execute("UPDATE users SET kind = 'staff'")
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await access.grant(tx, user_id, "engineer")
    assert (await caller.get("/alarms")).headers["location"].startswith("/sign-in")
    assert (await caller.get("/sign-in")).headers["location"] == "/second-factor/set-up"


async def test_a_code_lets_through_once(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    code = factor.code(seed, factor.step_of(LATER))
    (one, token), (other, second) = await halfway(database, "boss"), await halfway(database, "boss")
    assert await access.visitor(database, await give(database, one, token, code), LATER, STRICT.policy) is not None
    with pytest.raises(ForbiddenError):
        await give(database, other, second, code)


async def test_the_code_that_set_it_up_does_not_sign_in_as_well(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    who, token = await halfway(database, "boss", NOW)
    with pytest.raises(ForbiddenError):
        await give(database, who, token, factor.code(seed, factor.step_of(NOW)), NOW)


@pytest.mark.parametrize("steps", [-1, 1])
async def test_only_the_code_of_these_thirty_seconds_is_taken(database: Database, park: Park, steps: int) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW - timedelta(minutes=5))
    who, token = await halfway(database, "boss")
    with pytest.raises(ForbiddenError):
        await give(database, who, token, factor.code(seed, factor.step_of(LATER) + steps))


async def test_one_code_sent_twice_at_once_lets_through_once(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    code = factor.code(seed, factor.step_of(LATER))
    calls = [await halfway(database, "boss") for _ in range(4)]
    outcomes = await asyncio.gather(*(give(database, *call, code) for call in calls), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ForbiddenError"] * 3 + ["str"]


async def test_a_recovery_code_opens_once_also_when_sent_twice_at_once(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    await enrol(database, park, user_id, NOW)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        code, *_ = await factor.renew_codes(tx, user_id)
    calls = [await halfway(database, "boss") for _ in range(4)]
    typed = code.upper().replace("-", " ")
    outcomes = await asyncio.gather(*(give(database, *call, typed) for call in calls), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ForbiddenError"] * 3 + ["str"]
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert await factor.left(tx, user_id) == factor.RECOVERY_CODES - 1


async def test_new_recovery_codes_end_the_old_ones_and_only_hashes_are_kept(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    await enrol(database, park, user_id, NOW)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        old = await factor.renew_codes(tx, user_id)
        new = await factor.renew_codes(tx, user_id)
    assert len({*old, *new}) == 2 * factor.RECOVERY_CODES
    with psycopg.connect(park.dsns.owner) as owner:
        kept = owner.execute("SELECT string_agg(c::text, ' ') FROM recovery_codes c").fetchone()
    assert kept is not None
    assert not [code for code in new if code in kept[0]]
    who, token = await halfway(database, "boss")
    with pytest.raises(ForbiddenError):
        await give(database, who, token, old[0])
    assert await give(database, who, token, new[0])


async def test_codes_are_of_the_strength_that_they_claim() -> None:
    assert 8 * factor.RECOVERY_BYTES >= 128
    assert 8 * factor.SEED_BYTES == 160
    assert factor.STEP_S == 30
    seed = b"12345678901234567890"  # RFC 6238, appendix B: the last six of eight digits
    for at, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert factor.code(seed, at // 30) == code


async def test_the_seed_lies_sealed_for_its_row_alone(database: Database, park: Park) -> None:
    one, other = await add(database, park, "one", "engineer"), await add(database, park, "other", "engineer")
    seed = await enrol(database, park, one, NOW)
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        (kept,) = owner.execute("SELECT totp_seed FROM credentials WHERE user_id = %s", [one]).fetchone() or ()
        assert seed not in kept
        owner.execute("UPDATE credentials SET totp_seed = %s, totp_since = now() WHERE user_id = %s", [kept, other])
    who, token = await halfway(database, "other")
    with pytest.raises(Exception, match="does not open"):  # moved by somebody who can write the database
        await give(database, who, token, factor.code(seed, factor.step_of(LATER)))


async def test_guessed_codes_are_held_back(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    who, token = await halfway(database, "boss")
    right = factor.code(seed, factor.step_of(LATER))
    for wrong in range(PLACE.free + 1):
        with pytest.raises(ForbiddenError):
            await give(database, who, token, f"{(int(right) + 1 + wrong) % 10**6:06}")
    with pytest.raises(ForbiddenError):
        await give(database, who, token, right)


async def test_a_code_without_a_password_does_nothing(database: Database, park: Park, caller: Caller) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    code = factor.code(seed, factor.step_of(await moment()))
    answer = await caller.client.post("/second-factor", data={"code": code, "login": "boss"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert not caller.token


async def test_the_page_of_the_code_leads_to_where_one_wanted_to_go(
    database: Database, park: Park, caller: Caller
) -> None:
    user_id = await add(database, park, "boss", "administrator")
    caller.seed = await enrol(database, park, user_id, datetime.now(UTC) - timedelta(minutes=1))
    answer = await caller.post("/sign-in?next=/orders?state=done", login="boss", password=PASSWORD)
    asked = answer.headers["location"]
    assert asked == "/second-factor?next=/orders%3Fstate%3Ddone"
    assert "wrong" in (await caller.post(asked, code="000000")).text
    done = await caller.post(asked, code=await caller.code())
    assert (done.status_code, done.headers["location"]) == (303, "/orders?state=done")
    assert (await caller.get("/orders")).status_code == 200


async def test_whoever_has_only_the_password_cannot_put_his_phone_in_the_place_of_the_owners(
    database: Database, park: Park, app: FastAPI
) -> None:
    await add(database, park, "boss", "administrator")
    async with calling(app) as boss, calling(app) as thief:
        await boss.give_password("boss")
        await thief.give_password("boss")
        page = await thief.get("/second-factor/set-up")
        await boss.set_up()
        code = factor.code(seed_of(page), factor.step_of(await moment()))
        answer = await thief.client.post("/second-factor/set-up", data={**hidden(page), "code": code})
        assert answer.status_code == 303  # his session has ended
        await thief.give_password("boss")
        page = await thief.get("/second-factor/set-up")
        assert page.headers["location"] == "/second-factor"
        form = {"csrf": hidden(await thief.get("/second-factor"))["csrf"], "offer": "AAAA", "code": code}
        assert (await thief.client.post("/second-factor/set-up", data=form)).status_code == 422
    async with database.transaction(park.organisation, ENGINEER, Role.DOOR) as tx:
        (user,) = await access.users(tx)
        seed = factor.new_seed()
        with pytest.raises(ConflictError):
            await factor.set_up(tx, STRICT.vault, user.id, seed, factor.code(seed, factor.step_of(NOW)), NOW)


async def test_a_seed_offered_in_one_session_cannot_be_used_in_another(
    database: Database, park: Park, app: FastAPI
) -> None:
    await add(database, park, "boss", "administrator")
    await add(database, park, "thief", "engineer")
    async with calling(app) as boss, calling(app) as thief:
        await boss.give_password("boss")
        await thief.give_password("thief")
        page = await thief.get("/second-factor/set-up")
        offered = {"offer": page.text.split('name="offer" value="')[1].split('"')[0]}
        code = factor.code(seed_of(page), factor.step_of(await moment()))
        answer = await boss.post("/second-factor/set-up", **offered, code=code)
        assert (answer.status_code, "out of date" in answer.text) == (422, True)


async def test_whoever_lost_his_factor_starts_anew_by_an_invitation_and_nothing_else(
    database: Database, park: Park
) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    who, token = await halfway(database, "boss")
    token = await give(database, who, token, factor.code(seed, factor.step_of(LATER)))
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(InvalidError, match="why"):
            await factor.remove(tx, user_id, " ", LATER)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        made = await factor.remove(tx, user_id, "phone lost; came with her badge", LATER)
        acts = await audit.of_entity(tx, "user", user_id)
    assert made.path.startswith("/welcome#")
    assert [act.reason for act in acts if act.action == "removed the second factor"] == [
        "phone lost; came with her badge"
    ]
    assert await access.visitor(database, token, LATER, STRICT.policy) is None
    with pytest.raises(ForbiddenError):
        await door.sign_in(database, "boss", PASSWORD, "127.0.0.1", LATER, keeper=STRICT)


async def test_the_record_says_by_which_factors_somebody_came_and_no_secret(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    who, token = await halfway(database, "boss")
    code = factor.code(seed, factor.step_of(LATER))
    await give(database, who, token, code)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        acts = await audit.of_entity(tx, "user", user_id)
    assert [(act.action, act.details.get("factors")) for act in acts[:2]] == [
        ("signed in", ["password", "totp"]), ("gave the first factor", ["password"]),
    ]  # fmt: skip
    told = "".join(str(act.details) for act in acts)
    assert not [secret for secret in (code, factor.key(seed), PASSWORD, token) if secret in told]


async def test_another_organisation_cannot_remove_a_factor_here(database: Database, park: Park) -> None:
    user_id = await add(database, park, "boss", "administrator")
    seed = await enrol(database, park, user_id, NOW)
    async with database.transaction(uuid4(), ENGINEER, Role.DOOR) as tx:
        with pytest.raises(Exception, match="no such user"):
            await factor.remove(tx, user_id, "because", NOW)
    who, token = await halfway(database, "boss")
    assert await give(database, who, token, factor.code(seed, factor.step_of(LATER)))


async def test_the_qr_code_is_drawn_without_styles_and_names_the_account(
    database: Database, park: Park, caller: Caller
) -> None:
    await add(database, park, "boss", "administrator")
    await caller.give_password("boss")
    page = await caller.get("/second-factor/set-up")
    assert '<svg class="qr"' in page.text
    assert "style=" not in page.text
    assert factor.address(seed_of(page), "boss").startswith("otpauth://totp/Plantroom:boss?secret=")
