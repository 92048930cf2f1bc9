"""The pages of the record: what was done, filtered by the address, shown as text, taken along only with a trace."""

import csv
import io
import re
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import httpx
import psycopg
import pytest

from hub.audit import chain
from hub.audit import service as audit
from hub.audit.anchor import AnchorFile
from hub.refusals import Refusals
from hub.store.database import Actor, Database
from tests.builders import ENGINEER, Park
from tests.integration.test_audit_chain import NOW, chained
from tests.integration.test_web_rights import app, client, people, sign_in
from web import witness
from web.app import create
from web.console.audit import Fact
from web.settings import WebSettings

__all__ = ["app", "client", "people"]  # the fixtures

HOSTILE = '<script>alert("x")<img src=x onerror=alert(1)>'
DEPUTY = Actor("li.wei", address="192.0.2.7", request_id="5f3c9", on_behalf_of="wang")


@pytest.fixture
async def widgets(database: Database, park: Park) -> None:
    """Some acts on things that no other test knows."""
    async with database.transaction(park.organisation, DEPUTY) as tx:
        changed = {"changed": {"colour": ["red", HOSTILE], "size": ["1", "2"], "name": ["a", "b"], "code": ["c", "d"]}}
        await audit.record(tx, "painted", "widget", HOSTILE, {**changed, "note": HOSTILE}, reason=HOSTILE)
        for n in range(audit.PAGE + 20):
            await audit.record(tx, "turned", "cog", n % 2, {"turn": n})
    await chain.seal_all(database)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await audit.record(tx, "turned", "cog", "waiting", {"changed": {"state": ["off", "on"]}})


def rows(page: httpx.Response) -> int:
    return len(re.findall(r"<tr>", page.text)) - 1  # without the head


async def test_a_page_shows_who_did_what_when_for_whom_from_where_and_why(
    client: httpx.AsyncClient, widgets: None
) -> None:
    await sign_in(client, "auditor")
    page = await client.get("/audit", params={"entity": "widget"})
    assert page.status_code == 200
    assert rows(page) == 1
    for said in ("li.wei", "on behalf of wang", "painted", "192.0.2.7", "size", "and 1 more"):
        assert said in page.text, said
    assert HOSTILE not in page.text
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text
    assert f'href="/audit/widget/{quote(HOSTILE, safe="")}"' in page.text
    life = await client.get(f"/audit/widget/{quote(HOSTILE, safe='')}")
    assert life.status_code == 200
    for said in ("Reason given", "On behalf of", "wang", "5f3c9", "192.0.2.7", "colour", "red", "sealed no."):
        assert said in life.text, said
    assert "<script>alert" not in life.text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"actor": "li.wei", "entity": "widget"}, 1),
        ({"actor": "nobody"}, 0),
        ({"action": "painted"}, 1),
        ({"entity": "cog", "id": "waiting"}, 1),
        ({"request": "5f3c9", "entity": "widget"}, 1),
        ({"text": "onerror"}, 1),
        ({"text": "100%"}, 0),
        ({"text": '"turn": 7}'}, 1),
        ({"entity": "cog", "from": "2020-01-01", "to": "2020-12-31"}, 0),
        ({"entity": "widget", "from": "2020-01-01", "to": "2099-12-31"}, 1),
    ],
)
async def test_the_filter_stands_in_the_address(
    client: httpx.AsyncClient, widgets: None, asked: dict[str, str], found: int
) -> None:
    await sign_in(client, "auditor")
    page = await client.get("/audit", params=asked)
    assert rows(page) == found
    table = await client.get("/audit.csv", params=asked)
    assert len(list(csv.DictReader(io.StringIO(table.text)))) == found


async def test_pages_are_bounded_and_lead_on_to_older_acts(client: httpx.AsyncClient, widgets: None) -> None:
    await sign_in(client, "auditor")
    first = await client.get("/audit", params={"entity": "cog"})
    assert rows(first) == audit.PAGE
    older = re.search(r'href="(/audit\?[^"]*before=\d+)"', first.text)
    assert older is not None
    second = await client.get(older[1].replace("&amp;", "&"))
    assert rows(second) == 21
    assert "before=" not in second.text
    life = await client.get("/audit/cog/1")
    assert life.text.count("<article") == 60


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"before": "999999999999999999999"}, 422),
        ({"before": "9223372036854775807"}, 404),
        ({"before": "-1"}, 422),
        ({"from": "not a day"}, 422),
        ({"text": "x" * 300}, 422),
        ({"text": "x", "from": "2001-01-01"}, 422),
        ({"actor": "\0"}, 422),
        ({"from": "0001-01-01"}, 422),
        ({"to": "9999-12-31"}, 422),
    ],
)
async def test_odd_filters_are_refused_with_a_sentence(
    client: httpx.AsyncClient, widgets: None, asked: dict[str, str], status: int
) -> None:
    await sign_in(client, "auditor")
    assert (await client.get("/audit", params=asked)).status_code == status


async def test_taking_the_record_along_is_itself_recorded(
    client: httpx.AsyncClient, database: Database, park: Park, widgets: None
) -> None:
    await sign_in(client, "auditor")
    table = await client.get("/audit.csv", params={"entity": "widget"})
    (row,) = csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff")))
    assert (row["actor"], row["on_behalf_of"], row["reason"]) == ("li.wei", "wang", HOSTILE)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        (entry,) = await audit.of_entity(tx, "audit", "")
    assert (entry.actor, entry.action) == ("auditor", "exported")
    assert entry.details == {"filter": "?entity=widget", "rows": 1}


@pytest.mark.parametrize("role", ["manager", "engineer", "billing", "security", "technician", "tenant", "contractor"])
async def test_the_record_is_for_those_who_audit(client: httpx.AsyncClient, widgets: None, role: str) -> None:
    await sign_in(client, role)
    for path in ("/audit", "/audit.csv", "/audit/cog/1"):
        assert (await client.get(path)).status_code == 403
    assert 'href="/audit' not in (await client.get("/", follow_redirects=True)).text


async def test_other_pages_lead_to_the_life_of_what_they_show(
    client: httpx.AsyncClient, database: Database, park: Park
) -> None:
    await sign_in(client, "auditor")
    lease = park.file.lease[0].code
    page = await client.get(f"/leases/{lease}")
    found = re.search(r'href="(/audit/lease/[0-9a-f-]{36})"', page.text)
    assert found is not None
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await audit.record(tx, "changed", "lease", UUID(found[1].rpartition("/")[2]))
    life = await client.get(found[1])
    assert life.status_code == 200
    assert f'href="/leases/{lease}"' in life.text  # and back
    assert (await client.get("/audit/lease/nothing-of-the-kind")).status_code == 404


async def test_what_an_address_cannot_carry_is_searched_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness.Witness.__init__, "__defaults__", (Refusals().note,))  # nothing was refused yet
    await sign_in(client, "engineer")
    assert (await client.get("/audit")).status_code == 403
    client.cookies.clear()
    await sign_in(client, "auditor")
    page = await client.get("/audit", params={"entity": "page"})
    found = re.search(r'href="(/audit\?entity=page&amp;id=[^"]+)"', page.text)
    assert found is not None
    assert rows(await client.get(found[1].replace("&amp;", "&"))) == 1


async def test_the_page_says_how_the_chain_stands_and_when_it_was_changed(
    database: Database, park: Park, people: None, widgets: None, tmp_path: Path
) -> None:
    file = AnchorFile(tmp_path / "a", tmp_path / "k")
    served = create(database, WebSettings(park.dsns.hub, broadcast=False, anchors=file))
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as visitor:
        visitor.headers["Accept-Language"] = "en"
        await sign_in(visitor, "auditor")
        assert "not anchored yet" in (await visitor.get("/audit")).text
        await chain.anchor(database, file, NOW)
        assert "✓" in (await visitor.get("/audit")).text
        with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
            owner.execute("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
            owner.execute("UPDATE audit_entries SET actor = 'x' WHERE sealed_number = 1")
            chained(owner)
        assert "The record is not what its last anchor saw" in (await visitor.get("/audit")).text
        file.path.write_text("garbage\n")
        assert "not anchored yet" in (await visitor.get("/audit")).text
        file.path.unlink()
        file.path.mkdir()
        assert "cannot be read here" in (await visitor.get("/audit")).text


def test_a_fact_of_the_record_is_said_in_words_of_the_screen() -> None:
    moment = "2026-11-24T13:18:02.223667+00:00"
    assert Fact.of("user", "role", "auditor").codes == ("role.auditor",)
    assert Fact.of("user", "factors", ["password", "totp"]).codes == ("factor.password", "factor.totp")
    assert Fact.of("still", "at", moment).at == datetime.fromisoformat(moment)
    assert Fact.of("page", "why", "Your role does not include this page.").sentence
    for entity, name, value in (
        ("user", "login", "tenant"),
        ("user", "role", "of a time before"),
        ("contact", "note", "2026-13-99T00:00:00Z"),
        ("lease", "end_on", "2026-11-24"),
    ):
        plainly = Fact.of(entity, name, value)
        assert (plainly.codes, plainly.at, plainly.sentence) == ((), None, False)
