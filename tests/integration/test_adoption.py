"""Who speaks without being registered is listed, what he says is kept, and stored when he is taken in."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from hub.alarms.rows import Change
from hub.assets import adoption
from hub.assets.adoption import Adoption
from hub.assets.rows import Stranger
from hub.errors import ConflictError, HubError, InvalidError, NotFoundError
from hub.ingest import held
from hub.ingest.commit import Committer
from hub.ingest.counts import Counts
from hub.ingest.held import Shelf
from hub.ingest.session import Sessions
from hub.store.database import Database, Transaction
from rules.wire import topics
from rules.wire.sparkplug import Metric
from rules.wire.topics import Verb
from tests.builders import ENGINEER, Park
from tests.builders_wire import PretendEdge
from tests.integration.test_ingest_commit import MAIN, NOW, Hub, at

GHOST = Adoption("幽灵表", "Ghost meter", "A", "common", "electricity", "40", "rs-em3")


@pytest.fixture
async def hub(database: Database, park: Park) -> Hub:
    return Hub(database, park.dsns.owner)


async def shelf(hub: Hub) -> int:
    """Take from the shelf what can be stored, as the hub does."""
    taken = Shelf(hub.database)
    found = await taken.due(NOW)
    if found:
        await hub.committer.commit([frame for _, frame in found], NOW)
        await taken.stored([number for number, _ in found])
    return len(found)


async def listed(hub: Hub, park: Park) -> list[Stranger]:
    async with hub.database.transaction(park.organisation, ENGINEER) as tx:
        return await adoption.strangers(tx)


async def test_what_an_unknown_device_says_is_kept_and_stored_as_history_once_it_is_taken_in(
    hub: Hub, park: Park
) -> None:
    edge = PretendEdge(devices={"EM-GHOST": "rs-em3", MAIN: "rs-em3"})
    await hub.take(*edge.births())
    for n in range(1, 4):
        await hub.take(edge.data("EM-GHOST", [("energy", at(n), float(n)), ("power", at(n), None)]))
    assert await shelf(hub) == 0
    [found] = await listed(hub, park)
    assert (found.site, found.gateway, found.device, found.held, found.readings) == (
        "RIVERSIDE",
        "GW-1",
        "EM-GHOST",
        3,
        6,
    )
    assert "energy" in found.declares
    async with hub.database.transaction(park.organisation, ENGINEER) as tx:
        await adoption.adopt_device(tx, found, GHOST, NOW)
    assert await listed(hub, park) == []
    await hub.take(edge.data("EM-GHOST", [("energy", at(9), 9.0)]))
    judged = list(hub.judged)
    assert await shelf(hub) == 3
    assert await shelf(hub) == 0
    assert [value for _, value, _ in hub.samples("EM-GHOST.energy")] == [1, 2, 3, 9]
    assert [value for _, value, _ in hub.samples("EM-GHOST.power")] == [None, None, None]
    assert hub.rows("SELECT value FROM latest l JOIN points p ON p.id = point_id WHERE code = 'EM-GHOST.energy'") == [
        (9,)
    ]
    assert hub.judged == judged
    assert hub.rows("SELECT kind, unit FROM points WHERE code = 'EM-GHOST.energy'") == [("counter", "kWh")]
    assert hub.rows("SELECT online, multiplier FROM devices WHERE code = 'EM-GHOST'") == [(True, 40)]
    assert hub.rows("SELECT count(*) FROM audit_entries WHERE action = 'adopted'") == [(1,)]


async def test_an_unknown_gateway_is_taken_in_first_and_then_its_devices(hub: Hub, park: Park) -> None:
    edge = PretendEdge(gateway="GW-9")
    await hub.take(*edge.births())
    [found] = await listed(hub, park)
    assert (found.gateway, found.device, found.gateway_known) == ("GW-9", "", False)
    async with hub.database.transaction(park.organisation, ENGINEER) as tx:
        await adoption.adopt_gateway(tx, found)
    await hub.take(*edge.births())
    assert [(one.device, one.gateway_known) for one in await listed(hub, park)] == [(MAIN, True)]
    assert hub.rows("SELECT count(*) FROM audit_entries WHERE action = 'adopted' AND entity = 'gateway'") == [(1,)]


async def test_what_is_ignored_stays_away_and_its_readings_go(hub: Hub, park: Park) -> None:
    edge = PretendEdge(devices={"EM-GHOST": "rs-em3"})
    await hub.take(*edge.births(), edge.data("EM-GHOST", [("energy", at(1), 1.0)]))
    [found] = await listed(hub, park)
    async with hub.database.transaction(park.organisation, ENGINEER) as tx:
        await adoption.ignore(tx, found)
    await hub.take(edge.data("EM-GHOST", [("energy", at(2), 2.0)]), now=NOW + timedelta(hours=1))
    assert await listed(hub, park) == []


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"space": "NOWHERE"}, InvalidError, "Choose the building"),
        ({"role": "king"}, InvalidError, "no role"),
        ({"commodity": "gold"}, InvalidError, "no commodity"),
        ({"multiplier": "0"}, InvalidError, "above 0"),
        ({"multiplier": "NaN"}, InvalidError, "above 0"),
        ({"multiplier": "many"}, InvalidError, "above 0"),
        ({"name_zh": " "}, InvalidError, "both languages"),
        ({"name_en": "x" * 121}, InvalidError, "120 characters"),
        ({"profile": "no such/thing"}, InvalidError, "is no code"),
    ],
)
async def test_a_wrong_form_takes_nothing_in(
    hub: Hub, park: Park, wrong: dict[str, str], error: type[HubError], said: str
) -> None:
    edge = PretendEdge(devices={"EM-GHOST": "rs-em3"})
    await hub.take(*edge.births())
    [found] = await listed(hub, park)
    form = Adoption(**{**{name: getattr(GHOST, name) for name in Adoption.__slots__}, **wrong})
    with pytest.raises(error, match=said):
        async with hub.database.transaction(park.organisation, ENGINEER) as tx:
            await adoption.adopt_device(tx, found, form, NOW)
    assert len(await listed(hub, park)) == 1


async def test_a_device_is_taken_in_once_and_needs_its_gateway(hub: Hub, park: Park) -> None:
    edge = PretendEdge(devices={"EM-GHOST": "rs-em3"})
    await hub.take(*edge.births())
    [found] = await listed(hub, park)
    async with hub.database.transaction(park.organisation, ENGINEER) as tx:
        await adoption.adopt_device(tx, found, GHOST, NOW)
        with pytest.raises(ConflictError, match="already"):
            await adoption.adopt_device(tx, found, GHOST, NOW)
    with pytest.raises(NotFoundError):
        async with hub.database.transaction(park.organisation, ENGINEER) as tx:
            await adoption.stranger(tx, UUID(int=1), "GW-1", "EM-GHOST")


async def test_a_unit_that_changes_at_the_device_waits_for_a_person_and_mixes_into_no_sum(hub: Hub, park: Park) -> None:
    edge = PretendEdge()
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    said = {topics.KIND: "counter", topics.UNIT: "MWh", topics.RESOLUTION: "0.001"}
    number = Metric(name=topics.NUMBER, alias=edge.aliases[MAIN, topics.NUMBER])
    changed = edge.message(
        Verb.DBIRTH, [number, Metric(name="energy", alias=edge.aliases[MAIN, "energy"], properties=said)], MAIN
    )
    await hub.take(changed, edge.data(MAIN, [("energy", at(2), 0.002)]))
    assert [value for _, value, _ in hub.samples()] == [1]
    assert "comes in MWh, its point is in kWh" in hub.reasons()[-1]
    async with hub.database.transaction(park.organisation, ENGINEER) as tx:
        [waiting] = await adoption.unsettled(tx)
        assert (waiting.unit, waiting.said, waiting.readings) == ("kWh", "MWh", 1)
        with pytest.raises(NotFoundError):
            await adoption.accept_unit(tx, waiting.point_id, "GWh")
        await adoption.accept_unit(tx, waiting.point_id, "MWh")
    hub.committer.forget()
    assert await shelf(hub) == 1
    assert [value for _, value, _ in hub.samples()] == [1, 0.002]
    details = hub.rows("SELECT details->'unit' FROM audit_entries WHERE action = 'accepted unit'")
    assert details == [({"before": "kWh", "after": "MWh"},)]


async def test_strangers_are_bounded_and_noticed_once_a_minute(database: Database, park: Park) -> None:
    async def judge(_tx: Transaction, _changes: list[Change], _now: datetime) -> None:
        pass

    sessions, committer = Sessions(), Committer(database, judge, Counts(), NOW)
    for n in range(3):
        edge = PretendEdge(gateway=f"GW-{n:03}")
        await committer.commit([act for one in edge.births() for act in sessions.take(one, NOW)], NOW)
    hub = Hub(database, park.dsns.owner)
    assert len(await listed(hub, park)) == 3


async def test_the_shelf_keeps_within_its_bounds(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    edge = PretendEdge(devices={"EM-GHOST": "rs-em3"})
    await hub.take(*edge.births())
    for n in range(1, 8):
        await hub.take(edge.data("EM-GHOST", [("energy", at(n), float(n))]), now=NOW)
    monkeypatch.setattr(held, "FRAMES_PER_DEVICE_MAX", 3)
    await Shelf(hub.database).due(NOW)
    assert hub.rows("SELECT count(*)::int FROM held_frames") == [(3,)]
