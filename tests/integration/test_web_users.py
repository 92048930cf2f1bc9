"""Users, roles, API tokens, sites and organisations on the screen: forms that take what they ask for, nothing else."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from hub.access import service as access
from hub.access import tokens
from hub.access.rights import Right
from hub.access.tokens import Reach
from hub.assets import service as assets
from hub.audit import service as audit
from hub.leases import service as leases
from hub.store.database import Database
from rules.model.site import Organisation
from tests.builders import ENGINEER, Park, acting
from tests.door import PASSWORD, STRICT, Caller, add, calling, hidden
from tests.integration.test_scopes import second_site
from web.app import create
from web.settings import WebSettings

NEEDS_SECOND = "role_grant"


@dataclass
class Office:
    """A park with two administrators and an engineer; ``boss`` sits at the screen."""

    database: Database
    park: Park
    caller: Caller
    ids: dict[str, UUID]

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.park.dsns.owner, autocommit=True) as owner:
            done = owner.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    async def send(self, path: str, page: str | None = None, **fields: Any) -> httpx.Response:
        """Send a form that stands on ``page``."""
        opened = await self.caller.get(page or path)
        assert opened.status_code < 500, opened.text
        shown = hidden(opened)
        return await self.caller.client.post(path, data={"csrf": shown["csrf"], **fields})

    async def as_(self, login: str) -> None:
        self.caller.client.cookies.clear()
        await self.caller.give_password(login)

    async def acts(self, user_id: UUID) -> list[str]:
        async with self.database.transaction(self.park.organisation, ENGINEER) as tx:
            return [act.action for act in await audit.of_entity(tx, "user", user_id)]


@pytest.fixture
async def office(database: Database, park: Park) -> AsyncIterator[Office]:
    ids = {}
    for login, role in (("boss", "administrator"), ("second", "administrator"), ("li", "engineer")):
        ids[login] = await add(database, park, login, role)
    app = create(database, WebSettings(park.dsns.hub, broadcast=False, keeper=replace(STRICT, policy=None)))
    async with calling(app) as caller:
        await caller.give_password("boss")
        yield Office(database, park, caller, ids)


def day(n: int) -> str:
    return (datetime.now(UTC) + timedelta(days=n)).date().isoformat()


async def test_the_list_shows_who_may_do_what_where_and_filters(office: Office) -> None:
    office.run("UPDATE grants SET scope = 'site', site_id = %s WHERE user_id = %s", office.park.site, office.ids["li"])
    page = await office.caller.get("/users")
    assert [name in page.text for name in ("Boss", "Second", "Li")] == [True] * 3
    assert "Riverside" in re.sub(r"<header.*?</header>", "", page.text, flags=re.DOTALL)
    page = await office.caller.get("/users?q=li&kind=staff&state=active")
    assert ("Boss</a></td>" in page.text, "Li</a></td>" in page.text) == (False, True)
    export = await office.caller.get("/users.csv?q=li")
    assert len(export.text.splitlines()) == 2
    assert "engineer@Riverside" in export.text


async def test_a_role_is_given_at_a_place_for_some_days_and_taken_back(office: Office) -> None:
    page = f"/users/{office.ids['li']}"
    answer = await office.send(
        f"{page}/roles", page, role="technician", site_id=office.park.site, first=day(0), last=day(1)
    )
    assert answer.status_code == 303, answer.text
    ((grant, since, until),) = office.run("SELECT id, since, until FROM grants WHERE role = 'technician'")
    assert until - since == timedelta(days=2)
    assert (since + timedelta(hours=8)).hour == 0  # midnight at the site
    assert (await office.send(f"{page}/roles/{grant}/end", page)).status_code == 303
    assert office.run("SELECT 1 FROM grants WHERE role = 'technician' AND until > now()") == []
    assert (await office.acts(office.ids["li"]))[:2] == ["ended a role", "granted"]


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "nonsense"}, {"role": "contractor"}, {"role": "technician", "site_id": str(uuid4())},
        {"role": "technician", "building_id": str(uuid4())}, {"role": "technician", "first": day(2), "last": day(1)},
        {"role": "technician", "last": "9999-12-31"}, {"role": "technician", "first": "yesterday"},
        {"role": "technician", "scope": "group"}, {"role": "technician", "organisation_id": str(uuid4())},
        {"role": "technician", "granted_by": "nobody"}, {"role": "technician", "approved": "true"}, {},
    ],
)  # fmt: skip
async def test_a_role_that_cannot_be_is_refused_with_a_sentence(office: Office, fields: dict[str, Any]) -> None:
    page = f"/users/{office.ids['li']}"
    answer = await office.send(f"{page}/roles", page, **fields)
    assert answer.status_code == 422, answer.text
    assert len(office.run("SELECT 1 FROM grants WHERE user_id = %s", office.ids["li"])) == 1


@pytest.mark.parametrize(
    "more",
    [{"kind": "service"}, {"organisation_id": "x"}, {"active": "false"}, {"email": "x@example.com"}, {"id": "x"}],
)
async def test_a_form_takes_nothing_that_it_does_not_ask_for(office: Office, more: dict[str, str]) -> None:
    page, before = f"/users/{office.ids['li']}", office.run("SELECT u::text FROM users u WHERE login = 'li'")
    answer = await office.send(f"{page}/name", page, name="Li Wei", language="en", **more)
    assert answer.status_code == 422
    assert office.run("SELECT u::text FROM users u WHERE login = 'li'") == before
    for path in ("close", "reopen", "invite", "sessions/end"):
        assert (await office.send(f"{page}/{path}", page, **more)).status_code == 422


async def test_a_role_that_opens_what_few_see_waits_for_a_second_administrator(office: Office) -> None:
    page = f"/users/{office.ids['li']}"
    answer = await office.send(f"{page}/roles", page, role="security", site_id=office.park.site)
    number = int(answer.headers["location"].rpartition("/")[2])
    assert office.run("SELECT 1 FROM grants WHERE role = 'security'") == []
    assert (await office.send(f"{page}/roles/approved", page, number=number)).status_code == 409
    office.run(
        "UPDATE approval_requests SET state = 'approved', ended_at = now(), usable_until = now() + interval '1 day'"
    )
    other = f"/users/{office.ids['second']}"
    assert (await office.send(f"{other}/roles/approved", other, number=number)).status_code == 404
    answer = await office.send(f"{page}/roles/approved", page, number=number)
    assert answer.status_code == 303, answer.text
    assert office.run("SELECT scope, site_id FROM grants WHERE role = 'security'") == [("site", office.park.site)]
    assert (await office.send(f"{page}/roles/approved", page, number=number)).status_code == 409


async def test_somebody_is_invited_by_mail_or_by_a_link_that_is_shown_once(office: Office) -> None:
    form = {"login": "zhang.wei", "name": "张伟", "role": "contractor", "last": day(30), "language": "zh",
            "skills": ["hvac", "magic"], "zones": ["A", "nowhere"]}  # fmt: skip
    answer = await office.send("/users/invite", **form, email="zhang@example.com")
    assert answer.status_code == 303, answer.text
    assert office.run("SELECT kind, skills, zones FROM users WHERE login = 'zhang.wei'") == [
        ("contractor", ["hvac"], ["A"])
    ]
    assert office.run("SELECT address, path LIKE '/welcome#%%' FROM mails") == [("zhang@example.com", True)]
    answer = await office.send("/users/invite", login="wang", name="Wang", role="manager")
    assert answer.status_code == 200
    assert re.search(r"/welcome#[A-Za-z0-9_-]{43}", answer.text)
    wang = office.run("SELECT id FROM users WHERE login = 'wang'")[0][0]
    assert "Invited" in (await office.caller.get(f"/users/{wang}")).text
    assert (await office.send(f"/users/{wang}/invite", f"/users/{wang}")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"login": "li"}, 409), ({"login": "\u0430dmin"}, 422), ({"login": "a"}, 422), ({"name": ""}, 422),
        ({"name": "x" * 121}, 422), ({"name": "a\u202eb"}, 422), ({"email": "nobody"}, 422), ({"role": "tenant"}, 422),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, 422), ({"role": "integration"}, 422),
        ({"language": "fr"}, 422), ({"role": "tenant", "tenant_id": str(uuid4())}, 422), ({"password": "x"}, 422),
        ({"login": "x" * 10_000}, 422),
    ],
)  # fmt: skip
async def test_an_invitation_that_cannot_be_is_refused_with_a_sentence(
    office: Office, fields: dict[str, str], status: int
) -> None:
    form = {"login": "wang", "name": "Wang", "role": "manager", **fields}
    answer = await office.send("/users/invite", **form)
    assert answer.status_code == status, answer.text
    assert len(office.run("SELECT 1 FROM users")) == 3


async def test_a_newcomer_with_a_clearance_is_asked_for(office: Office) -> None:
    await office.send("/users/invite", login="guard", name="Guard", role="security")
    assert office.run("SELECT kind FROM approval_requests") == [(NEEDS_SECOND,)]
    assert office.run("SELECT 1 FROM grants g JOIN users u ON u.id = g.user_id WHERE login = 'guard'") == []


async def test_closing_an_account_ends_its_sessions_and_opening_it_again_brings_none_back(office: Office) -> None:
    page = f"/users/{office.ids['li']}"
    app_cookies = dict(office.caller.client.cookies)
    await office.as_("li")
    theirs = dict(office.caller.client.cookies)
    office.caller.client.cookies = app_cookies  # type: ignore[assignment]
    assert (await office.send(f"{page}/close", page)).status_code == 303
    assert (await office.send(f"{page}/reopen", page)).status_code == 303
    office.caller.client.cookies = theirs  # type: ignore[assignment]
    assert (await office.caller.get("/alarms")).status_code == 303


async def test_sessions_are_ended_one_by_one_all_of_one_and_all_of_the_house(office: Office) -> None:
    page = f"/users/{office.ids['li']}"
    mine = dict(office.caller.client.cookies)
    for _ in range(3):
        await office.as_("li")
    office.caller.client.cookies = mine  # type: ignore[assignment]
    ids = [row[0] for row in office.run("SELECT id FROM sessions WHERE user_id = %s", office.ids["li"])]
    assert (await office.send(f"{page}/sessions/{ids[0]}/end", page)).status_code == 303
    assert (await office.send(f"/users/{office.ids['second']}/sessions/{ids[1]}/end", page)).status_code == 404
    assert len(office.run("SELECT 1 FROM sessions WHERE user_id = %s", office.ids["li"])) == 2
    assert (await office.send(f"{page}/sessions/end", page)).status_code == 303
    await office.as_("second")
    office.caller.client.cookies = mine  # type: ignore[assignment]
    assert (await office.send("/users/sessions/end", "/users")).status_code == 303
    assert office.run("SELECT user_id FROM sessions") == [(office.ids["boss"],)]


async def test_a_lost_second_factor_is_removed_with_a_reason(office: Office) -> None:
    page = f"/users/{office.ids['li']}"
    office.run("UPDATE credentials SET totp_seed = 'x', totp_since = now() WHERE user_id = %s", office.ids["li"])
    assert (await office.send(f"{page}/factor/remove", page, reason=" ")).status_code == 422
    assert (await office.send(f"{page}/factor/remove", page, reason="phone stolen, seen in person")).status_code == 200
    assert office.run("SELECT password_hash, totp_seed FROM credentials WHERE user_id = %s", office.ids["li"]) == [
        (None, None)
    ]
    boss = f"/users/{office.ids['boss']}"
    assert (await office.send(f"{boss}/factor/remove", "/users", reason="x")).status_code == 403


async def test_nobody_reaches_users_of_another_organisation_by_their_ids(office: Office) -> None:
    other = assets.open_organisation(
        office.park.dsns.owner, Organisation(code="OTHER", name_zh="别家", name_en="Other")
    )
    async with office.database.transaction(other, ENGINEER) as tx:
        stranger = await access.add_user(tx, "stranger", "Stranger", "engineer", PASSWORD)
    assert (await office.caller.get(f"/users/{stranger}")).status_code == 404
    for path, fields in (
        ("name", {"name": "X", "language": "en"}), ("roles", {"role": "technician"}), ("close", {}), ("reopen", {}),
        ("invite", {}), ("sessions/end", {}), ("factor/remove", {"reason": "x"}), (f"sessions/{uuid4()}/end", {}),
        (f"roles/{uuid4()}/end", {}),
    ):  # fmt: skip
        assert (await office.send(f"/users/{stranger}/{path}", "/users", **fields)).status_code == 404, path


async def test_acts_on_users_ask_for_a_fresh_proof(office: Office) -> None:
    office.run("UPDATE sessions SET authenticated_at = now() - interval '11 minutes'")
    page = f"/users/{office.ids['li']}"
    for path in ("roles", "close", "invite"):
        answer = await office.send(f"{page}/{path}", page, role="technician")
        assert answer.headers["location"].startswith("/sign-in/again")
    assert (await office.send("/tokens", name="x", days=30, rights="see_points")).status_code == 303


async def made(office: Office, **fields: Any) -> str:
    answer = await office.send("/tokens", **{"name": "bms", "days": 90, "rights": ["see_points"], **fields})
    assert answer.status_code == 200, answer.text
    found = tokens.FORM.search(html.unescape(answer.text))
    assert found is not None
    return found[0]


async def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(office: Office) -> None:
    secret = await made(office)
    page = await office.caller.get("/tokens")
    assert secret not in page.text
    assert secret[: tokens.PREFIX_CHARACTERS] in page.text
    export = await office.caller.get("/tokens.csv")
    assert (secret in export.text, "bms" in export.text) == (False, True)
    ((token_id,),) = office.run("SELECT id FROM api_tokens")
    assert (await office.send(f"/tokens/{token_id}/revoke", "/tokens")).status_code == 303
    assert "revoked by boss" in (await office.caller.get("/tokens")).text


async def test_an_administrator_makes_service_accounts_and_their_tokens(office: Office) -> None:
    assert (await office.send("/tokens/accounts", "/tokens", login="bms", name="BMS")).status_code == 303
    ((robot,),) = office.run("SELECT id FROM users WHERE login = 'bms'")
    await made(office, owner_id=robot, rights=["see_console", "add_stills"], site_id=office.park.site)
    assert office.run("SELECT user_id, rights FROM api_tokens") == [(robot, ["add_stills", "see_console"])]
    await office.as_("li")
    page = await office.caller.get("/tokens")
    assert ("bms" in page.text, "service account" in page.text.lower()) == (False, False)
    assert (await office.send("/tokens/accounts", "/tokens", login="x.y", name="X")).status_code == 403
    answer = await office.send("/tokens", name="x", days=90, rights="see_points", owner_id=robot)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"rights": ["manage_users"]}, {"rights": []}, {"rights": ["see_points", "nonsense"]}, {"days": 366},
        {"days": 0}, {"days": "x"}, {"name": "A B"}, {"secret": "x"}, {"site_id": str(uuid4())},
    ],
)  # fmt: skip
async def test_a_token_that_cannot_be_is_refused_with_a_sentence(office: Office, fields: dict[str, Any]) -> None:
    answer = await office.send("/tokens", **{"name": "bms", "days": 90, "rights": ["see_points"], **fields})
    assert answer.status_code == 422, answer.text
    assert office.run("SELECT 1 FROM api_tokens") == []


async def test_a_token_that_ends_soon_is_warned_of_and_one_that_is_tried_in_vain_shows_it(office: Office) -> None:
    now = datetime.now(UTC)
    boss = replace(acting("boss", "administrator"), user_id=office.ids["boss"])
    async with office.database.transaction(office.park.organisation, boss) as tx:
        reach = Reach(frozenset({Right.SEE_POINTS}))
        await tokens.create(tx, office.ids["boss"], "soon", reach, now + timedelta(days=3), now)
    assert "boss/soon ends on" in (await office.caller.get("/tokens")).text
    office.run("UPDATE api_tokens SET revoked_at = now(), revoked_by = 'boss', refused_at = now()")
    page = (await office.caller.get("/tokens")).text
    assert ("ends on" in page, "still tried at" in page) == (False, True)


async def test_the_description_of_the_api_is_for_who_is_signed_in_and_covers_every_form(office: Office) -> None:
    said = (await office.caller.get("/api/openapi.json")).json()
    assert {"/api/readings", "/api/alarms", "/users/invite", "/tokens"} <= set(said["paths"])
    form = said["paths"]["/users/invite"]["post"]["requestBody"]["content"]
    assert list(form) == ["application/x-www-form-urlencoded"]
    assert "HTTPBearer" in said["components"]["securitySchemes"]
    answer = said["paths"]["/api/alarms"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["items"]["$ref"].endswith("/Alarm")
    secret = await made(office, rights=["see_console"])
    office.caller.client.cookies.clear()
    assert (await office.caller.get("/api/openapi.json")).status_code == 401
    bearer = {"Authorization": f"Bearer {secret}"}
    assert (await office.caller.client.get("/api/openapi.json", headers=bearer)).status_code == 200


async def test_the_api_answers_with_declared_fields_only(office: Office) -> None:
    office.run(
        """INSERT INTO alarms (organisation_id, site_id, device_id, rule, rule_version, priority, name_zh, name_en,
           condition_began_at, raised_at) SELECT organisation_id, site_id, id, 'r', 1, 'low', '', '', now(), now()
           FROM devices LIMIT 1"""
    )
    (alarm,) = (await office.caller.get("/api/alarms")).json()
    assert "organisation_id" not in alarm
    assert "point_id" not in alarm
    assert alarm["device"]


@pytest.fixture
async def north(office: Office) -> UUID:
    other = second_site(office.park.file)
    async with office.database.transaction(office.park.organisation, ENGINEER) as tx:
        await leases.register(tx, office.park.site, office.park.file)
        site = await assets.register(tx, other)
        await leases.register(tx, site, other)
    office.run("UPDATE sites SET timezone = 'Europe/Berlin', name_en = 'North Park' WHERE id = %s", site)
    return site


async def test_whoever_sees_several_sites_chooses_one_and_sees_that_one_only(office: Office, north: UUID) -> None:
    assert "All sites" in (await office.caller.get("/leases")).text
    everything = len((await office.caller.get("/leases.csv")).text.splitlines())
    answer = await office.send("/whereabouts/site", "/leases", site_id=north, next="/leases")
    assert answer.headers["location"] == "/leases"
    page = await office.caller.get("/leases")
    assert ("N-L-2024-001" in page.text, ">L-2024-001<" in page.text) == (True, False)
    assert "Europe/Berlin" in page.text
    assert (await office.caller.get("/leases/L-2024-001")).status_code == 404
    chosen = len((await office.caller.get("/leases.csv")).text.splitlines())
    assert chosen - 1 == (everything - 1) / 2
    users = await office.caller.get("/users")
    assert "Europe/Berlin" in users.text
    await office.send("/whereabouts/site", "/leases", next="/leases")
    assert len((await office.caller.get("/leases.csv")).text.splitlines()) == everything


async def test_a_site_that_one_does_not_see_cannot_be_chosen_and_a_choice_opens_nothing(
    office: Office, north: UUID
) -> None:
    office.run("UPDATE grants SET scope = 'site', site_id = %s WHERE user_id = %s", office.park.site, office.ids["li"])
    await office.as_("li")
    page = await office.caller.get("/alarms")
    assert "All sites" not in page.text
    for site in (north, uuid4()):
        answer = await office.send("/whereabouts/site", "/alarms", site_id=site)
        assert answer.status_code == 404
    office.run("UPDATE sessions SET site_id = %s", north)
    assert "N-EM" not in (await office.caller.get("/points")).text
    assert (await office.send("/whereabouts/site", "/alarms", site_id=north)).status_code == 404


async def test_people_from_outside_choose_no_site(office: Office, north: UUID) -> None:
    tenant_id = office.run("SELECT tenant_id FROM leases WHERE code = 'L-2024-001'")[0][0]
    office.run("UPDATE leases SET tenant_id = %s WHERE code = 'N-L-2024-001'", tenant_id)
    await add(office.database, office.park, "tenant", "tenant", tenant_id=tenant_id)
    await office.as_("tenant")
    page = await office.caller.get("/papers")
    assert ("N-L-2024-001" in page.text, "All sites" in page.text) == (True, False)
    assert (await office.send("/whereabouts/site", "/papers", site_id=north)).status_code == 404


async def test_group_people_work_in_another_organisation_under_a_new_token_recorded_in_both(office: Office) -> None:
    other = assets.open_organisation(
        office.park.dsns.owner, Organisation(code="SISTER", name_zh="姊妹", name_en="Sister")
    )
    stranger = assets.open_organisation(
        office.park.dsns.owner, Organisation(code="STRANGER", name_zh="外人", name_en="Stranger")
    )
    office.run("INSERT INTO groups (code, name_zh, name_en) VALUES ('G', '集团', 'Group')")
    office.run("UPDATE organisations SET group_id = (SELECT id FROM groups) WHERE code <> 'STRANGER'")
    page = await office.caller.get("/alarms")
    assert "Sister" not in page.text
    assert (await office.send("/whereabouts/organisation", "/alarms", organisation_id=other)).status_code == 404
    office.run(
        "INSERT INTO grants (organisation_id, user_id, kind, role, scope, granted_by)"
        " VALUES (%s, %s, 'staff', 'auditor', 'group', 'operator')", office.park.organisation, office.ids["boss"],
    )  # fmt: skip
    page = await office.caller.get("/alarms")
    assert ("Sister" in page.text, "Stranger" in page.text) == (True, False)
    assert (await office.send("/whereabouts/organisation", "/alarms", organisation_id=stranger)).status_code == 404
    before = office.caller.token
    answer = await office.send("/whereabouts/organisation", "/alarms", organisation_id=other)
    assert answer.headers["location"] == "/"
    assert office.caller.token != before
    assert (await office.caller.get("/users")).status_code == 403  # an auditor there, whatever he is at home
    page = await office.caller.get("/alarms")
    assert page.status_code == 200
    for organisation in (office.park.organisation, other):
        async with office.database.transaction(organisation, ENGINEER) as tx:
            acts = [act.action for act in await audit.of_entity(tx, "user", office.ids["boss"])]
        assert "went to another organisation" in acts
    assert (
        await office.send("/whereabouts/organisation", "/alarms", organisation_id=office.park.organisation)
    ).headers["location"] == "/"
    assert (await office.caller.get("/users")).status_code == 200
    office.caller.client.cookies.set("plantroom_session", before)
    assert (await office.caller.get("/alarms")).status_code == 303
