"""Approvals in the database: who sees and decides what, what is recorded, and what an approval is good for."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from hub.approvals import service as approvals
from hub.approvals.rows import Said
from hub.approvals.views import decided, every, inbox, submitted
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store.database import Database
from rules.flow.request import State
from tests.approving import NOW, Office, expense, later, staff
from tests.builders import Park


@pytest.fixture
async def office(database: Database, park: Park) -> Office:
    return await staff(database, park)


async def waiting(office: Office, login: str, now=NOW) -> list[int]:
    async with office.as_(login) as tx:
        return [one.stored.number for one in await inbox(tx, now)]


async def test_a_request_walks_from_inbox_to_inbox_and_everybody_is_told(office: Office) -> None:
    number = await office.submit(expense(office, "6800"))
    assert office.mails() == [
        ("ann", f"For your approval: #{number} Filters"),
        ("bob", f"For your approval: #{number} Filters"),
    ]
    assert [await waiting(office, login) for login in ("ann", "bob", "cho", "gus", "nor", "dan")] == [
        [1],
        [1],
        [],
        [],
        [],
        [],
    ]
    assert await office.decide(number, "ann") == "open"
    assert office.mails() == [("cho", f"For your approval: #{number} Filters")]
    assert (await waiting(office, "bob"), await waiting(office, "cho")) == ([], [1])
    assert await office.decide(number, "cho", comment="budget holds") == "approved"
    assert office.mails() == [("gus", f"\u5df2\u6279\u51c6\uff1a#{number} \u91c7\u8d2d\u6ee4\u7f51")]
    for login, seen in (("gus", submitted), ("ann", decided), ("cho", decided), ("eve", every)):
        async with office.as_(login) as tx:
            assert [one.stored.number for one in await seen(tx, NOW)] == [number]
    async with office.as_("fay") as tx:
        assert await submitted(tx, NOW) == await decided(tx, NOW) == []
        with pytest.raises(NotFoundError):
            await every(tx, NOW)


async def test_every_act_is_recorded_with_the_hash_of_what_was_seen(office: Office) -> None:
    number = await office.submit(expense(office))
    await office.decide(number, "ann", comment="fine")
    await office.require(expense(office))
    acts = office.acts()
    assert [(actor, action) for actor, _, action, _ in acts] == [
        ("gus", "submitted"),
        ("ann", "approved"),
        ("dan", "used"),
    ]
    found = await office.life(number)
    for *_, details in acts:
        assert details["sha256"] == found.stored.content_hash
        assert (details["number"], details["round"], details["amount"]) == (number, 1, "1200.50 CNY")
    assert acts[1][3]["comment"] == "fine"
    assert found.contents[0].content == {"text": "Twelve filters", "price": "100.04"}


async def test_a_stranger_finds_nothing(office: Office) -> None:
    number = await office.submit(expense(office))
    for login in ("nor", "fay", "cho"):  # another site; no role of the flow; a step that does not apply
        with pytest.raises(NotFoundError, match="no such request"):
            await office.life(number, login)
        with pytest.raises(NotFoundError, match="no such request"):
            await office.decide(number, login)
        async with office.as_(login) as tx:
            with pytest.raises(NotFoundError, match="no such request"):
                await approvals.withdraw(tx, number, NOW)
    assert (await office.life(number, "gus")).mine == ()
    with pytest.raises(NotFoundError):
        await office.life(4711)


async def test_who_asked_never_decides_and_nobody_decides_twice(office: Office) -> None:
    number = await office.submit(expense(office, "60000"), "ann")
    with pytest.raises(ForbiddenError, match="Who asks for something"):
        await office.decide(number, "ann")
    await office.decide(number, "bob")
    await office.decide(number, "cho")
    with pytest.raises(ForbiddenError, match="second pair of eyes"):
        await office.decide(number, "bob")
    with pytest.raises(NotFoundError):
        await office.decide(number, "fay")
    assert await office.decide(number, "dan") == "approved"


async def test_the_database_itself_refuses_a_decision_by_who_asked_or_on_other_content(office: Office) -> None:
    number = await office.submit(expense(office))
    row = (await office.life(number)).stored
    insert = """INSERT INTO approval_decisions (organisation_id, request_id, submission_id, round, step, content_hash,
                                                login, verdict, comment, at, submitted_by)
                VALUES (plantroom.organisation(), %(id)s, gen_random_uuid(), 1, 0, %(hash)s, %(login)s, 'approve', '',
                        now(), 'gus')"""
    for login, content in (("gus", row.content_hash), ("ann", "0" * 64)):
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.ForeignKeyViolation)):
            async with office.as_("ann") as tx:
                await tx.run(insert.encode(), {"id": row.id, "hash": content, "login": login})


async def test_a_decision_is_for_the_content_and_the_step_that_was_seen(office: Office) -> None:
    number = await office.submit(expense(office, "6800"))
    async with office.as_("gus") as tx:
        await approvals.change(tx, expense(office, "6900"), NOW)
    seen = (await office.life(number)).request
    with pytest.raises(ConflictError, match="was changed after you opened it"):
        await office.decide(number, "ann", round=1)
    with pytest.raises(ConflictError, match="was changed after you opened it"):
        await office.decide(number, "ann", seen_hash="0" * 64)
    await office.decide(number, "ann")
    with pytest.raises(ConflictError, match="decided meanwhile"):
        await office.decide(number, "bob", step=seen.step)
    assert [(one.round, one.content_hash == seen.content_hash) for one in (await office.life(number)).contents] == [
        (1, False),
        (2, True),
    ]


async def test_a_change_makes_every_decision_void_and_asks_again(office: Office) -> None:
    number = await office.submit(expense(office, "6800"))
    await office.decide(number, "ann")
    office.mails()
    async with office.as_("gus") as tx:
        await approvals.change(tx, expense(office, "6800.00"), NOW)  # the same amount
    assert (await office.life(number)).request.round == 1
    async with office.as_("gus") as tx:
        await approvals.change(tx, expense(office, "4999.99"), NOW)
    found = await office.life(number)
    assert (found.request.round, found.request.step, found.request.given, found.stored.amount) == (
        2,
        0,
        0,
        Decimal("4999.99"),
    )
    assert [name for name, _ in office.mails()] == ["ann", "bob"]
    assert await office.decide(number, "bob") == "approved"  # below the limit of the second step
    _, _, act, details = office.acts()[2]
    assert act == "changed"
    assert details["sha256_before"] != details["sha256"]


async def test_an_approval_serves_once_and_only_for_its_content(office: Office) -> None:
    subject = expense(office)
    with pytest.raises(ConflictError, match="needs an approval first"):
        await office.require(subject)
    number = await office.submit(subject)
    with pytest.raises(ConflictError, match="not been approved yet"):
        await office.require(subject)
    await office.decide(number, "ann")
    for other in (expense(office, "1200.51"), replace(subject, content={"text": "Other filters"}),
                  replace(subject, site_id=None), replace(subject, attributes={"category": "x"})):  # fmt: skip
        with pytest.raises(ConflictError, match="not what was approved"):
            await office.require(other)
    await office.require(expense(office, "1200.5"))
    assert (await office.life(number)).stored.state == State.USED
    with pytest.raises(ConflictError, match="needs an approval first"):
        await office.require(subject)


async def test_an_act_that_fails_does_not_spend_its_approval(office: Office) -> None:
    number = await office.submit(expense(office))
    await office.decide(number, "ann")

    async def fail() -> None:
        async with office.as_("dan") as tx:
            await approvals.require(tx, expense(office), NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await office.require(expense(office))


async def test_of_two_acts_at_the_same_moment_one_spends_the_approval(office: Office) -> None:
    number = await office.submit(expense(office))
    await office.decide(number, "ann")
    found = await asyncio.gather(*(office.require(expense(office)) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["ConflictError"] * 3 + ["NoneType"]


async def test_what_no_flow_governs_needs_nothing(office: Office) -> None:
    subject = expense(office, kind="nothing")
    await office.require(subject)
    with pytest.raises(InvalidError, match="No flow applies"):
        await office.submit(subject)


async def test_two_who_decide_at_the_same_moment(office: Office) -> None:
    number = await office.submit(expense(office, "6800"))
    seen = (await office.life(number)).request

    async def approve(login: str) -> State:
        async with office.as_(login) as tx:
            said = Said("approve", seen.content_hash, seen.round, seen.step, uuid4())
            return await approvals.decide(tx, number, said, NOW)

    found = await asyncio.gather(approve("ann"), approve("bob"), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["ConflictError", "State"]
    assert (await office.life(number)).request.step == 1
    assert len((await office.life(number)).opinions) == 1


async def test_a_retry_of_a_decision_is_harmless(office: Office) -> None:
    number = await office.submit(expense(office, "6800"))
    seen = (await office.life(number)).request
    said = Said("approve", seen.content_hash, seen.round, seen.step, uuid4())
    for _ in range(3):
        async with office.as_("ann") as tx:
            assert await approvals.decide(tx, number, said, NOW) is State.OPEN
    assert len((await office.life(number)).opinions) == 1
    async with office.as_("bob") as tx:
        with pytest.raises(ConflictError):
            await approvals.decide(tx, number, said, NOW)  # under another's id


async def test_a_rejection_needs_a_reason_and_ends_it(office: Office) -> None:
    number = await office.submit(expense(office))
    for comment in ("", "  \n "):
        with pytest.raises(InvalidError, match="why you reject"):
            await office.decide(number, "ann", "reject", comment=comment)
    with pytest.raises(InvalidError, match="at most"):
        await office.decide(number, "ann", comment="x" * 2001)
    with pytest.raises(InvalidError, match="to approve or to reject"):
        await office.decide(number, "ann", "maybe")
    office.mails()
    assert await office.decide(number, "ann", "reject", comment="too dear") == "rejected"
    assert office.mails() == [("gus", f"\u5df2\u9a73\u56de\uff1a#{number} \u91c7\u8d2d\u6ee4\u7f51")]
    with pytest.raises(ConflictError, match="was rejected"):
        await office.decide(number, "bob")
    again = await office.submit(expense(office, "900"), previous=number)
    assert (await office.life(again)).stored.previous_number == number
    with pytest.raises(NotFoundError):
        await office.submit(expense(office, id="other"), "fay", previous=number)  # not hers


async def test_only_the_submitter_withdraws(office: Office) -> None:
    number = await office.submit(expense(office))
    async with office.as_("ann") as tx:
        with pytest.raises(ForbiddenError, match="Only who submitted"):
            await approvals.withdraw(tx, number, NOW)
    async with office.as_("gus") as tx:
        await approvals.withdraw(tx, number, NOW)
    assert await waiting(office, "ann") == []
    with pytest.raises(ConflictError, match="was withdrawn"):
        await office.decide(number, "ann")


async def test_a_later_request_takes_the_place_of_the_one_before(office: Office) -> None:
    first = await office.submit(expense(office))
    await office.decide(first, "ann")
    second = await office.submit(expense(office, "1300"))
    assert [(await office.life(number)).stored.state for number in (first, second)] == ["superseded", "open"]
    with pytest.raises(ConflictError, match="not been approved yet"):
        await office.require(expense(office))


async def test_a_request_is_submitted_where_one_works(office: Office) -> None:
    with pytest.raises(ForbiddenError, match="a site where you work"):
        await office.submit(expense(office, site_id=office.north))
    with pytest.raises(ForbiddenError, match="a site where you work"):
        await office.submit(expense(office, site_id=None))
    with pytest.raises(ForbiddenError, match="does not include"):
        await office.submit(expense(office), "hal")
    assert await office.submit(expense(office, site_id=None), "cho") == 1
    assert await waiting(office, "dan") == [1]  # no site, so the step falls to the organisation


async def test_content_that_could_mean_two_things_is_refused(office: Office) -> None:
    with pytest.raises(InvalidError, match="cannot hold a float"):
        await office.submit(expense(office, content={"price": 0.1}))
    with pytest.raises(InvalidError, match="too much to read"):
        await office.submit(expense(office, content={"text": "x" * 200_000}))
    with pytest.raises(InvalidError, match="NUL"):
        await office.submit(expense(office, content={"text": "a\x00b"}))


async def run_jobs(office: Office, now) -> int:
    async with office.database.transaction(office.park.organisation) as tx:
        return await approvals.escalate_due(tx, now)


async def test_what_waits_too_long_is_reminded_of_and_escalated_once(office: Office) -> None:
    number = await office.submit(expense(office))
    office.mails()
    assert await run_jobs(office, later(23.9)) == 0
    assert (await run_jobs(office, later(24)), await run_jobs(office, later(25))) == (1, 0)
    assert office.mails() == [("ann", f"Reminder: #{number} Filters"), ("bob", f"Reminder: #{number} Filters")]
    assert (await run_jobs(office, later(48)), await run_jobs(office, later(49))) == (1, 0)
    assert office.mails() == [("dan", f"For your approval: #{number} Filters")]
    assert await waiting(office, "dan", later(49)) == [number]
    assert await office.decide(number, "dan", now=later(49)) == "approved"
    assert [act for _, _, act, _ in office.acts()] == ["submitted", "reminded of", "escalated", "approved"]


async def test_an_approval_that_nobody_uses_and_a_request_that_nobody_decides_lapse(office: Office) -> None:
    number = await office.submit(expense(office))
    await office.decide(number, "ann")
    other = await office.submit(expense(office, id="other"))
    office.mails()
    assert await run_jobs(office, NOW + timedelta(days=90)) == 2
    assert [(await office.life(one)).stored.state for one in (number, other)] == ["expired", "expired"]
    assert [name for name, _ in office.mails()] == ["gus", "gus"]
    with pytest.raises(ConflictError, match="needs an approval first"):
        await office.require(expense(office), NOW + timedelta(days=90))


async def test_an_approval_that_lapsed_is_not_used_before_the_job_has_noticed(office: Office) -> None:
    number = await office.submit(expense(office))
    await office.decide(number, "ann")
    with pytest.raises(ConflictError, match="lapsed"):
        await office.require(expense(office), NOW + timedelta(days=90))
    await office.require(expense(office), NOW + timedelta(days=90, seconds=-1))


async def test_where_nobody_can_decide_the_administrators_are_told(office: Office) -> None:
    with psycopg.connect(office.park.dsns.owner) as owner:
        owner.execute("UPDATE grants SET until = %s WHERE role = 'manager'", [NOW])
        owner.execute("UPDATE grants SET since = NULL")
    number = await office.submit(expense(office))
    assert office.mails() == [("eve", f"Nobody can decide: #{number} Filters")]
    assert (await office.life(number)).request.short
    with psycopg.connect(office.park.dsns.owner) as owner:
        owner.execute("UPDATE grants SET until = NULL WHERE user_id = %s", [office.users["bob"]])
    assert await office.decide(number, "bob") == "approved"


async def test_who_lost_the_role_meanwhile_decides_no_more(office: Office) -> None:
    number = await office.submit(expense(office))
    with psycopg.connect(office.park.dsns.owner) as owner:
        owner.execute("UPDATE grants SET until = %s WHERE user_id = %s", [NOW, office.users["ann"]])
    assert await waiting(office, "ann") == []
    with pytest.raises(NotFoundError):
        await office.decide(number, "ann")
    with psycopg.connect(office.park.dsns.owner) as owner:
        owner.execute("UPDATE users SET active = false WHERE login = 'bob'")
    assert await waiting(office, "dan") == [number]  # nobody is nearer


async def test_other_organisations_and_outsiders_see_nothing(office: Office, database: Database) -> None:
    await office.submit(expense(office))
    for actor in (
        office.actor("ann"),
        replace(office.actor("ann"), contractor=True),
        replace(office.actor("ann"), tenant_id=uuid4()),
    ):
        organisation = office.park.organisation if actor != office.actor("ann") else uuid4()
        async with database.transaction(organisation, actor) as tx:
            for table in (
                "approval_requests",
                "approval_contents",
                "approval_decisions",
                "flow_versions",
                "deputations",
            ):
                assert await tx.value(f"SELECT count(*) FROM {table}".encode()) == 0
    async with office.as_("nor") as tx:
        for table in ("approval_requests", "approval_contents", "approval_decisions"):
            assert await tx.value(f"SELECT count(*) FROM {table}".encode()) == 0
