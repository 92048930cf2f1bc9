"""Messages of a pretend edge through sessions and committer into a real database."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from hub.alarms.rows import Change
from hub.ingest.acts import HEAD_BYTES, Address, Ask
from hub.ingest.commit import Committer, Outcome
from hub.ingest.counts import Counts
from hub.ingest.inbox import Message, message
from hub.ingest.line import RIVAL_SILENCE
from hub.ingest.session import Sessions
from hub.store.database import Database, Transaction
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX, DataType, Metric
from rules.wire.topics import Verb
from tests.builders import Park
from tests.builders_wire import PretendEdge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GW = Address("RIVERSIDE", "GW-1")
MAIN = "EM-A-MAIN"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@dataclass
class Hub:
    """Ingest without a broker."""

    database: Database
    owner: str
    counts: Counts = field(default_factory=Counts)
    judged: list[Change] = field(default_factory=list)
    judge_fails: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.sessions = Sessions()
        self.committer = Committer(self.database, self._judge, self.counts, NOW)

    async def _judge(self, tx: Transaction, changes: Sequence[Change], _now: datetime) -> None:
        if self.judge_fails:
            await tx.run(b"SELECT 1/0")
        self.judged.extend(changes)

    async def take(self, *messages: Message, now: datetime = NOW) -> Outcome:
        acts = [act for one in messages for act in self.sessions.take(one, now)]
        self.asks = [act.address for act in acts if isinstance(act, Ask)]
        return await self.committer.commit([act for act in acts if not isinstance(act, Ask)], now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner) as connection:
            return connection.execute(query.encode()).fetchall()

    def samples(self, code: str = f"{MAIN}.energy") -> list[tuple[float, float | None, int]]:
        rows = self.rows(
            "SELECT at, value, quality FROM samples s JOIN points p ON p.id = s.point_id "
            f"WHERE code = '{code}' ORDER BY at"
        )
        return [((when - NOW).total_seconds(), value, quality) for when, value, quality in rows]

    def reasons(self) -> list[str]:
        return [reason for (reason,) in self.rows("SELECT reason FROM quarantine ORDER BY id")]


@pytest.fixture
async def hub(database: Database, park: Park) -> Hub:
    return Hub(database, park.dsns.owner)


@pytest.fixture
def edge() -> PretendEdge:
    return PretendEdge()


def acknowledged(outcome: Outcome) -> tuple[str, int]:
    return outcome.acknowledge[GW]


async def test_a_frame_is_stored_becomes_latest_is_judged_and_acknowledged(hub: Hub, edge: PretendEdge) -> None:
    outcome = await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 10.25), ("power", at(1), 3.5)]))
    assert acknowledged(outcome) == ("spool-one", 1)
    assert hub.samples() == [(1, 10.25, 192)]
    assert [(change.measure, change.value) for change in hub.judged] == [("energy", 10.25), ("power", 3.5)]
    assert hub.rows("SELECT value FROM latest ORDER BY value") == [(3.5,), (10.25,)]
    assert hub.rows("SELECT spool, committed, online, seen_at FROM gateways") == [("spool-one", 1, True, NOW)]
    assert hub.rows(f"SELECT online FROM devices WHERE code = '{MAIN}'") == [(True,)]
    assert len(hub.rows("SELECT 1 FROM dirty_buckets")) == 2


async def test_frames_sent_again_or_ahead_are_stored_exactly_once(hub: Hub, edge: PretendEdge) -> None:
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]), edge.data(MAIN, [("energy", at(2), 2.0)]))
    outcome = await hub.take(
        edge.data(MAIN, [("energy", at(2), 2.0)], number=2),  # again
        edge.data(MAIN, [("energy", at(4), 4.0)], number=4),  # number 3 is missing
        edge.data(MAIN, [("energy", at(3), 3.0)], number=3),
    )
    assert acknowledged(outcome) == ("spool-one", 3)
    assert outcome.ahead == {GW}
    outcome = await hub.take(edge.data(MAIN, [("energy", at(4), 4.0)], number=4))
    assert acknowledged(outcome) == ("spool-one", 4)
    assert [value for _, value, _ in hub.samples()] == [1, 2, 3, 4]
    assert hub.counts.stored == 4
    assert hub.counts.duplicates == 1


async def test_the_same_reading_under_two_numbers_is_stored_once_and_the_first_wins(
    hub: Hub, edge: PretendEdge
) -> None:
    same = [("energy", at(1), 1.0)]
    await hub.take(*edge.births(), edge.data(MAIN, same), edge.data(MAIN, [("energy", at(1), 9.0)]))
    await hub.take(edge.data(MAIN, [("energy", at(1), 8.0), ("energy", at(2), None), ("power", at(2), 1.0)]))
    assert hub.samples() == [(1, 1.0, 192), (2, None, 0)]
    assert hub.counts.duplicates == 2


async def test_latest_never_goes_back_and_history_is_stored_but_not_judged(hub: Hub, edge: PretendEdge) -> None:
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(100), 100.0)]))
    history = [("energy", at(-90 * 86400 + n), float(n)) for n in range(50)]
    await hub.take(edge.data(MAIN, history, historical=True))
    await hub.take(edge.data(MAIN, [("energy", at(200), 200.0)], historical=True))
    assert len(hub.samples()) == 52
    assert [change.value for change in hub.judged] == [100.0]
    assert hub.rows("SELECT value FROM latest") == [(200.0,)]


async def test_a_poisoned_frame_is_consumed_its_good_readings_stored_and_the_rest_goes_on(
    hub: Hub, edge: PretendEdge
) -> None:
    wrong_alias = Metric(alias=999, at=at(1), value=1.0)
    outcome = await hub.take(
        *edge.births(),
        edge.data(
            MAIN, [("energy", at(1), 1.0), ("power", datetime(2099, 1, 1, tzinfo=UTC), 2.0)], extra=[wrong_alias]
        ),
        edge.data(MAIN, [("energy", at(2), float("inf")), ("power", at(2), float("nan"))]),
        edge.data(
            MAIN, [("power", at(3), 1.0)], extra=[Metric(name="energy", at=at(3), value="x", datatype=DataType.STRING)]
        ),
    )
    assert acknowledged(outcome) == ("spool-one", 3)
    assert hub.samples() == [(1, 1.0, 192), (2, None, 0)]
    said = " ".join(hub.reasons())
    assert "2099" in said
    assert "alias 999" in said
    assert "text 'x'" in said
    assert hub.counts.quarantined == 2


async def test_rubbish_is_quarantined_with_its_first_bytes_and_rationed(hub: Hub, edge: PretendEdge) -> None:
    topic = "spBv1.0/RIVERSIDE/DDATA/GW-1/EM-A-MAIN"
    big = message(topic, b"\x08" * (PAYLOAD_BYTES_MAX * 4))
    await hub.take(message(topic, b"\xff\xfe\x00rubbish"), big, message("spBv1.0/RIVERSIDE", b""))
    rows = hub.rows("SELECT reason, organisation_id IS NULL, length(payload) FROM quarantine ORDER BY id")
    assert [(unowned, size) for _, unowned, size in rows] == [(False, 10), (False, HEAD_BYTES), (True, 0)]
    assert "limit" in rows[1][0]
    await hub.take(*[message(topic, b"\xff")] * 100)
    assert hub.counts.quarantined == 103
    assert 20 <= len(hub.reasons()) <= 22
    outcome = await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    assert acknowledged(outcome) == ("spool-one", 1)


async def test_unknown_gateways_and_devices_are_named_and_do_not_hold_up_the_line(hub: Hub, park: Park) -> None:
    stranger = PretendEdge(gateway="GW-9")
    await hub.take(*stranger.births(), stranger.data(MAIN, [("energy", at(1), 1.0)]))
    edge = PretendEdge(devices={"EM-GHOST": "rs-em3", MAIN: "rs-em3"})
    outcome = await hub.take(
        *edge.births(), edge.data("EM-GHOST", [("energy", at(1), 1.0)]), edge.data(MAIN, [("energy", at(1), 2.0)])
    )
    assert acknowledged(outcome) == ("spool-one", 2)
    assert hub.samples() == [(1, 2.0, 192)]
    said = hub.reasons()
    assert len(said) == 2
    assert "'GW-9' of site 'RIVERSIDE' is not registered" in said[0]
    assert "'EM-GHOST' is not registered at gateway GW-1" in said[1]
    assert hub.rows("SELECT DISTINCT organisation_id FROM quarantine") == [(park.organisation,)]


async def test_a_hub_that_was_restarted_asks_for_births_and_loses_nothing(hub: Hub, edge: PretendEdge) -> None:
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    hub.restart()
    outcome = await hub.take(edge.data(MAIN, [("energy", at(2), 2.0)]))
    assert hub.asks == [GW]
    assert outcome.acknowledge == {}
    outcome = await hub.take(*edge.births(committed=1), edge.data(MAIN, [("energy", at(2), 2.0)], number=2))
    assert acknowledged(outcome) == ("spool-one", 2)
    assert [value for _, value, _ in hub.samples()] == [1, 2]


@pytest.mark.parametrize("signs", [True, False])
async def test_two_edges_with_one_name_do_not_mix_and_the_newcomer_waits(
    hub: Hub, edge: PretendEdge, signs: bool
) -> None:
    rival = PretendEdge(spool="spool-two", bd_seq=7)
    edge.signs = rival.signs = signs
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    if not signs:  # then only sequence numbers tell the two apart, which must not be the same
        await hub.take(edge.device_birth(MAIN))
    outcome = await hub.take(*rival.births(), rival.data(MAIN, [("energy", at(1.5), 666.0)]), now=at(60))
    assert outcome.acknowledge == {}
    outcome = await hub.take(edge.data(MAIN, [("energy", at(2), 2.0)]), now=at(61))
    assert acknowledged(outcome) == ("spool-one", 2)
    assert hub.rows("SELECT rival_spool FROM gateways") == [("spool-two",)]
    assert len(hub.reasons()) == 1
    assert "Two edges use the name GW-1" in hub.reasons()[0]
    later = at(61) + RIVAL_SILENCE + timedelta(seconds=1)
    outcome = await hub.take(*rival.births(), rival.data(MAIN, [("energy", at(3), 3.0)], number=1), now=later)
    assert acknowledged(outcome) == ("spool-two", 1)
    assert [value for _, value, _ in hub.samples()] == [1, 2, 3]
    assert ("spool taken over",) in hub.rows("SELECT action FROM audit_entries")


async def test_an_edge_that_has_forgotten_what_we_lack_goes_on_and_the_loss_is_said(
    hub: Hub, edge: PretendEdge
) -> None:
    await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    outcome = await hub.take(*edge.births(committed=10), edge.data(MAIN, [("energy", at(11), 11.0)], number=11))
    assert acknowledged(outcome) == ("spool-one", 11)
    assert "no longer has the frames 2 to 10" in hub.reasons()[0]


async def test_deaths_turn_devices_off_and_an_old_will_changes_nothing(hub: Hub, edge: PretendEdge) -> None:
    await hub.take(*edge.births(), edge.device_death(MAIN))
    state = (
        "SELECT g.online, d.online FROM gateways g JOIN devices d ON d.gateway_id = g.id WHERE d.code = '" + MAIN + "'"
    )
    assert hub.rows(state) == [(True, False)]
    await hub.take(edge.device_birth(MAIN))
    assert hub.rows(state) == [(True, True)]
    await hub.take(PretendEdge(bd_seq=0).death())
    assert hub.rows(state) == [(True, True)]
    await hub.take(edge.death())
    assert hub.rows(state) == [(False, False)]


async def test_an_edge_of_another_maker_is_stored_without_numbers_and_gets_points(hub: Hub) -> None:
    foreign = PretendEdge(spool="")
    outcome = await hub.take(*foreign.births(), foreign.data(MAIN, [("energy", at(1), 1.0)]))
    await hub.take(foreign.data(MAIN, [("energy", at(1), 1.0)]))
    assert outcome.acknowledge == {}
    assert hub.samples() == [(1, 1.0, 192)]


async def test_births_make_and_change_points_but_a_bare_name_changes_nothing(hub: Hub, edge: PretendEdge) -> None:
    number, *points = (Metric(name=name, alias=n) for n, name in enumerate(("Plantroom/Number", "energy"), 1))
    reactive = Metric(name="reactive", alias=77, properties={"engUnit": "kvar", "plantroom.kind": "gauge"})
    power = Metric(name="power", alias=78, properties={"engUnit": "W"})
    crooked = Metric(name="crooked", alias=79, properties={"plantroom.resolution": "-1"})
    await hub.take(
        edge.births()[0],
        PretendEdge(seq=1).message(Verb.DBIRTH, [number, *points, reactive, power, crooked], MAIN),
    )
    rows = hub.rows(f"SELECT measure, kind, unit FROM points WHERE code LIKE '{MAIN}.%' ORDER BY measure")
    assert rows == [("energy", "counter", "kWh"), ("power", "gauge", "W"), ("reactive", "gauge", "kvar")]
    assert "'crooked' has resolution '-1'" in hub.reasons()[0]


async def test_readings_are_stored_even_where_judging_them_fails(
    hub: Hub, edge: PretendEdge, caplog: pytest.LogCaptureFixture
) -> None:
    hub.judge_fails = True
    outcome = await hub.take(*edge.births(), edge.data(MAIN, [("energy", at(1), 1.0)]))
    assert acknowledged(outcome) == ("spool-one", 1)
    assert hub.samples() == [(1, 1.0, 192)]
    assert hub.counts.judge_failures == 1
    assert "judging readings has failed" in caplog.text


async def test_two_hundred_thousand_historical_readings_go_in_fast(hub: Hub, edge: PretendEdge) -> None:
    frames, per_frame = 400, 500
    messages = [
        edge.data(
            MAIN,
            [("energy", at(-5_000_000 + 15 * (n * per_frame + k)), 0.01 * k) for k in range(per_frame)],
            historical=True,
        )
        for n in range(frames)
    ]
    edge.number = 0
    births = edge.births()
    edge.seq = 0
    await hub.take(*births)
    # the messages were numbered before the births: give them the sequence that follows
    hub.sessions._edges[GW]["spool-one"].expected = 0
    began_s = time.perf_counter()
    acts = [act for one in messages for act in hub.sessions.take(one, NOW)]
    decoded_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    for start in range(0, frames, 100):
        await hub.committer.commit(acts[start : start + 100], NOW)
    committed_s = time.perf_counter() - began_s
    total = frames * per_frame
    print(f"decode {total / decoded_s:,.0f} readings/s, commit {total / committed_s:,.0f} readings/s")  # noqa: T201
    assert hub.rows("SELECT count(*) FROM samples") == [(total,)]
    assert hub.rows("SELECT committed FROM gateways") == [(frames,)]
    assert total / committed_s > 10_000  # far below what it does; catches a slip into row-by-row
