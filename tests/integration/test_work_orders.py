"""From alarm to technician to telemetry that confirms the repair, against the real database."""

import asyncio
from uuid import uuid4

import pytest

from hub.access import service as access
from hub.alarms import service as alarms
from hub.audit import service as audit
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.work import service as work
from hub.work.dispatch import dispatch_for
from rules.work.order import Verb
from tests.builders import ENGINEER, acting
from tests.judging import Judge, air, moment, without_silence


@pytest.fixture
async def site(database, park):
    """The training building with its technicians."""
    ids = {}
    async with database.transaction(park.organisation, ENGINEER) as tx:
        for one in park.file.technician:
            ids[one.login] = await access.add_user(
                tx, one.login, one.name, "technician", uuid4().hex, skills=one.skills, zones=one.zones
            )
    return Site(database, park, ids)


class Site:
    """People at work: who does what at which second."""

    def __init__(self, database, park, ids):
        self.judge = Judge(database, park, without_silence())
        self.database, self.organisation, self.ids = database, park.organisation, ids

    def actor(self, login):
        return acting(login, "technician", self.ids[login]) if login in self.ids else acting(login, "engineer")

    async def do(self, login, verb, second, **more):
        async with self.database.transaction(self.organisation, self.actor(login)) as tx:
            order_id = more.pop("order_id", None) or (await work.orders(tx, open_only=False))[0].id
            submission = more.pop("submission_id", None) or uuid4()
            return await work.act(tx, order_id, verb, submission, moment(second), **more)

    async def orders(self, *, open_only=True):
        async with self.database.transaction(self.organisation, ENGINEER) as tx:
            return await work.orders(tx, open_only=open_only)

    async def history(self, order):
        async with self.database.transaction(self.organisation, ENGINEER) as tx:
            return [(e.actor, e.verb, e.to_state) for e in await work.history(tx, order.id)]

    async def break_air(self, second=0):
        await self.judge.hear(*air(second, 24.0))
        await self.judge.hear((second + 6, "AHU-A.supply_temp", 24.0))
        (order,) = await self.orders()
        return order


async def test_the_whole_walk_from_alarm_to_verified(site):
    order = await site.break_air()
    assert (order.number, order.state, order.assignee, order.zone) == (1, "assigned", "wang.jianguo", "A")
    assert (order.priority, order.device, order.skill) == ("high", "AHU-A", "hvac")
    assert "王建国 具备“暖通”技能" in order.assigned_because_zh
    assert "least open work (0) of 1" in order.assigned_because_en
    await site.do("wang.jianguo", "accept", 20)
    await site.do("wang.jianguo", "arrive", 30)
    done = await site.do("wang.jianguo", "complete", 40, note=" valve freed ")
    assert (done.accepted_at, done.arrived_at, done.done_at) == (moment(20), moment(30), moment(40))
    await site.judge.wait(45)
    assert [o.state for o in await site.orders()] == ["done"]  # the air is still warm
    await site.judge.hear((50, "AHU-A.supply_temp", 16.0))
    await site.judge.wait(59)
    assert [o.state for o in await site.orders()] == ["done"]  # the off-delay runs
    await site.judge.wait(60)
    assert await site.orders() == []
    (verified,) = await site.orders(open_only=False)
    assert (verified.state, verified.verified_at) == ("verified", moment(60))
    assert (await site.do("engineer", "close", 99)).state == "closed"
    assert await site.history(order) == [
        ("plantroom/ingest", "request", "requested"),
        ("plantroom/ingest", "assign", "assigned"),
        ("wang.jianguo", "accept", "accepted"),
        ("wang.jianguo", "arrive", "arrived"),
        ("wang.jianguo", "complete", "done"),
        ("plantroom/jobs", "verify", "verified"),
        ("engineer", "close", "closed"),
    ]
    async with site.database.transaction(site.organisation, ENGINEER) as tx:
        entries = await audit.of_entity(tx, "work order", order.id)
        assert [e.action for e in entries[::-1]] == [row[1] for row in await site.history(order)]
        assert "valve freed" in [e.note_zh for e in await work.history(tx, order.id)]


async def test_a_fault_that_persists_reopens_the_order_for_the_same_technician(site):
    order = await site.break_air()
    for verb, second in (("accept", 20), ("arrive", 30), ("complete", 40)):
        await site.do("wang.jianguo", verb, second)
    await site.judge.wait(79)
    assert [o.state for o in await site.orders()] == ["done"]
    await site.judge.wait(80)  # 30 s to settle and 10 s of off-delay have passed
    (again,) = await site.orders()
    assert (again.id, again.state, again.assignee) == (order.id, "assigned", "wang.jianguo")
    assert (again.reopened_count, again.accepted_at, again.done_at) == (1, None, None)
    assert [row[1:] for row in await site.history(order)][-2:] == [("reopen", "reopened"), ("assign", "assigned")]


async def test_an_alarm_that_comes_again_joins_the_open_order(site):
    order = await site.break_air()
    await site.judge.hear((20, "AHU-A.supply_temp", 16.0))
    await site.judge.wait(31)
    assert (await site.break_air(40)).id == order.id
    async with site.database.transaction(site.organisation, ENGINEER) as tx:
        raised = await alarms.history(tx, moment(999))
        links = await work.of_alarms(tx, [a.id for a in raised])
    assert len(raised) == 2
    assert {link.order_id for link in links.values()} == {order.id}
    assert set(links) == {a.id for a in raised}


async def test_the_same_events_twice_open_one_order(site):
    await site.judge.hear(*air(0, 24.0))
    turned = await site.judge.hear((6, "AHU-A.supply_temp", 24.0))
    async with site.database.transaction(site.organisation) as tx:
        (same,) = await dispatch_for(tx, site.judge.book, turned, moment(7))
    assert [o.id for o in await site.orders()] == [same.id]


async def test_ingest_and_several_jobs_at_once_raise_one_alarm_and_open_one_order(site):
    await site.judge.hear(*air(0, 24.0))
    rounds = [site.judge.wait(6 + n) for n in range(4)] + [site.judge.hear((6, "AHU-A.supply_temp", 24.0))]
    turned = [event for events in await asyncio.gather(*rounds) for event in events]
    assert [event.at for event in turned] == [moment(5)]
    assert [order.number for order in await site.orders(open_only=False)] == [1]


async def test_a_new_fault_after_the_repair_gets_a_new_order_with_the_next_number(site):
    order = await site.break_air()
    await site.do("engineer", "stop", 10)
    await site.judge.hear((20, "AHU-A.supply_temp", 16.0))
    await site.judge.wait(31)
    new = await site.break_air(40)
    assert (new.id != order.id, new.number) == (True, 2)


async def test_a_step_that_is_sent_twice_counts_once(site):
    order = await site.break_air()
    submission = uuid4()
    first = await site.do("wang.jianguo", "accept", 20, submission_id=submission)
    second = await site.do("wang.jianguo", "accept", 25, submission_id=submission)
    assert first == second
    assert len(await site.history(order)) == 3
    with pytest.raises(ConflictError, match="is accepted; only one that is assigned"):
        await site.do("wang.jianguo", "accept", 26)
    with pytest.raises(ConflictError, match="another work order"):
        await site.do("engineer", "stop", 27, submission_id=submission)


async def test_only_the_assignee_or_those_in_charge_act(site):
    order = await site.break_air()
    with pytest.raises(ForbiddenError, match="technician to whom it is assigned or an engineer"):
        await site.do("li.qiang", "accept", 20, order_id=order.id)
    with pytest.raises(ForbiddenError, match="Only an engineer or administrator can stop"):
        await site.do("wang.jianguo", "stop", 20)
    with pytest.raises(InvalidError, match="nothing that one can do"):
        await site.do("engineer", "explode", 20)
    with pytest.raises(InvalidError, match="active technician"):
        await site.do("engineer", "assign", 20, assignee_id=uuid4())
    with pytest.raises(NotFoundError):
        await site.do("engineer", "accept", 20, order_id=uuid4())
    with pytest.raises(InvalidError, match="2000 characters"):
        await site.do("wang.jianguo", "accept", 20, note="x" * 2001)


async def test_a_technician_sees_his_own_orders_and_the_buttons_for_them(site):
    order = await site.break_air()
    async with site.database.transaction(site.organisation, site.actor("wang.jianguo")) as tx:
        (own,) = await work.mine(tx, moment(10))
        assert work.next_steps(tx, own) == (Verb.ACCEPT, Verb.RETURN)
    async with site.database.transaction(site.organisation, site.actor("li.qiang")) as tx:
        assert await work.mine(tx, moment(10)) == []
        with pytest.raises(NotFoundError):
            await work.one(tx, order.id)


async def test_an_order_given_back_goes_to_nobody_twice_and_says_why(site):
    order = await site.break_air()
    returned = await site.do("wang.jianguo", "return", 20, note="no parts")
    assert (returned.state, returned.assignee) == ("returned", None)
    assert "has given it back" in returned.assigned_because_en
    assigned = await site.do("engineer", "assign", 30, assignee_id=site.ids["chen.min"])
    assert (assigned.state, assigned.assignee) == ("assigned", "chen.min")
    assert assigned.assigned_because_en == "Assigned by engineer."
    async with site.database.transaction(site.organisation, ENGINEER) as tx:
        loads = {t.login: t.load for t in await work.technicians(tx, order.id)}
    assert loads == {"wang.jianguo": 0, "chen.min": 1, "li.qiang": 0}
    assert [row[1] for row in await site.history(order)] == ["request", "assign", "return", "assign"]


async def test_without_a_technician_the_order_waits_and_says_why(database, park):
    site = Site(database, park, {})
    order = await site.break_air()
    assert (order.state, order.assignee) == ("requested", None)
    assert order.assigned_because_en == "Unassigned: no technician has the skill 'HVAC'; assign it by hand."


async def test_an_engineer_may_verify_reopen_and_a_rival_order_forbids_it(site):
    order = await site.break_air()
    for verb, second in (("accept", 20), ("arrive", 30), ("complete", 40)):
        await site.do("wang.jianguo", verb, second)
    assert (await site.do("engineer", "verify", 41)).state == "verified"
    reopened = await site.do("engineer", "reopen", 42)
    assert (reopened.state, reopened.assignee, reopened.reopened_count) == ("assigned", "wang.jianguo", 1)
    for verb, second in (("accept", 50), ("arrive", 51), ("complete", 52)):
        await site.do("engineer", verb, second)
    await site.do("engineer", "verify", 53)
    await site.judge.hear((60, "AHU-A.supply_temp", 16.0))
    await site.judge.wait(75)
    new = await site.break_air(80)
    with pytest.raises(ConflictError, match="another one for the same fault is open"):
        await site.do("engineer", "reopen", 90, order_id=order.id)
    assert [o.id for o in await site.orders()] == [new.id]
