"""What a gateway tells of itself (spool, losses, clock), and previews of what comes again in its order."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from hub.alarms.rows import Change
from hub.ingest.acts import Address, Ask
from hub.ingest.commit import Committer, Outcome
from hub.ingest.counts import Counts
from hub.ingest.inbox import Message
from hub.ingest.session import Sessions
from hub.store.database import Database, Transaction
from rules.wire import topics
from rules.wire.sparkplug import DataType, Metric, Payload, encode
from rules.wire.topics import Topic, Verb
from tests.builders import Park
from tests.builders_wire import PretendEdge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MAIN = "EM-A-MAIN"
GW = Address("RIVERSIDE", "GW-1")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Hub:
    """Ingest without a broker."""

    def __init__(self, database: Database, park: Park) -> None:
        self.owner = park.dsns.owner
        self.sessions, self.counts = Sessions(), Counts()
        self.judged: list[tuple[float, float | None]] = []
        self.committer = Committer(database, self._judge, self.counts, NOW)

    async def _judge(self, _tx: Transaction, changes: Sequence[Change], _now: datetime) -> None:
        self.judged += [((change.at - NOW).total_seconds(), change.value) for change in changes]

    async def take(self, *messages: Message, now: datetime = NOW) -> Outcome:
        acts = [act for one in messages for act in self.sessions.take(one, now)]
        return await self.committer.commit([act for act in acts if not isinstance(act, Ask)], now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
async def hub(database: Database, park: Park) -> Hub:
    return Hub(database, park)


@pytest.fixture
def edge() -> PretendEdge:
    return PretendEdge()


def report(edge: PretendEdge, *, percent: int = 0, dropped: int = 0, ahead_ms: int = 0, late_ms: int = 0) -> Message:
    metrics = [
        Metric(name=name, value=value, datatype=DataType.INT64)
        for name, value in ((topics.DEPTH, 7), (topics.FILL, percent), (topics.DROPPED, dropped))
    ]
    said = NOW + timedelta(milliseconds=ahead_ms)
    payload = encode(Payload(said, edge.seq, tuple(metrics)))
    edge.seq = (edge.seq + 1) % 256
    topic = str(Topic(edge.site, Verb.NDATA, edge.gateway))
    return Message(topic, payload, len(payload), NOW + timedelta(milliseconds=late_ms))


def preview(edge: PretendEdge, seconds: float, value: float) -> Message:
    spool, edge.spool = edge.spool, ""  # an edge without a spool numbers nothing
    try:
        return edge.data(MAIN, [("energy", at(seconds), value)], number=edge.number)
    finally:
        edge.spool = spool


def acts_of(hub: Hub) -> list[tuple[str, dict[str, Any]]]:
    return hub.rows(
        "SELECT action, details FROM audit_entries WHERE entity = 'gateway' AND action <> 'spool bound' ORDER BY id"
    )


async def test_a_spool_that_fills_up_and_what_it_drops_are_recorded_once_for_each_burst(
    hub: Hub, edge: PretendEdge
) -> None:
    await hub.take(*edge.births(), report(edge, percent=79))
    assert acts_of(hub) == []
    await hub.take(report(edge, percent=80), report(edge, percent=95))
    await hub.take(report(edge, percent=100, dropped=50))
    await hub.take(report(edge, percent=100, dropped=90))
    assert acts_of(hub) == [
        ("spool nearly full", {"percent": 80, "frames": 7}),
        ("readings dropped", {"so_far": 50, "before": 0}),
    ]
    assert hub.rows("SELECT spool_percent, dropped, dropped_at FROM gateways") == [(100, 90, NOW)]
    await hub.take(report(edge, percent=20, dropped=90), now=at(3_000))
    await hub.take(report(edge, percent=99, dropped=95), now=at(9_000))
    assert [action for action, _ in acts_of(hub)][2:] == ["spool nearly full", "readings dropped"]
    assert hub.rows("SELECT dropped, dropped_at FROM gateways") == [(95, at(9_000))]


async def test_the_skew_of_a_gateway_s_clock_is_that_of_the_message_that_was_least_on_its_way(
    hub: Hub, edge: PretendEdge
) -> None:
    await hub.take(*edge.births(), *(report(edge, ahead_ms=-90_000, late_ms=late) for late in (900, 20, 5_000, 300)))
    assert hub.rows("SELECT skew_ms FROM gateways") == [(-90_020,)]
    await hub.take(*(report(edge, ahead_ms=1_500, late_ms=40) for _ in range(6)))
    assert hub.rows("SELECT skew_ms FROM gateways") == [(1_460,)]


async def test_nonsense_in_a_report_harms_nothing(hub: Hub, edge: PretendEdge) -> None:
    await hub.take(*edge.births(), report(edge, percent=-5, dropped=-9), report(edge, percent=10**9, dropped=2**62))
    assert hub.rows("SELECT spool_percent, dropped FROM gateways") == [(100, 2**62)]


async def test_a_preview_is_seen_and_judged_at_once_and_its_numbered_frame_finds_it_there(
    hub: Hub, edge: PretendEdge
) -> None:
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    outcome = await hub.take(preview(edge, 9, 9.0))
    assert outcome.acknowledge[GW] == ("spool-one", 1)
    assert hub.rows("SELECT value FROM latest") == [(9.0,)]
    outcome = await hub.take(
        *(edge.data(MAIN, [("energy", at(n), float(n))]) for n in range(2, 10)), preview(edge, 12, 12.0)
    )
    assert outcome.acknowledge[GW] == ("spool-one", 9)
    assert hub.judged == [(1, 1.0), (9, 9.0), (12, 12.0)]  # nobody looks back
    assert hub.rows("SELECT value FROM samples ORDER BY at") == [(float(n),) for n in (*range(1, 10), 12)]
    assert hub.rows("SELECT value FROM latest") == [(12.0,)]
    assert (hub.counts.stored, hub.counts.duplicates) == (10, 1)


async def test_a_spool_that_was_saved_from_a_damaged_one_speaks_for_it_at_once(hub: Hub, edge: PretendEdge) -> None:
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]), edge.data(MAIN, [("energy", at(2), 2.0)]))
    edge.spool, edge.number, edge.seq = "spool-two", 0, 0
    node = [
        Metric(name=topics.BD_SEQ, value=1, datatype=DataType.INT64),
        *(
            Metric(name=name, value=value, datatype=DataType.STRING)
            for name, value in ((topics.SPOOL, "spool-two"), (topics.SPOOL_BEFORE, "spool-one"))
        ),
    ]
    outcome = await hub.take(
        edge.message(Verb.NBIRTH, node),
        edge.device_birth(MAIN),
        edge.data(MAIN, [("energy", at(2), 2.0)]),
        edge.data(MAIN, [("energy", at(3), 3.0)]),
    )
    assert outcome.acknowledge[GW] == ("spool-two", 2)
    assert hub.rows("SELECT value FROM samples ORDER BY at") == [(1.0,), (2.0,), (3.0,)]
    assert [action for action, _ in acts_of(hub)] == ["spool taken over"]


async def test_an_empty_frame_moves_the_number_on(hub: Hub, edge: PretendEdge) -> None:
    outcome = await hub.take(*edge.births(), edge.data(MAIN, []), edge.data(MAIN, [("energy", at(2), 2.0)]))
    assert outcome.acknowledge[GW] == ("spool-one", 2)
