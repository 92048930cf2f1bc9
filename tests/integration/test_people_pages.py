"""Pages about people: who sees what, what is masked, and that every look leaves its trace."""

import json
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from hub.access import service as access
from hub.access.rights import RIGHTS
from hub.approvals import service as approvals
from hub.approvals.rows import Said
from hub.approvals.views import life
from hub.store.database import Database
from hub.surveillance import stills
from tests.builders import Park, acting
from tests.builders_people import ACCOUNT, GUARD, OFFICER, OPEN, SENSITIVE, Watched, watch
from tests.door import hidden
from web.app import create
from web.settings import WebSettings

PASSWORD = "only for these tests"
NOW = datetime.now(UTC).replace(microsecond=0)
ADDRESSES = re.compile(r"https?://|\b[0-9]{8,}\b")


@pytest.fixture
async def watched(database: Database, park: Park) -> Watched:
    found = await watch(database, park, NOW)
    async with database.transaction(park.organisation, OFFICER) as tx:
        for role in RIGHTS:
            tenant = found.tenant if role == "tenant" else None
            await access.add_user(tx, role, f"Test {role}", role, PASSWORD, tenant_id=tenant, language="en")
    return found


class Browser:
    """Somebody signed in."""

    def __init__(self, client: httpx.AsyncClient, csrf: str) -> None:
        self.client = client
        self.csrf = csrf

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        return await self.client.post(path, data={"csrf": self.csrf, **fields})

    async def send(self, path: str, **more: Any) -> httpx.Response:
        return await self.client.post(path, headers={"X-CSRF-Token": self.csrf}, **more)


@asynccontextmanager
async def browsing(database: Database, park: Park, login: str) -> AsyncIterator[Browser]:
    app = create(database, WebSettings(park.dsns.hub, broadcast=False))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Accept-Language": "en"}
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test", headers=headers) as client:
        door = await client.get("/sign-in")
        await client.post("/sign-in", data={**hidden(door), "login": login, "password": PASSWORD})
        page = await client.get("/account")
        yield Browser(client, hidden(page)["csrf"])


async def acts(database: Database, watched: Watched, actor: str) -> list[tuple[str, str, str]]:
    """What somebody did, as (action, entity, reason)."""
    with psycopg.connect(watched.park.dsns.owner) as owner:
        return owner.execute(
            "SELECT action, entity, reason FROM audit_entries WHERE actor = %s AND entity <> 'user' ORDER BY id",
            [actor],
        ).fetchall()


async def still_of(database: Database, watched: Watched, zone: str) -> UUID:
    async with database.transaction(watched.park.organisation, GUARD) as tx:
        return next(one.id for one in await stills.browse(tx, stills.Filter()) if one.zone == zone)


async def test_an_account_number_is_masked_on_every_page_and_shown_whole_once_asked(
    database: Database, watched: Watched
) -> None:
    path = f"/tenants/{watched.tenant_code}"
    for role in ("administrator", "manager", "auditor", "billing"):
        async with browsing(database, watched.park, role) as browser:
            for address in (path, "/tenants.csv", "/leases", f"{path}/contacts.csv"):
                page = await browser.get(address)
                assert page.status_code == 200, (role, address)
                assert ACCOUNT not in page.text
            assert "**** 0000" in (await browser.get(path)).text
            shown = await browser.post(f"{path}/accounts/{watched.account}/show")
        assert (shown.status_code, ACCOUNT in shown.text) == ((200, True) if role == "billing" else (403, False)), role
    assert ("saw whole", "bank_account", "") in await acts(database, watched, "billing")
    async with browsing(database, watched.park, "tenant") as browser:
        page = await browser.get("/papers")
        assert "**** 0000" in page.text
        assert ACCOUNT not in page.text


async def test_contacts_are_seen_where_leases_are_and_nowhere_else(database: Database, watched: Watched) -> None:
    path = f"/tenants/{watched.tenant_code}"
    for role in RIGHTS:
        async with browsing(database, watched.park, role) as browser:
            page = await browser.get(path)
        sees = "see_leases" in RIGHTS[role]
        assert (page.status_code == 200, "138 0013 8000" in page.text) == (sees, sees), role


async def test_contacts_and_accounts_are_entered_corrected_and_ended(database: Database, watched: Watched) -> None:
    path = f"/tenants/{watched.tenant_code}"
    async with browsing(database, watched.park, "billing") as browser:
        assert (await browser.post(f"{path}/contacts", name="<b>Zhou</b>", phone="1")).status_code == 303
        page = (await browser.get(path)).text
        assert "&lt;b&gt;Zhou" in page
        changed = await browser.post(f"{path}/contacts/{watched.contact}", verb="change", name="钱进", phone="2")
        assert changed.status_code == 303
        assert "钱进" in (await browser.get(path)).text
        assert (await browser.post(f"{path}/contacts/{watched.contact}", verb="remove")).status_code == 303
        assert (await browser.post(f"{path}/contacts/{watched.contact}", verb="remove")).status_code == 404
        assert (await browser.post(f"{path}/contacts", name="x" * 121)).status_code == 422
        account = await browser.post(f"{path}/accounts", holder="H", bank="B", number="6222 0000 1111 2222")
        assert account.status_code == 303
        assert "**** 2222" in (await browser.get(path)).text
        assert (await browser.post(f"{path}/accounts/{watched.account}/end")).status_code == 303
        assert (await browser.post(f"{path}/accounts/{watched.account}/end")).status_code == 404
        assert (await browser.post(f"/tenants/{uuid4()}/accounts/{watched.account}/show")).status_code == 404
    done = [(action, entity) for action, entity, _ in await acts(database, watched, "billing")]
    assert done == [("added", "contact"), ("changed", "contact"), ("removed", "contact"), ("added", "bank_account"),
                    ("ended", "bank_account")]  # fmt: skip


async def test_a_still_of_a_sensitive_zone_asks_for_a_reason_and_every_look_is_recorded(
    database: Database, watched: Watched
) -> None:
    plain, secret = await still_of(database, watched, OPEN), await still_of(database, watched, SENSITIVE)
    async with browsing(database, watched.park, "security") as browser:
        grid = (await browser.get("/stills")).text
        assert f"/stills/{plain}/thumbnail" in grid
        assert f"/stills/{secret}/thumbnail" not in grid
        assert "data:image/jpeg;base64," in (await browser.get(f"/stills/{plain}")).text
        closed = (await browser.get(f"/stills/{secret}")).text
        assert "data:image" not in closed
        assert (await browser.post(f"/stills/{secret}", reason=" ")).status_code == 422
        assert "data:image/jpeg;base64," in (await browser.post(f"/stills/{secret}", reason="leak")).text
        assert (await browser.get(f"/stills/{secret}/thumbnail")).status_code == 404
        kept = await browser.post(f"/stills/{plain}/keep", until=f"{NOW + timedelta(days=9):%Y-%m-%d}", reason="theft")
        assert kept.status_code == 303
        assert "Evidence until" in (await browser.get("/stills")).text
    assert await acts(database, watched, "security") == [
        ("looked through", "stills", ""),
        ("opened", "still", ""),
        ("opened, sensitive zone", "still", "leak"),
        ("kept as evidence", "still", "theft"),
        ("looked through", "stills", ""),
    ]
    async with browsing(database, watched.park, "engineer") as browser:
        assert str(secret) not in (await browser.get("/stills")).text
        for answer in (await browser.get(f"/stills/{secret}"), await browser.post(f"/stills/{secret}", reason="x")):
            assert answer.status_code == 404
        assert "B-SERVER" not in (await browser.get("/stills.csv")).text


async def test_pictures_are_served_as_files_that_do_nothing(database: Database, watched: Watched) -> None:
    plain = await still_of(database, watched, OPEN)
    async with browsing(database, watched.park, "security") as browser:
        small = await browser.get(f"/stills/{plain}/thumbnail")
        whole = await browser.post(f"/stills/{plain}/picture", reason="police")
    for answer, kind in ((small, "inline"), (whole, "attachment")):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch(rf'{kind}; filename="[\w.-]+"', answer.headers["content-disposition"])
        assert answer.content.startswith(b"\xff\xd8")
    assert ("took along", "still", "police") in await acts(database, watched, "security")


async def test_badge_events_are_searched_for_a_reason_and_names_stay_out_of_addresses(
    database: Database, watched: Watched
) -> None:
    day = f"{NOW + timedelta(hours=8):%Y-%m-%d}"
    span = {"first": f"{NOW - timedelta(days=2):%Y-%m-%d}", "last": day}
    async with browsing(database, watched.park, "security") as browser:
        form = await browser.get("/badges")
        assert "孙悦" not in form.text
        assert 'action="/badges"' in form.text
        assert (await browser.post("/badges", **span, person="孙悦")).status_code == 422
        assert (await browser.post("/badges", reason="x")).status_code == 422
        assert (await browser.post("/badges", first="yesterday", last=day, reason="x")).status_code == 422
        found = await browser.post("/badges", **span, person="孙悦", reason="lost laptop")
        assert found.text.count("<td>孙悦</td>") == 2
        exported = await browser.post("/badges.csv", **span, reason="for the police")
        assert exported.headers["content-type"].startswith("text/csv")
        assert "孙悦" in exported.text
        assert (await browser.get("/badges?person=孙悦")).text.count("孙悦") == 0
    assert await acts(database, watched, "security") == [
        ("searched", "badge_events", "lost laptop"),
        ("exported", "badge_events", "for the police"),
    ]
    for role in ("engineer", "administrator", "manager", "auditor"):
        async with browsing(database, watched.park, role) as browser:
            assert (await browser.post("/badges", **span, reason="curious")).status_code == 403, role


async def test_a_person_is_given_out_and_erased_by_the_pages(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, OFFICER) as tx:
        await access.add_user(tx, "second", "Second", "administrator", PASSWORD, language="en")
    async with browsing(database, watched.park, "administrator") as browser:
        register = await browser.get("/privacy")
        assert (register.status_code, "to be confirmed" in register.text) == (200, True)
        assert "badge_holders.name" in (await browser.get("/privacy.csv")).text
        people = (await browser.post("/privacy/people", text="赵敏")).text
        record = re.search(r'value="(contact:[0-9a-f-]+)"', people)
        assert record is not None
        chosen = await browser.post("/privacy/person", record=[record[1]])
        person = chosen.headers["location"]
        assert "赵敏" in (await browser.get(person)).text
        assert not ADDRESSES.search(person.replace(str(watched.contact), ""))
        assert (await browser.post(f"{person}/export", reason="")).status_code == 422
        given = await browser.post(f"{person}/export", reason="asked by letter")
        assert given.headers["content-disposition"].startswith("attachment")
        asked = await browser.post(f"{person}/erasure", reason="asked by letter")
        request = asked.headers["location"]
        page = (await browser.get(request)).text
        assert "赵敏" in page
        assert "Erase now" not in page
        assert (await browser.post(f"{request}/carry-out")).status_code == 409
        number = re.search(r"/approvals/(\d+)", page)
    with zipfile.ZipFile(BytesIO(given.content)) as archive:
        assert "赵敏" in archive.read("index.html").decode()
        assert "赵敏" in archive.read("contacts.csv").decode()
        assert json.loads(archive.read("data.json"))["tables"]["contacts"][0]["phone"] == "+86 138 0013 8000"
    assert number is not None
    await approve(database, watched, int(number[1]))
    async with browsing(database, watched.park, "administrator") as browser:
        assert "Erase now" in (await browser.get(request)).text
        assert (await browser.post(f"{request}/carry-out")).status_code == 303
        page = (await browser.get(request)).text
        assert "What was done" in page
        assert "赵敏" not in page
        assert "Nobody was found" in (await browser.post("/privacy/people", text="赵敏")).text


async def approve(database: Database, watched: Watched, number: int) -> None:
    async with database.transaction(watched.park.organisation, acting("second", "administrator")) as tx:
        seen = (await life(tx, number, NOW)).stored
        await approvals.decide(tx, number, Said("approve", seen.content_hash, seen.round, seen.step, uuid4()), NOW)


async def test_an_address_that_names_nobody_gives_nothing_away(database: Database, watched: Watched) -> None:
    many = ",".join(f"user:{uuid4()}" for _ in range(60))
    async with browsing(database, watched.park, "administrator") as browser:
        for key in ("x", "user:1", "user:", "contact", f"spy:{uuid4()}", f"user:{uuid4()}", many):
            assert (await browser.get(f"/privacy/person/{key}")).status_code == 404, key
            refused = await browser.post(f"/privacy/person/{key}/export", reason="x")
            assert refused.status_code in (404, 422), key


async def test_personal_data_is_for_whoever_manages_it(database: Database, watched: Watched) -> None:
    for role in RIGHTS:
        async with browsing(database, watched.park, role) as browser:
            answer = await browser.get("/privacy")
            found = await browser.post("/privacy/people", text="赵敏")
        assert (answer.status_code, found.status_code) == ((200, 200) if role == "administrator" else (403, 403)), role
