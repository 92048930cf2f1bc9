"""Readings become alarms: delays, silence, restarts and late data, against the real database."""

import psycopg
import pytest

from hub.alarms import service as alarms
from hub.alarms.definitions import load
from hub.alarms.judgement import judge
from hub.alarms.rows import Change
from hub.alarms.withdrawal import NOTE, withdraw
from hub.errors import ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Actor, Database
from rules.detect.alarm import Turn
from rules.detect.book import RuleBook
from rules.detect.rule import InvalidRulesError
from tests.builders import ENGINEER, acting
from tests.judging import RIVERSIDE_RULES, Judge, air, moment, without_silence

DEVIATION = "supply-air-temperature-deviation"


@pytest.fixture
def judging(database, park):
    return Judge(database, park)


@pytest.fixture
def values(database, park):
    """A judge who looks only at values."""
    return Judge(database, park, without_silence())


async def _active(judging):
    async with judging.database.transaction(judging.park.organisation, ENGINEER) as tx:
        return await alarms.active(tx)


def _said(turned):
    return [(t.rule, t.turn, t.at) for t in turned]


async def test_an_on_delay_runs_across_batches_and_the_alarm_says_what_was_seen(judging):
    assert await judging.hear(*air(0, 16.0)) == []
    assert await judging.hear(*air(10, 22.0)) == []
    assert await judging.hear((13, "AHU-A.supply_temp", 22.5)) == []
    assert _said(await judging.hear((16, "AHU-A.supply_temp", 23.0))) == [(DEVIATION, Turn.RAISED, moment(15))]
    (alarm,) = await _active(judging)
    assert (alarm.device, alarm.space, alarm.point, alarm.unit) == ("AHU-A", "A", "AHU-A.supply_temp", "°C")
    assert (alarm.priority, alarm.rule_version) == ("high", 1)
    assert (alarm.value, alarm.threshold) == (23.0, 19.0)
    assert (alarm.condition_began_at, alarm.raised_at) == (moment(10), moment(15))


async def test_one_batch_gives_the_same_alarms_as_many(judging):
    whole = [*air(0, 16.0), *air(10, 22.0), *air(12, 17.0), *air(20, 22.0), *air(30, 16.0), *air(41, 16.0)]
    turned = await judging.hear(*whole[::-1])
    assert _said(turned) == [(DEVIATION, Turn.RAISED, moment(25)), (DEVIATION, Turn.CLEARED, moment(40))]
    (alarm,) = await _active(judging)  # cleared, but nobody has seen it yet
    assert (alarm.raised_at, alarm.cleared_at) == (moment(25), moment(40))


async def test_a_value_within_the_deadband_does_not_clear_and_bad_quality_keeps_the_alarm(values):
    await values.hear(*air(0, 22.0))
    await values.hear((6, "AHU-A.supply_temp", 22.0))
    assert await values.hear((10, "AHU-A.supply_temp", 18.6)) == []
    assert await values.wait(30) == []
    await values.hear((31, "AHU-A.supply_temp", 18.4))
    await values.hear((35, "AHU-A.supply_temp", None))
    assert await values.wait(50) == []
    assert _said(await values.hear((51, "AHU-A.supply_temp", 18.4))) == [(DEVIATION, Turn.CLEARED, moment(51))]
    assert [a.standing for a in await _active(values)] == [False]


async def test_the_process_may_restart_while_a_delay_runs(values, dsns):
    await values.hear(*air(0, 22.0))
    other = Database(dsns.hub)
    await other.open()
    try:
        restarted = Judge(other, values.park, values.book, heard_since=moment(3))
        assert await restarted.wait(4) == []
        assert _said(await restarted.wait(30)) == [(DEVIATION, Turn.RAISED, moment(5))]
        (alarm,) = await _active(restarted)
        assert (alarm.value, alarm.threshold) == (22.0, 19.0)
    finally:
        await other.close()
    assert await values.wait(30) == []


async def test_a_device_that_was_heard_and_falls_silent_raises_once_and_clears_when_it_speaks(judging):
    await judging.hear((0, "EM-A-MAIN.power", 40.0), (0, "EM-B-MAIN.power", 40.0))
    await judging.hear((10, "EM-B-MAIN.power", 40.0))
    assert await judging.wait(14) == []
    assert _said(await judging.wait(15)) == [("device-stale", Turn.RAISED, moment(15))]
    assert await judging.wait(16) == []
    assert [a.device for a in await _active(judging)] == ["EM-A-MAIN"]
    await judging.hear((17, "EM-A-MAIN.power", None))
    assert await judging.wait(18) == []  # bad readings are no sign of life
    assert _said(await judging.hear((19, "EM-A-MAIN.power", 41.0))) == [("device-stale", Turn.CLEARED, moment(19))]


async def test_a_hub_that_was_away_does_not_blame_the_devices(judging):
    await judging.hear((0, "EM-A-MAIN.power", 40.0))
    judging.heard_since = moment(600)
    assert await judging.wait(601) == []
    assert await judging.wait(614) == []
    assert _said(await judging.wait(615)) == [("device-stale", Turn.RAISED, moment(615))]


async def test_history_that_is_brought_in_wakes_nobody_but_ends_a_silence(judging):
    await judging.store((0, "EM-A-MAIN.power", 40.0))
    assert await judging.wait(500) == []  # never heard live
    await judging.hear((501, "EM-A-MAIN.power", 40.0))
    assert len(await judging.wait(600)) == 1
    await judging.store((595, "EM-A-MAIN.power", 40.0))
    assert [t.turn for t in await judging.wait(601)] == [Turn.CLEARED]


async def test_an_alarm_leaves_the_list_when_it_is_cleared_and_acknowledged(values):
    await values.hear((0, "AHU-A.freeze_trip", 1.0))
    organisation = values.park.organisation
    (alarm,) = await _active(values)
    assert (alarm.priority, alarm.value, alarm.threshold) == ("critical", 1.0, 1.0)
    async with values.database.transaction(organisation, ENGINEER) as tx:
        seen = await alarms.acknowledge(tx, alarm.id, moment(5), " on my way ")
        again = await alarms.acknowledge(tx, alarm.id, moment(6), "twice")
    assert seen == again
    assert (seen.acknowledged_by, seen.acknowledged_at, seen.comment) == ("test-engineer", moment(5), "on my way")
    assert [a.id for a in await _active(values)] == [alarm.id]
    await values.hear((10, "AHU-A.freeze_trip", 0.0))
    assert [t.turn for t in await values.wait(70)] == [Turn.CLEARED]
    assert await _active(values) == []
    async with values.database.transaction(organisation, ENGINEER) as tx:
        assert [e.event for e in await alarms.journal(tx, alarm.id)] == ["raised", "acknowledged", "cleared"]
        assert [a.id for a in await alarms.history(tx, moment(1))] == [alarm.id]
        assert await alarms.history(tx, moment(0)) == []


async def test_only_those_in_charge_acknowledge(judging):
    await judging.hear((0, "AHU-A.freeze_trip", 1.0))
    (alarm,) = await _active(judging)
    for actor in (acting("w", "technician"), acting("t", "tenant"), Actor("plantroom/jobs")):
        async with judging.database.transaction(judging.park.organisation, actor) as tx:
            with pytest.raises(ForbiddenError, match="engineer or administrator"):
                await alarms.acknowledge(tx, alarm.id, moment(1))
    async with judging.database.transaction(judging.park.organisation, ENGINEER) as tx:
        with pytest.raises(InvalidError, match="500 characters"):
            await alarms.acknowledge(tx, alarm.id, moment(1), "x" * 501)
        with pytest.raises(NotFoundError):
            await alarms.one(tx, judging.park.site)


async def test_a_quiet_batch_costs_four_queries_and_an_alarm_is_announced(judging, dsns, monkeypatch):
    polls = [(0.0, code, 5.0) for code in judging.park.points if not code.startswith("AHU")]
    await judging.hear(*polls)
    asked = []
    real = psycopg.AsyncCursor.execute

    async def counting(self, query, *args, **kwargs):
        asked.append(query)
        return await real(self, query, *args, **kwargs)

    changes = [
        Change(p, judging.park.devices[c.rpartition(".")[0]], c.rpartition(".")[2], moment(1 + n), 5.0, 192)
        for c, p in judging.park.points.items()
        if not c.startswith("AHU")
        for n in range(18)
    ]
    assert len(changes) > 1000
    async with judging.database.transaction(judging.park.organisation) as tx:
        monkeypatch.setattr(psycopg.AsyncCursor, "execute", counting)
        assert await judge(tx, judging.book, changes, moment(20)) == []
        monkeypatch.undo()
    assert len([query for query in asked if not query.startswith(b"SET LOCAL ROLE")]) == 4
    with psycopg.connect(dsns.hub, autocommit=True) as listener:
        listener.execute("LISTEN plantroom_live")
        await judging.hear((30, "AHU-A.freeze_trip", 1.0))
        kinds = [n.payload for n in listener.notifies(timeout=2, stop_after=1)]
    assert '"kind" : "alarm"' in kinds[0]
    assert str(judging.park.organisation) in kinds[0]


async def test_another_organisation_sees_no_alarm(judging, dsns):
    await judging.hear((0, "AHU-A.freeze_trip", 1.0))
    with psycopg.connect(dsns.owner) as owner:
        other = owner.execute(
            "INSERT INTO organisations (code, name_zh, name_en) VALUES ('o', 'o', 'o') RETURNING id"
        ).fetchone()[0]
    async with judging.database.transaction(other, ENGINEER) as tx:
        assert await alarms.active(tx) == []


def test_a_rule_file_that_cannot_be_used_is_named(tmp_path):
    broken = tmp_path / "x.rules.yaml"
    with pytest.raises(InvalidRulesError, match=r"x\.rules\.yaml: the rule file cannot be read"):
        load([broken])
    broken.write_text("rules: [{code: 1}]")
    with pytest.raises(InvalidRulesError, match=r"x\.rules\.yaml: Rule '1': 'code'"):
        load([broken])
    assert len(load([RIVERSIDE_RULES]).rules) == len(load().rules) + 1


async def test_an_alarm_of_a_rule_that_was_withdrawn_clears_with_a_note(judging):
    await judging.hear((0, "AHU-A.freeze_trip", 1.0), (0, "EM-A-MAIN.power", 1.0))
    (alarm,) = await _active(judging)
    async with judging.database.transaction(judging.park.organisation) as tx:
        assert await withdraw(tx, judging.book, moment(5)) == []
        rest = RuleBook(tuple(r for r in judging.book.rules if r.code != alarm.rule))
        assert _said(await withdraw(tx, rest, moment(5))) == [(alarm.rule, Turn.CLEARED, moment(5))]
        assert [e.note for e in await alarms.journal(tx, alarm.id)][-1] == NOTE
        assert (await alarms.one(tx, alarm.id)).cleared_at == moment(5)
