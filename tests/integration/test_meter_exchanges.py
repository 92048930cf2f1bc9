"""Meters exchanged by people: billed across the exchange, checked against the readings around, four eyes; rounds."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from hub.assets import service as assets
from hub.billing import service as billing
from hub.corrections import rounds
from hub.corrections import service as corrections
from hub.corrections.plan import plan
from hub.corrections.rounds import Entered
from hub.corrections.rows import Kind, Swap
from hub.errors import ConflictError, InvalidError
from hub.store.database import Database
from tests.builders import Park
from tests.correcting import BILLED, DAY, NOW, Desk, faces, staff, wish
from tests.integration.test_billing_run import NOW as BILL_DAY
from tests.integration.test_billing_run import OCTOBER, STEP, enter, fill, run

HOUR = timedelta(hours=1)
METER = "EM-A-101"
SWAPPED = 1_000  # quarter-hours into October


@pytest.fixture
async def desk(database: Database, park: Park) -> Desk:
    return await staff(database, park)


def swap(final: str, initial: str, multiplier: str = "1") -> Swap:
    return Swap(Decimal(final), Decimal(initial), Decimal(multiplier), "OLD-1", "NEW-2")


async def test_a_month_with_an_exchange_and_another_ratio_is_billed_on_both_meters(desk: Desk) -> None:
    at = OCTOBER[0] + SWAPPED * STEP
    fill(desk.park, {METER: lambda n, _: 1_000.0 + n if n < SWAPPED else 5.0 + (n - SWAPPED)})
    site = await enter(desk.database, desk.park)
    assert METER in next(one.reason_en for one in (await run(desk.database, desk.park, site)).parked)
    asked = wish(Kind.EXCHANGE, BILLED, at, swap=swap("2000", "5", "10"))
    made = await desk.propose(asked, now=BILL_DAY)
    assert made.stage == "proposed"
    await desk.decide(made)
    await desk.carry_out(made.number, now=BILL_DAY)
    done = await run(desk.database, desk.park, site)
    assert done.parked == ()
    async with desk.as_("bil") as tx:
        lines = [line for invoice in await billing.story(tx) for line in invoice["lines"] if line["meter"] == METER]
        ratio = next(one.multiplier for one in await assets.devices(tx) if one.code == METER)
    steps = (OCTOBER[1] - OCTOBER[0]) // STEP
    before = next(d.multiplier for d in desk.park.file.device if d.code == METER)
    assert Decimal(lines[0]["quantity"]) == 1_000 * before + (steps - SWAPPED) * 10
    assert ratio == 10  # the register follows


async def test_faces_that_do_not_fit_the_readings_around_are_refused(desk: Desk) -> None:
    desk.put(BILLED, [*faces(1_000, 2, 10), *faces(5, 2, 10, DAY + 10 * HOUR)])
    at = DAY + 10 * HOUR
    wrong = (("900", "5", "does not fit"), ("1020", "6", "began with"), ("1020", "1000000", "not on the face"),
             ("NaN", "5", "as a number"), ("1020.001", "5", "steps"))  # fmt: skip
    for final, initial, refused in wrong:
        with pytest.raises(InvalidError, match=refused):
            await desk.propose(wish(Kind.EXCHANGE, BILLED, at, swap=swap(final, initial)))
    with pytest.raises(InvalidError, match="ratio of the transformers"):
        await desk.propose(wish(Kind.EXCHANGE, BILLED, at, swap=swap("1020", "5", "0")))
    with pytest.raises(InvalidError, match="still to come"):
        await desk.propose(wish(Kind.EXCHANGE, BILLED, NOW + HOUR, swap=swap("1020", "5")))
    with pytest.raises(InvalidError, match="meter behind a counter"):
        await desk.propose(wish(Kind.EXCHANGE, "AHU-A.supply_temp", at, swap=swap("1020", "5")))


async def test_what_an_exchange_changes_is_shown_before_and_goes_when_it_is_withdrawn(desk: Desk) -> None:
    desk.put(BILLED, [*faces(1_000, 2, 10), *faces(5, 2, 80, DAY + 10 * HOUR)])
    at = DAY + 10 * HOUR
    asked = wish(Kind.EXCHANGE, BILLED, at, swap=swap("1020", "5"))
    async with desk.as_("tec") as tx:
        held = await plan(tx, asked, NOW)
    shown = {day["day"]: (day["before"], day["after"]) for day in held.effect}
    assert shown["2026-10-13"] == ("", "48.00")
    made = await desk.propose(asked, login="tec")
    with pytest.raises(ConflictError, match="waits for a decision"):
        await desk.propose(replace(asked, id=uuid4()))
    await desk.decide(made)
    await desk.carry_out(made.number)
    with pytest.raises(ConflictError, match="already"):
        await desk.propose(replace(asked, id=uuid4()))
    gone = await desk.done(wish(Kind.WITHDRAW, BILLED, at, withdraws=made.number))
    async with desk.as_("eng") as tx:
        assert (await corrections.correction(tx, number=made.number)).withdrawn_by == gone.number
    again = await desk.propose(replace(asked, id=uuid4()))
    assert again.stage == "proposed"


async def test_a_bill_names_itself_when_its_readings_are_corrected(desk: Desk) -> None:
    fill(desk.park)
    site = await enter(desk.database, desk.park)
    done = await run(desk.database, desk.park, site)
    at = OCTOBER[0] + SWAPPED * STEP
    async with desk.as_("eng") as tx:
        held = await plan(tx, wish(Kind.DISPUTE, BILLED, at), BILL_DAY)
        outside = await plan(tx, wish(Kind.DISPUTE, BILLED, OCTOBER[1] + 4 * STEP), BILL_DAY)
    assert [bill.number for bill in held.bills] == [
        one.number for one in done.issued if any(METER in (c or "") for c in await _meters(desk, one.id))
    ]
    assert outside.bills == ()
    made = await desk.propose(wish(Kind.DISPUTE, BILLED, at), now=BILL_DAY)
    assert made.bills == [bill.number for bill in held.bills]


async def _meters(desk: Desk, invoice: object) -> list[str | None]:
    async with desk.as_("bil") as tx:
        view = await billing.invoice_view(tx, invoice)  # type: ignore[arg-type]
    return [charge.meter for charge in view.charges]


async def test_a_round_asks_about_an_unlikely_face_and_enters_it_when_somebody_is_sure(desk: Desk) -> None:
    desk.put(BILLED, faces(1_000, 2, 72))
    await desk.hourly(BILLED)
    point = desk.park.points[BILLED]
    async with desk.as_("tec") as tx:
        assert BILLED in [one.point for one in await rounds.due(tx, NOW)]
        assert [one.point for one in await rounds.due(tx, NOW, "EM-A-101")] == [BILLED]
        assert await rounds.due(tx, NOW, "100%_") == []
        found = await rounds.meter(tx, point, NOW)
        assert found.expected is not None
        assert found.expected.low == Decimal("1142.00")
        with pytest.raises(ConflictError, match="not what is expected"):
            await rounds.enter(tx, point, Entered(uuid4(), Decimal(900), NOW), NOW)
        with pytest.raises(InvalidError, match="not on the face"):
            await rounds.enter(tx, point, Entered(uuid4(), Decimal(-1), NOW, sure=True), NOW)
        with pytest.raises(InvalidError, match="as a number"):
            await rounds.enter(tx, point, Entered(uuid4(), Decimal("NaN"), NOW), NOW)
    async with desk.as_("tec") as tx:
        made = await rounds.enter(tx, point, Entered(uuid4(), Decimal(1_400), NOW), NOW)
    async with desk.as_("tec") as tx:
        assert [one.waiting for one in await rounds.due(tx, NOW, BILLED)] == [made.number]
    await desk.decide(made)
    await desk.carry_out(made.number, login="tec")
    assert await desk.latest(BILLED) == (NOW, 1_400.0, 216)
    async with desk.as_("tec") as tx:
        assert BILLED not in [one.point for one in await rounds.due(tx, NOW)]


async def test_nothing_of_a_correction_can_be_changed_afterwards(desk: Desk) -> None:
    desk.put(BILLED, faces(1_000, 2, 5))
    await desk.propose(wish(Kind.DISPUTE, BILLED, DAY))
    with psycopg.connect(desk.park.dsns.hub, autocommit=True) as hub:
        hub.execute("SET ROLE plantroom_app")
        for change in ("UPDATE corrections SET reason = 'x'", "DELETE FROM corrections", "DELETE FROM correction_lines",
                       "UPDATE points SET code = 'x'", "UPDATE amendments SET value = 1"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                hub.execute(change.encode())
