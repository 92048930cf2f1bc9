"""Events of doors and cameras from their gateway's message to the zone that they watch, each kept once."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from PIL import Image

from hub.alarms.rows import Change
from hub.ingest import events
from hub.ingest.acts import Address, Ask
from hub.ingest.commit import Committer, Outcome
from hub.ingest.counts import Counts
from hub.ingest.inbox import Message
from hub.ingest.session import Sessions
from hub.store.database import Database, Transaction
from hub.surveillance import service as surveillance
from rules.model.event import BadgeEvent, Event, Still
from rules.wire.event import ABOUT, EVENT, event_metric, head
from rules.wire.sparkplug import DataType, Metric
from tests.builders import ENGINEER, Park
from tests.builders_wire import PretendEdge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DOOR, NO_ZONE = "EM-A-MAIN", "EM-B-MAIN"
GW = Address("RIVERSIDE", "GW-1")


def jpeg(grey: int = 128) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 200), (grey, grey, grey)).save(out, "JPEG")
    return out.getvalue()


def badge(n: int, *, device: str = DOOR, result: str = "granted", card: str | None = "4711") -> BadgeEvent:
    return BadgeEvent(UUID(int=n), device, NOW + timedelta(seconds=n), result, card)


def still(n: int, *, device: str = DOOR, cause: str = "line", picture: bytes | None = None) -> Still:
    return Still(UUID(int=n), device, NOW + timedelta(seconds=n), cause, jpeg() if picture is None else picture)


class Hub:
    """Ingest without a broker."""

    def __init__(self, database: Database, park: Park) -> None:
        self.owner = park.dsns.owner
        self.sessions = Sessions()
        self.counts = Counts()
        self.committer = Committer(database, self._judge, self.counts, NOW)

    async def _judge(self, tx: Transaction, changes: Sequence[Change], now: datetime) -> None:
        pass

    async def take(self, *messages: Message) -> Outcome:
        acts = [act for one in messages for act in self.sessions.take(one, NOW)]
        return await self.committer.commit([a for a in await events.developed(acts) if not isinstance(a, Ask)], NOW)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
async def hub(database: Database, park: Park) -> Hub:
    zone = park.file.zone[0].code
    devices = tuple(d.model_copy(update={"zone": zone if d.code == DOOR else None}) for d in park.file.device)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await surveillance.register(tx, park.site, park.file.model_copy(update={"device": devices}))
    return Hub(database, park)


@pytest.fixture
def edge() -> PretendEdge:
    return PretendEdge(devices={DOOR: "rs-em3", NO_ZONE: "rs-em3"})


def telling(edge: PretendEdge, event: Event, number: int | None = None) -> Message:
    return edge.data(DOOR, [], number=number, extra=[event_metric(event)])


async def test_badges_and_stills_are_kept_once_however_often_they_come(hub: Hub, edge: PretendEdge) -> None:
    outcome = await hub.take(
        *edge.births(),
        telling(edge, badge(1)),
        telling(edge, badge(2, result="forced", card=None)),
        telling(edge, still(3)),
    )
    assert outcome.acknowledge[GW] == ("spool-one", 3)
    edge.spool, edge.number = "spool-two", 0  # the same under other numbers: its file was saved into a new one
    again = [
        *edge.births(),
        telling(edge, badge(1)),
        telling(edge, badge(2, result="forced", card=None)),
        telling(edge, still(3)),
    ]
    hub.rows("UPDATE gateways SET spool = 'spool-two', committed = 0 RETURNING id")
    assert (await hub.take(*again)).acknowledge[GW] == ("spool-two", 3)
    assert hub.rows("SELECT submission_id, door, result FROM badge_events ORDER BY at") == [
        (UUID(int=1), DOOR, "granted"),
        (UUID(int=2), DOOR, "forced"),
    ]
    assert hub.rows("SELECT badge FROM badge_holders") == [("4711",)]
    assert hub.rows("SELECT id, camera, at, kind, source FROM stills") == [
        (UUID(int=3), DOOR, NOW + timedelta(seconds=3), "alarm", "plantroom/ingest")
    ]
    assert hub.rows("SELECT reason FROM quarantine") == []


async def test_a_bad_event_is_quarantined_its_number_counts_and_its_neighbours_are_kept(
    hub: Hub, edge: PretendEdge
) -> None:
    about = head(still(9))
    messages = [*edge.births()]
    messages += [
        telling(edge, badge(1, device=NO_ZONE)),
        telling(edge, badge(20)),
        telling(edge, badge(2, result="opened")),
    ]
    messages += [
        telling(edge, still(3, picture=b"\xff\xd8 no picture")),
        telling(edge, badge(4, device="NOBODY")),
        edge.data(DOOR, [], extra=[Metric(name=EVENT, value="[" * 900, datatype=DataType.STRING)]),
        edge.data(
            DOOR,
            [],
            extra=[Metric(name=EVENT, value=bytes(190_000), datatype=DataType.BYTES, properties={ABOUT: about})],
        ),
        telling(edge, BadgeEvent(UUID(int=7), DOOR, NOW + timedelta(days=2), "granted", "1")),
        edge.data(DOOR, [("energy", NOW, 5.0)]),
    ]
    outcome = await hub.take(*messages)
    assert outcome.acknowledge[GW] == ("spool-one", 9)
    assert hub.rows("SELECT submission_id FROM badge_events") == [(UUID(int=20),)]
    assert hub.rows("SELECT value FROM samples") == [(5.0,)]
    said = "\n".join(reason for (reason,) in hub.rows("SELECT reason FROM quarantine"))
    for words in (
        "watches no zone",
        "'NOBODY'",
        "its result is none of",
        "more than 180000",
        "not of the form",
        "future",
    ):
        assert words in said
    assert {bytes(payload) for (payload,) in hub.rows("SELECT payload FROM quarantine")} == {b""}  # no badge, no face


async def test_a_zone_that_the_site_file_moves_moves_for_the_door_and_is_recorded(
    hub: Hub, edge: PretendEdge, database: Database, park: Park
) -> None:
    other = park.file.zone[1].code
    devices = tuple(d.model_copy(update={"zone": other if d.code == DOOR else None}) for d in park.file.device)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await surveillance.register(tx, park.site, park.file.model_copy(update={"device": devices}))
    await hub.take(*edge.births(), telling(edge, badge(1)))
    assert hub.rows("SELECT z.code FROM badge_events e JOIN zones z ON z.id = e.zone_id") == [(other,)]
    said = hub.rows("SELECT details FROM audit_entries WHERE entity = 'device' AND entity_id = 'EM-A-MAIN'")
    assert [details["zone"] for (details,) in said if "zone" in details] == [park.file.zone[0].code, other]
