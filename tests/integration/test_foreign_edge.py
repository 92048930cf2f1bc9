"""Edges of other makers feed the hub directly: no driver, no spool number, nothing of ours but the specification."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from tomllib import loads
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from deploy.broker import Broker
from deploy.register import register
from hub import main
from hub.access import service as access
from hub.ingest import session
from hub.store.database import Database
from rules.model.site import parse
from tests import foreign
from tests.builders import Dsns, acting
from tests.field import site_text
from tests.foreign import Foreign, Tag
from tests.integration.test_web_rights import PASSWORD, sign_in
from tests.listening import listening
from tests.training import working
from web.app import create
from web.settings import WebSettings

MORE = """
[[gateway]]
code = "IGNITION-1"
[[line]]
code = "THEIRS"
gateway = "IGNITION-1"
driver = "sparkplug"
[[device]]
code = "CHILLER-1"
name_zh = "冷机 1"
name_en = "Chiller 1"
line = "THEIRS"
profile = "sparkplug-device"
role = "plant"
space = "A"
[[device]]
code = "CHILLER-2"
name_zh = "冷机 2"
name_en = "Chiller 2"
line = "THEIRS"
profile = "sparkplug-device"
role = "plant"
space = "A"
"""
NUMBERS = {
    "Temps/Supply/int8": (foreign.INT8, -7),
    "Temps/Supply/int16": (foreign.INT16, -300),
    "Temps/Supply/int32": (foreign.INT32, -70_000),
    "Temps/Supply/int64": (foreign.INT64, -5_000_000_000),
    "Counts/uint8": (foreign.UINT8, 200),
    "Counts/uint16": (foreign.UINT16, 60_000),
    "Counts/uint32": (foreign.UINT32, 4_000_000_000),
    "Counts/uint64": (foreign.UINT64, 5_000_000_000),
    "Flow float": (foreign.FLOAT, 1.5),
    "能耗/总": (foreign.DOUBLE, 123.25),
    "Run": (foreign.BOOLEAN, True),
}
OTHERS = [
    Tag("Name", foreign.STRING, "Chiller"), Tag("Notes", foreign.TEXT, "text"), Tag("Started", foreign.DATETIME, 1),
    Tag("Id", foreign.UUID_TYPE, "x"), Tag("Table", foreign.DATASET), Tag("Picture", foreign.BYTES, b"x"),
    Tag("Blob", foreign.FILE, b"x"), Tag("Type", foreign.TEMPLATE),
]  # fmt: skip
TAGS = [Tag(name, kind, value) for name, (kind, value) in NUMBERS.items()] + OTHERS


class Hub:
    """A hub with a site of which one gateway is another maker's."""

    def __init__(self, dsns: Dsns, organisation: UUID, broker: Broker) -> None:
        self.dsns, self.organisation, self.broker = dsns, organisation, broker
        self.settings = main.HubSettings(dsns.hub, broker.host, broker.port, broker.username, broker.password)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsns.owner) as owner:
            return owner.execute(statement.encode(), values).fetchall()

    def stored(self) -> dict[str, list[float | None]]:
        found: dict[str, list[float | None]] = {}
        for measure, value in self.rows(
            "SELECT measure, value FROM samples JOIN points p ON p.id = point_id ORDER BY measure, at"
        ):
            found.setdefault(measure, []).append(value)
        return found

    async def until(self, statement: str, wanted: list[tuple[Any, ...]], within_s: float = 40) -> None:
        end = asyncio.get_running_loop().time() + within_s
        while (found := await asyncio.to_thread(self.rows, statement)) != wanted:
            assert asyncio.get_running_loop().time() < end, (statement, found, self.rows("SELECT * FROM quarantine"))
            await asyncio.sleep(0.05)


@pytest.fixture
async def hub(dsns: Dsns, database: Database, broker: Broker) -> AsyncIterator[Hub]:
    file = parse(loads(site_text(502) + MORE))
    there = Hub(dsns, await register(dsns.owner, dsns.hub, file), broker)
    began = now()
    async with working(main.run(there.settings)):
        await listening(broker, began)
        yield there


@pytest.fixture(params=["aliases", "names", "types"])
def edge(request: pytest.FixtureRequest, hub: Hub) -> Iterator[Foreign]:
    """An edge that says aliases alone (with and without types), or names alone."""
    aliases, types = request.param != "names", request.param == "types"
    node = Foreign(hub.broker, "S1", "IGNITION-1", {"CHILLER-1": TAGS}, aliases, types)
    yield node
    node.leave()


SAMPLES = "SELECT count(*)::int FROM samples"


def now(ago_s: float = 0) -> datetime:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


async def up(hub: Hub, edge: Foreign) -> None:
    await asyncio.to_thread(edge.connect)
    await hub.until("SELECT online FROM devices WHERE code = 'CHILLER-1'", [(True,)])


async def test_every_kind_of_number_arrives_with_its_sign_and_what_is_none_makes_no_point(
    hub: Hub, edge: Foreign
) -> None:
    await up(hub, edge)
    at = now()
    edge.tell("CHILLER-1", *(Tag(t.name, t.kind, t.value, at) for t in TAGS))
    await hub.until(SAMPLES, [(len(NUMBERS),)])
    assert hub.stored() == {name: [float(value)] for name, (_, value) in NUMBERS.items()}
    assert hub.rows("SELECT reason FROM quarantine") == []
    kinds = dict(hub.rows("SELECT measure, kind FROM points"))
    assert kinds == {name: "state" if name == "Run" else "gauge" for name in NUMBERS}


async def test_null_bad_and_historical_values_are_kept_as_what_they_are(hub: Hub, edge: Foreign) -> None:
    await up(hub, edge)
    name, kind = "Flow float", foreign.FLOAT
    edge.tell("CHILLER-1", Tag(name, kind, 3.0, now()))
    edge.tell("CHILLER-1", Tag(name, kind, 1.0, now(600), historical=True))
    edge.tell("CHILLER-1", Tag(name, kind, None, now(500)), Tag(name, kind, 9.0, now(400), quality=0))
    edge.tell("CHILLER-1", Tag(name, kind, 1.0, now(300), quality=500))
    await hub.until(SAMPLES, [(5,)])
    assert hub.stored()[name][:3] == [1.0, None, None]
    assert hub.rows("SELECT value FROM latest") == [(3.0,)]
    assert 0 not in hub.stored()[name]


async def test_sequence_numbers_wrap_and_many_moments_fit_one_message(hub: Hub, edge: Foreign) -> None:
    await up(hub, edge)
    began = now(600)
    for n in range(300):
        moments = [began + timedelta(seconds=n + part / 4) for part in range(2)]
        edge.tell("CHILLER-1", *(Tag("能耗/总", foreign.DOUBLE, float(n), at) for at in moments))
    await hub.until(SAMPLES, [(600,)])
    assert edge.asked == 0


async def test_a_will_darkens_the_gateway_and_its_devices_and_a_birth_lights_them(hub: Hub, edge: Foreign) -> None:
    await up(hub, edge)
    edge.vanish()
    lit = "SELECT g.online, d.online FROM gateways g JOIN devices d ON d.gateway_id = g.id WHERE d.code = 'CHILLER-1'"
    await hub.until(lit, [(False, False)])
    await up(hub, edge)
    edge.tell("CHILLER-1", Tag("Run", foreign.BOOLEAN, value=False, at=now()))
    await hub.until(SAMPLES, [(1,)])
    await hub.until(lit, [(True, True)])


async def test_after_a_lost_message_the_births_are_asked_for_and_what_follows_counts(
    hub: Hub, edge: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ASK_EVERY", timedelta(seconds=0.3))
    await up(hub, edge)
    edge.answers = False  # for a while
    edge.drop()
    for _ in range(5):
        edge.tell("CHILLER-1", Tag("Run", foreign.BOOLEAN, value=True, at=now()))
        await asyncio.sleep(0.15)
    assert 1 <= edge.asked <= 4  # asked again, but not with every message
    assert hub.rows(SAMPLES) == [(0,)]
    edge.birth()
    edge.tell("CHILLER-1", Tag("Run", foreign.BOOLEAN, value=True, at=now()))
    await hub.until(SAMPLES, [(1,)])


async def test_a_device_that_nobody_registered_is_said_and_harms_no_other(hub: Hub, edge: Foreign) -> None:
    edge.devices = {"CHILLER-1": TAGS, "STRANGER": [Tag("Odd/One", foreign.INT32, 1)]}
    await up(hub, edge)
    edge.tell("STRANGER", Tag("Odd/One", foreign.INT32, 1, now()))
    edge.tell("CHILLER-1", Tag("Run", foreign.BOOLEAN, value=True, at=now()))
    await hub.until(SAMPLES, [(1,)])
    [(reason,)] = hub.rows("SELECT DISTINCT reason FROM quarantine")
    assert "'STRANGER' is not registered" in reason


async def test_a_point_whose_name_has_slashes_has_its_place_on_the_pages(hub: Hub, database: Database) -> None:
    node = Foreign(hub.broker, "S1", "IGNITION-1", {"CHILLER-1": TAGS})
    await up(hub, node)
    node.tell("CHILLER-1", Tag("Temps/Supply/int16", foreign.INT16, -300, now()))
    await hub.until(SAMPLES, [(1,)])
    node.leave()
    async with database.transaction(hub.organisation, acting("test", "administrator")) as tx:
        await access.add_user(tx, "engineer", "Eve", "engineer", PASSWORD, language="en")
    transport = httpx.ASGITransport(create(database, WebSettings(hub.dsns.hub, broadcast=False)))
    async with httpx.AsyncClient(transport=transport, base_url="http://plantroom.test") as client:
        await sign_in(client, "engineer")
        listed = await client.get("/points")
        [link] = re.findall(r'href="(/points/CHILLER-1[^"]*/int16)"', listed.text)
        page = await client.get(link)
    assert page.status_code == httpx.codes.OK
    assert "CHILLER-1.Temps/Supply/int16" in page.text
    assert "-300" in page.text.replace("−", "-")  # the sign that people read
