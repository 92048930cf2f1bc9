"""Readings disputed, replaced and added by people: what stands, what stays, who has to agree."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from hub.corrections import service as corrections
from hub.corrections.rows import Kind
from hub.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hub.store import citus
from hub.store.database import Database
from tests.builders import Park
from tests.correcting import BILLED, DAY, FREE, NOW, Desk, faces, staff, wish

HOUR = timedelta(hours=1)


@pytest.fixture
async def desk(database: Database, park: Park) -> Desk:
    return await staff(database, park)


async def test_a_reading_on_which_no_bill_stands_is_disputed_by_one_person_at_once(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 3))
    made = await desk.propose(wish(Kind.DISPUTE, FREE, DAY + HOUR))
    assert (made.stage, made.billing, made.lines, made.in_force_by) == ("in_force", False, 1, "eng")
    assert await desk.series(FREE) == [(DAY, 20.0, 192), (DAY + HOUR, None, 0), (DAY + 2 * HOUR, 21.0, 192)]
    assert await desk.hourly(FREE) == [
        (DAY, 1, 1, 20.0, 20.0), (DAY + HOUR, 1, 0, None, None), (DAY + 2 * HOUR, 1, 1, 21.0, 21.0),
    ]  # fmt: skip
    async with desk.as_("eng") as tx:
        shown = await corrections.readings_between(tx, desk.park.points[FREE], DAY, DAY + HOUR)
        raw = await tx.value(b"SELECT value FROM original_readings WHERE at = %(at)s", {"at": DAY + HOUR})
    assert [(one.value, one.original_value, one.correction) for one in shown] == [(None, 20.5, 1), (20.0, None, None)]
    assert raw == 20.5


async def test_a_reading_under_a_bill_waits_for_a_second_person_and_stands_as_before_till_then(desk: Desk) -> None:
    desk.put(BILLED, faces(100, 2, 48))
    made = await desk.propose(wish(Kind.REPLACE, BILLED, DAY + 5 * HOUR, value=111.5))
    assert (made.stage, made.billing) == ("proposed", True)
    assert (DAY + 5 * HOUR, 110.0, 192) in await desk.series(BILLED)
    with pytest.raises(ConflictError, match="not been approved"):
        await desk.carry_out(made.number)
    with pytest.raises((ForbiddenError, NotFoundError, ConflictError)):
        await desk.decide(made, login="eng")
    await desk.decide(made, login="bil")
    found = await desk.carry_out(made.number)
    assert (found.stage, found.seconded_by, found.approval_state) == ("in_force", "bil", "used")
    assert (DAY + 5 * HOUR, 111.5, 216) in await desk.series(BILLED)
    assert (await desk.carry_out(made.number)).in_force_at == found.in_force_at  # again changes nothing


async def test_what_was_rejected_never_comes_into_force(desk: Desk) -> None:
    desk.put(BILLED, faces(100, 2, 4))
    made = await desk.propose(wish(Kind.DISPUTE, BILLED, DAY))
    await desk.decide(made, "reject")
    with pytest.raises(ConflictError):
        await desk.carry_out(made.number)
    async with desk.as_("aud") as tx:
        assert (await corrections.correction(tx, number=made.number)).stage == "rejected"
    assert (await desk.propose(wish(Kind.DISPUTE, BILLED, DAY))).number == made.number + 1  # and can be asked anew


async def test_a_span_is_disputed_with_what_its_days_consume_before_and_after(desk: Desk) -> None:
    desk.put(BILLED, [*faces(100, 2, 24), *faces(500, 2, 24, DAY + 24 * HOUR), *faces(196, 2, 24, DAY + 48 * HOUR)])
    made = await desk.propose(wish(Kind.DISPUTE, BILLED, DAY + 24 * HOUR, DAY + 47 * HOUR))
    assert made.lines == 24
    days = {day["day"]: (day["before"], day["after"]) for day in made.effect}
    assert days["2026-10-13"] == ("", "48.00") or days["2026-10-13"][1] != ""
    assert days["2026-10-14"][1] != ""


async def test_the_latest_is_the_latest_that_stands(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 3))
    newest = DAY + 2 * HOUR
    dispute = await desk.done(wish(Kind.DISPUTE, FREE, newest))
    assert await desk.latest(FREE) == (DAY + HOUR, 20.5, 192)
    await desk.done(wish(Kind.WITHDRAW, FREE, newest, withdraws=dispute.number))
    assert await desk.latest(FREE) == (newest, 21.0, 192)
    await desk.done(wish(Kind.REPLACE, FREE, newest, value=23.5))
    assert await desk.latest(FREE) == (newest, 23.5, 216)
    await desk.done(wish(Kind.ADD, FREE, newest + HOUR, value=24))
    assert await desk.latest(FREE) == (newest + HOUR, 24.0, 216)
    await desk.done(wish(Kind.DISPUTE, FREE, DAY, newest + HOUR))
    assert (await desk.latest(FREE))[1:] == (None, 0)


async def test_a_withdrawn_correction_leaves_the_one_before_it_and_both_stay_on_record(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 2))
    first = await desk.done(wish(Kind.REPLACE, FREE, DAY, value=21))
    second = await desk.done(wish(Kind.REPLACE, FREE, DAY, value=22))
    assert (await desk.series(FREE))[0] == (DAY, 22.0, 216)
    third = await desk.done(wish(Kind.WITHDRAW, FREE, DAY, withdraws=second.number))
    assert (await desk.series(FREE))[0] == (DAY, 21.0, 216)
    await desk.done(wish(Kind.WITHDRAW, FREE, DAY, withdraws=first.number))
    assert await desk.series(FREE) == faces(20, 0.5, 2)
    async with desk.as_("eng") as tx:
        stages = {one.number: (one.stage, one.withdrawn_by) for one in await corrections.corrections(tx, point=FREE)}
    assert stages[first.number] == ("withdrawn", 4)
    assert stages[second.number] == ("withdrawn", third.number)
    with psycopg.connect(desk.park.dsns.owner) as owner:
        assert owner.execute("SELECT count(*) FROM amendments").fetchone() == (0,)
        assert not citus.amended(owner)
        assert owner.execute("SELECT bool_or(amended) FROM points").fetchone() == (False,)
        assert owner.execute("SELECT count(*) FROM correction_lines").fetchone() == (4,)
    with pytest.raises(ConflictError, match="in force"):
        await desk.propose(wish(Kind.WITHDRAW, FREE, DAY, withdraws=first.number))
    with pytest.raises(ConflictError, match="not withdrawn"):
        await desk.propose(wish(Kind.WITHDRAW, FREE, DAY, withdraws=third.number))


async def test_an_added_reading_closes_a_gap_and_is_gone_when_it_is_withdrawn(desk: Desk) -> None:
    desk.put(BILLED, [*faces(100, 2, 2), (DAY + 72 * HOUR, 300.0, 192)])
    made = await desk.done(wish(Kind.ADD, BILLED, DAY + 30 * HOUR, value=170))
    assert (DAY + 30 * HOUR, 170.0, 216) in await desk.series(BILLED)
    assert (DAY + 30 * HOUR, 1, 1, 170.0, 170.0) in await desk.hourly(BILLED)
    await desk.done(wish(Kind.WITHDRAW, BILLED, DAY, withdraws=made.number))
    assert len(await desk.series(BILLED)) == 3
    assert DAY + 30 * HOUR not in [hour for hour, *_ in await desk.hourly(BILLED)]


SENSELESS = (
    ({"kind": Kind.DISPUTE, "first": DAY + timedelta(minutes=7)}, "no reading with a value"),
    ({"kind": Kind.REPLACE, "first": DAY + timedelta(minutes=7), "value": 1}, "no reading at this moment"),
    ({"kind": Kind.ADD, "first": DAY, "value": 1}, "replace it instead"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": 100}, "shows this already"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": "NaN"}, "as a number"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": "Infinity"}, "as a number"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": "-1"}, "not on the face"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": "1000000"}, "not on the face"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": "100.001"}, "steps of"),
    ({"kind": Kind.REPLACE, "first": DAY, "value": "1E+30"}, "not on the face"),
    ({"kind": Kind.REPLACE, "first": DAY}, "as a number"),
    ({"kind": Kind.ADD, "first": NOW + HOUR, "value": 1}, "still to come"),
    ({"kind": Kind.ADD, "first": NOW.replace(year=2001), "value": 1}, "six years"),
    ({"kind": Kind.DISPUTE, "first": DAY, "last": DAY - HOUR}, "ends before it begins"),
    ({"kind": Kind.DISPUTE, "first": DAY - timedelta(days=40), "last": DAY}, "31 days"),
    ({"kind": Kind.DISPUTE, "first": DAY, "reason": "  "}, "characters why"),
    ({"kind": Kind.DISPUTE, "first": DAY, "reason": "x" * 501}, "characters why"),
)


async def test_what_makes_no_sense_is_refused_with_a_sentence(desk: Desk) -> None:
    desk.put("EM-A-MAIN.energy", faces(100, 2, 3))
    for asked, refused in SENSELESS:
        with pytest.raises(InvalidError, match=refused):
            await desk.propose(wish(**{"point": "EM-A-MAIN.energy", **asked}))  # type: ignore[arg-type]
    assert len(await desk.series("EM-A-MAIN.energy")) == 3


async def test_the_same_twice_is_one_correction_and_another_under_its_id_is_refused(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 2))
    asked = wish(Kind.DISPUTE, FREE, DAY, id=uuid4())
    assert (await desk.propose(asked)).number == (await desk.propose(asked)).number
    with pytest.raises(ConflictError, match="take a new one"):
        await desk.propose(wish(Kind.DISPUTE, FREE, DAY, id=asked.id, reason="another"))
    with pytest.raises(InvalidError, match="no reading with a value"):
        await desk.propose(wish(Kind.DISPUTE, FREE, DAY))


async def test_two_who_correct_one_reading_do_not_undo_each_other(desk: Desk) -> None:
    desk.put(BILLED, faces(100, 2, 4))
    first = await desk.propose(wish(Kind.REPLACE, BILLED, DAY + HOUR, value=102.5))
    with pytest.raises(ConflictError, match="waits for a decision"):
        await desk.propose(wish(Kind.DISPUTE, BILLED, DAY, DAY + 3 * HOUR), login="man")
    await desk.decide(first)
    results = await asyncio.gather(*[desk.carry_out(first.number, who) for who in ("eng", "man")])
    assert {one.in_force_at for one in results} == {NOW}
    both = [wish(Kind.REPLACE, FREE, DAY, value=value) for value in (21, 22)]
    desk.put(FREE, faces(20, 0.5, 2))
    await asyncio.gather(*map(desk.propose, both))
    with psycopg.connect(desk.park.dsns.owner) as owner:
        lines = owner.execute(
            """SELECT l.before_value, l.value FROM correction_lines l JOIN corrections c ON c.id = l.correction_id
               WHERE c.point = %s ORDER BY c.number""",
            [FREE],
        ).fetchall()
    assert lines[0][0] == 20.0
    assert lines[1][0] == lines[0][1]  # the second saw the first


async def test_a_reading_that_came_in_meanwhile_keeps_what_was_agreed_from_being_done_blindly(desk: Desk) -> None:
    desk.put(BILLED, faces(100, 2, 2))
    made = await desk.propose(wish(Kind.ADD, BILLED, DAY + 2 * HOUR, value=103))
    await desk.decide(made)
    desk.put(BILLED, [(DAY + 2 * HOUR, 104.0, 192)])
    with pytest.raises(ConflictError, match="corrected meanwhile"):
        await desk.carry_out(made.number)
    async with desk.as_("eng") as tx:
        await corrections.take_back(tx, made.number, NOW)
    async with desk.as_("eng") as tx:
        assert (await corrections.correction(tx, number=made.number)).stage == "dropped"


async def test_only_people_with_the_right_correct_and_nobody_elses_point_is_there(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 2))
    for who in ("aud", "bil", "tec"):
        with pytest.raises(ForbiddenError):
            await desk.propose(wish(Kind.DISPUTE, FREE, DAY), login=who)
    assert (await desk.propose(wish(Kind.ADD, FREE, DAY + 5 * HOUR, value=20), login="tec")).stage == "in_force"
    with pytest.raises(NotFoundError):
        await desk.propose(wish(Kind.DISPUTE, "NOBODY.energy", DAY))
    with psycopg.connect(desk.park.dsns.owner) as owner:
        owner.execute("INSERT INTO organisations (code, name_zh, name_en) VALUES ('OTHER', '', '')")
        (other,) = owner.execute("SELECT id FROM organisations WHERE code = 'OTHER'").fetchone() or ()
    async with desk.database.transaction(other, desk.users["eng"]) as tx:
        with pytest.raises(NotFoundError):
            await corrections.propose(tx, wish(Kind.DISPUTE, FREE, DAY), NOW)
        assert await corrections.corrections(tx) == []


async def test_a_point_renamed_meanwhile_is_still_the_one_that_was_meant(desk: Desk) -> None:
    desk.put(BILLED, faces(100, 2, 2))
    made = await desk.propose(wish(Kind.REPLACE, BILLED, DAY, value=99))
    await desk.decide(made)
    with psycopg.connect(desk.park.dsns.owner) as owner:
        owner.execute("UPDATE points SET code = 'EM-NEW.energy' WHERE code = %s", [BILLED])
    found = await desk.carry_out(made.number)
    assert (found.point, found.code_now, found.stage) == (BILLED, "EM-NEW.energy", "in_force")
    assert (await desk.series("EM-NEW.energy"))[0] == (DAY, 99.0, 216)


async def test_what_holds_can_be_made_again_from_the_corrections(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 6))
    for kind, n, value in ((Kind.REPLACE, 0, 21), (Kind.DISPUTE, 1, None), (Kind.REPLACE, 1, 5), (Kind.ADD, 8, 9)):
        await desk.done(wish(kind, FREE, DAY + n * HOUR, value=value))
    await desk.done(wish(Kind.WITHDRAW, FREE, DAY, withdraws=3))
    with psycopg.connect(desk.park.dsns.owner) as owner:
        held = owner.execute(
            "SELECT point_id, at, value, quality, correction_id FROM amendments ORDER BY 1, 2"
        ).fetchall()
        again = owner.execute(
            """SELECT DISTINCT ON (c.point_id, l.at) c.point_id, l.at, l.value, l.quality, c.id
               FROM correction_lines l JOIN corrections c ON c.id = l.correction_id
               WHERE c.state = 'in_force' AND c.kind <> 'withdraw' AND l.quality IS NOT NULL
               ORDER BY c.point_id, l.at, c.in_force_at DESC, c.number DESC"""
        ).fetchall()
        assert citus.amended(owner)
    assert held == again
    assert len(held) == 3


async def test_where_readings_are_spread_over_nodes_a_correction_is_refused_with_a_sentence(desk: Desk) -> None:
    desk.put(FREE, faces(20, 0.5, 2))
    with psycopg.connect(desk.park.dsns.owner) as owner:
        for statement in citus.PLAIN:
            owner.execute(statement)
    with pytest.raises(ConflictError, match="several nodes"):
        await desk.propose(wish(Kind.REPLACE, FREE, DAY, value=21))
    assert await desk.series(FREE) == faces(20, 0.5, 2)
