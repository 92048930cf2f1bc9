"""What the hub makes of single messages, without a database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hub.ingest import reading
from hub.ingest.acts import Address, Ask, DeviceBorn, DeviceDied, Frame, GatewayBorn, GatewayDied, Rejected, Report
from hub.ingest.inbox import Message, message, reconnected
from hub.ingest.session import ASK_EVERY, Sessions
from rules.model.quality import Quality
from rules.wire import topics
from rules.wire.sparkplug import DataType, Metric
from rules.wire.topics import Verb
from tests.builders_wire import PretendEdge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MAIN = "EM-A-MAIN"


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def edge() -> PretendEdge:
    return PretendEdge()


def take(sessions: Sessions, *messages: Message, now: datetime = NOW) -> list[object]:
    return [act for one in messages for act in sessions.take(one, now)]


def test_births_data_and_deaths_become_acts_in_order(sessions: Sessions, edge: PretendEdge) -> None:
    acts = take(
        sessions,
        *edge.births(committed=4),
        edge.data(MAIN, [("energy", NOW, 1.5)]),
        edge.device_death(MAIN),
        edge.death(),
    )
    assert [type(act) for act in acts] == [GatewayBorn, DeviceBorn, Frame, DeviceDied, GatewayDied]
    frame = acts[2]
    assert isinstance(frame, Frame)
    assert (frame.speaker.spool, frame.speaker.forgotten, frame.number) == ("spool-one", 4, 1)
    assert frame.samples.rows() == (("energy", NOW, 1.5, 192, False),)


def test_a_lost_message_makes_the_hub_ask_for_births_at_most_every_five_seconds(
    sessions: Sessions, edge: PretendEdge
) -> None:
    take(sessions, *edge.births())
    edge.data(MAIN, [("energy", NOW, 1.0)])  # lost on the way
    frames = [edge.data(MAIN, [("energy", NOW, 1.0)]) for _ in range(3)]
    assert take(sessions, *frames) == [Ask(Address("RIVERSIDE", "GW-1"))]
    assert take(sessions, *frames, now=NOW + ASK_EVERY) == [Ask(Address("RIVERSIDE", "GW-1"))]
    acts = take(sessions, *edge.births(), edge.data(MAIN, [("energy", NOW, 1.0)]))
    assert isinstance(acts[-1], Frame)


def test_a_new_connection_to_the_broker_starts_from_nothing(sessions: Sessions, edge: PretendEdge) -> None:
    take(sessions, *edge.births(), reconnected())
    assert isinstance(take(sessions, edge.data(MAIN, [("energy", NOW, 1.0)]))[0], Ask)


def test_data_of_a_device_that_was_not_born_asks_for_births(sessions: Sessions, edge: PretendEdge) -> None:
    assert isinstance(take(sessions, edge.births()[0], PretendEdge(seq=1).data(MAIN, []))[-1], Ask)


def test_two_unsigned_edges_at_the_same_sequence_number_both_start_anew(sessions: Sessions, edge: PretendEdge) -> None:
    rival = PretendEdge(spool="spool-two")
    take(sessions, *edge.births(), *rival.births())
    assert isinstance(take(sessions, edge.data(MAIN, [("energy", NOW, 1.0)]))[0], Ask)


def test_signed_edges_are_told_apart_by_their_spool(sessions: Sessions) -> None:
    edges = [PretendEdge(spool=spool, signs=True) for spool in ("one", "two")]
    take(sessions, *edges[0].births(), *edges[1].births())
    frames = take(sessions, *(edge.data(MAIN, [("energy", NOW, 1.0)]) for edge in edges))
    assert [frame.speaker.spool for frame in frames if isinstance(frame, Frame)] == ["one", "two"]


def test_a_report_keeps_a_step_back_of_the_clock(sessions: Sessions, edge: PretendEdge) -> None:
    take(sessions, *edge.births())
    said = [
        Metric(name=topics.DEPTH, value=7, datatype=DataType.INT64),
        Metric(name=topics.CLOCK, value=-3_600_000, datatype=DataType.INT64),
    ]
    [report] = take(sessions, edge.message(Verb.NDATA, said))
    assert isinstance(report, Report)
    assert (report.depth, report.clock_step_ms) == (7, -3_600_000)


def test_commands_are_left_alone_and_strange_topics_and_texts_are_rejected(
    sessions: Sessions, edge: PretendEdge
) -> None:
    assert take(sessions, edge.message(Verb.NCMD, [])) == []
    long_spool = Metric(name=topics.SPOOL, value="s" * 65, datatype=DataType.STRING)
    acts = take(
        sessions,
        message("spBv1.0/RIVERSIDE/DDATA/GW-1", b""),
        edge.message(Verb.NDATA, [], seq=False),
        edge.message(Verb.NBIRTH, [long_spool]),
    )
    assert [type(act) for act in acts] == [Rejected] * 3


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (NOW + reading.AHEAD_OF_SPOOL_MAX + timedelta(seconds=1), "ahead of"),
        (NOW - reading.BEHIND_MAX - timedelta(seconds=1), "behind"),
        (None, "no time"),
    ],
)
def test_impossible_times_are_named(sessions: Sessions, edge: PretendEdge, at: datetime | None, said: str) -> None:
    take(sessions, *edge.births())
    metric = Metric(alias=edge.aliases[MAIN, "energy"], at=at, value=1.0)
    [frame] = take(sessions, edge.data(MAIN, [], extra=[metric]))
    assert isinstance(frame, Frame)
    assert frame.samples.rows() == ()
    assert said in frame.faults[0][1]
    assert frame.number == 1


@pytest.mark.parametrize(
    ("value", "quality", "stored"),
    [
        (1.0, Quality.UNCERTAIN, (1.0, 64)),
        (1.0, Quality.BAD, (None, 0)),
        (None, Quality.GOOD, (None, 0)),
        (None, Quality.STALE, (None, 500)),
        (float("nan"), Quality.GOOD, (None, 0)),
        (float("-inf"), Quality.GOOD, (None, 0)),
    ],
)
def test_missing_is_never_zero(
    sessions: Sessions, edge: PretendEdge, value: float | None, quality: Quality, stored: tuple[float | None, int]
) -> None:
    take(sessions, *edge.births())
    [frame] = take(sessions, edge.data(MAIN, [("energy", NOW, value)], quality=quality))
    assert isinstance(frame, Frame)
    assert frame.samples.rows()[0][2:4] == stored


def test_a_birth_says_what_a_point_is(sessions: Sessions, edge: PretendEdge) -> None:
    born = take(sessions, *edge.births())[-1]
    assert isinstance(born, DeviceBorn)
    energy = born.birth.specs["energy"]
    assert (energy.kind, energy.unit, energy.resolution, energy.modulus) == (
        "counter", "kWh", Decimal("0.01"), Decimal("1000000.00"),
    )  # fmt: skip
    assert topics.NUMBER not in born.birth.specs


@pytest.mark.parametrize(("spool", "stored"), [("spool-one", 1), ("", 0)])
def test_an_own_edge_may_be_ahead_of_a_clock_that_was_set_back_by_an_hour(
    sessions: Sessions, spool: str, stored: int
) -> None:
    edge = PretendEdge(spool=spool)
    take(sessions, *edge.births())
    [frame] = take(sessions, edge.data(MAIN, [("energy", NOW + timedelta(hours=1), 1.0)]))
    assert isinstance(frame, Frame)
    assert len(frame.samples) == stored
