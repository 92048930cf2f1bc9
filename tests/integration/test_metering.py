"""Consumption as stored facts: worked out from marks, recomputed when readings come late, never replaced silently."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg

from hub.billing import service as billing
from hub.jobs import rollups
from hub.jobs.service import Work
from hub.metering import service as metering
from hub.metering.days import Grain
from hub.metering.rows import Change, Stored
from hub.store.database import Database, Transaction
from rules.detect.book import RuleBook
from rules.meter.balance import Finding
from rules.meter.demand import peak
from rules.model.period import Period, midnight
from rules.model.quality import Quality
from rules.model.virtual import VirtualMeter
from tests.builders import ENGINEER, Park
from tests.integration.test_billing_run import enter, fill, used
from tests.integration.test_billing_run import run as bill

D = Decimal
FIRST = date(2026, 10, 1)
MAIN, FLOORS, COMMON = "EM-A-MAIN", ("EM-A-F1", "EM-A-F2", "EM-A-F3"), "EM-A-COMMON"
SOON, SETTLED = datetime.fromisoformat("2026-10-04T02:00Z"), datetime.fromisoformat("2026-10-08T02:00Z")
Faces = Mapping[datetime, float]


def at(park: Park, day: int, hour: float = 0) -> datetime:
    """A moment of October in the site's time."""
    return midnight(FIRST + timedelta(days=day - 1), ZoneInfo(park.file.site.timezone)) + timedelta(hours=hour)


def store(park: Park, held: Mapping[str, Faces], quality: Quality = Quality.GOOD) -> None:
    """Store readings and mark their hours, as ingest does; what is there already is overlaid, as by a correction."""
    rows = [(park.points[f"{code}.energy"], *one) for code, faces in held.items() for one in faces.items()]
    with psycopg.connect(park.dsns.owner) as connection:
        for point, moment, value in rows:
            connection.execute("SELECT plantroom.ensure_week(%s)", [moment.date()])
            connection.execute(
                """INSERT INTO samples VALUES (%s, %s, %s, %s)
                   ON CONFLICT (point_id, at) DO UPDATE SET value = excluded.value, quality = excluded.quality""",
                [point, moment, value, int(quality)],
            )
            connection.execute(
                "INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, date_trunc('hour', %s, 'UTC'))",
                [point, moment],
            )


def steady(park: Park, pace: float, days: int = 3, gone: Iterable[float] = ()) -> Faces:
    """A face that grows by ``pace`` an hour from 1 October on, read every six hours but for those that are gone."""
    hours = (n * 6.0 for n in range(days * 4 + 1))
    return {at(park, 1, hour): round(100.0 + pace * hour, 2) for hour in hours if hour not in gone}


async def count(database: Database, now: datetime) -> None:
    """Hand the marks on and work out what is out of date, as the jobs do."""
    await rollups.rebuild(database)
    await Work(database, RuleBook(()), lambda moment: moment).count_consumption(now)


def opened(database: Database, park: Park) -> AbstractAsyncContextManager[Transaction]:
    return database.transaction(park.organisation, ENGINEER)


async def facts(database: Database, park: Park, code: str, grain: Grain = Grain.DAY) -> dict[int, Stored]:
    """Facts of one meter from October on, by the day's number in that month."""
    async with opened(database, park) as tx:
        found = await metering.facts(tx, grain, FIRST, date(2026, 12, 1), park.site)
    return {(one.first - FIRST).days + 1: one for one in found if one.code == code}


async def changes(database: Database, park: Park, fact: Stored) -> list[Change]:
    async with opened(database, park) as tx:
        return await metering.changes(tx, [fact.id])


def told(change: Change) -> dict[str, tuple[str, str]]:
    return {one["what"]: (one["before"], one["after"]) for one in change.differences}


def multiplier(park: Park, code: str) -> D:
    return next(device.multiplier for device in park.file.device if device.code == code)


async def test_days_that_are_over_have_their_consumption_and_become_final_when_nothing_late_is_expected(
    database: Database, park: Park
) -> None:
    store(park, {MAIN: steady(park, 2.0)})
    await count(database, SOON)
    found = await facts(database, park, MAIN)
    assert {day: (one.quantity, one.state, one.version) for day, one in found.items()} == {
        day: (48 * multiplier(park, MAIN), "provisional", 1) for day in (1, 2, 3)
    }
    assert found[1].evidence["start"]["readings"] == [{"at": "2026-09-30T16:00:00+00:00", "value": "100.00"}]
    await count(database, SETTLED)
    found = await facts(database, park, MAIN)
    assert [one.state for day, one in found.items() if day <= 3] == ["final"] * 3
    assert await changes(database, park, found[1]) == []


async def test_a_day_without_readings_is_seen_as_missing_and_never_as_zero(database: Database, park: Park) -> None:
    store(park, {MAIN: steady(park, 2.0)})
    await count(database, SETTLED)
    found = await facts(database, park, MAIN)
    assert {day: one.state for day, one in found.items() if day > 3} == dict.fromkeys((4, 5, 6, 7), "parked")
    assert found[5].quantity is None
    assert "no usable reading" in found[5].evidence["doubt"]["en"]
    assert "没有可用读数" in found[5].evidence["doubt"]["zh"]


async def test_a_late_reading_turns_an_estimate_into_a_reading_and_leaves_a_trace(
    database: Database, park: Park
) -> None:
    whole = steady(park, 2.0)
    store(park, {MAIN: {moment: face for moment, face in whole.items() if moment != at(park, 2)}})
    await count(database, SOON)
    before = await facts(database, park, MAIN)
    assert [before[day].estimated for day in (1, 2, 3)] == [True, True, False]
    assert before[1].evidence["end"]["method"] == "linear"
    store(park, {MAIN: {at(park, 2): 147.5}})
    await count(database, SOON + timedelta(hours=1))
    after = await facts(database, park, MAIN)
    assert [(after[day].version, after[day].estimated) for day in (1, 2, 3)] == [(2, False), (2, False), (1, False)]
    (change,) = await changes(database, park, after[1])
    factor = multiplier(park, MAIN)
    assert (change.quantity_before, change.quantity_after) == (48 * factor, D("47.5") * factor)
    assert (change.cause, change.after_final, change.invoices) == ("readings", False, [])
    assert told(change)["end readings"] == (
        "2026-10-01T10:00:00Z 136; 2026-10-01T22:00:00Z 160", "2026-10-01T16:00:00Z 147.5",
    )  # fmt: skip
    quantities = [one.quantity for one in after.values() if one.quantity is not None]
    assert sum(quantities, D(0)) == 144 * factor


async def test_the_same_readings_again_change_nothing(database: Database, park: Park) -> None:
    store(park, {MAIN: steady(park, 2.0)})
    await count(database, SOON)
    before = await facts(database, park, MAIN)
    store(park, {MAIN: steady(park, 2.0)})
    await count(database, SOON + timedelta(minutes=1))
    assert await facts(database, park, MAIN) == before


async def test_a_fact_that_was_final_changes_with_a_note_for_whoever_bills(database: Database, park: Park) -> None:
    store(park, {MAIN: steady(park, 2.0)})
    await count(database, SETTLED)
    store(park, {MAIN: {at(park, 2): 150.0}})
    await count(database, SETTLED + timedelta(hours=1))
    found = await facts(database, park, MAIN)
    assert (found[1].state, found[1].version, found[1].quantity) == ("final", 2, 50 * multiplier(park, MAIN))
    async with opened(database, park) as tx:
        late = await metering.changed_after_final(tx, park.site)
    assert {(one.code, one.first.day, one.after_final) for one in late} == {(MAIN, 1, True), (MAIN, 2, True)}


async def test_a_reading_found_to_be_bad_parks_a_final_day_and_says_so(database: Database, park: Park) -> None:
    far = {at(park, 1, hour): 100.0 + hour for hour in (0, 24, 30, 36, 96, 120)}
    store(park, {MAIN: far})
    await count(database, SETTLED)
    assert (await facts(database, park, MAIN))[1].state == "final"
    store(park, {MAIN: {at(park, 1, hour): 0.0 for hour in (24, 30, 36)}}, Quality.BAD)
    await count(database, SETTLED + timedelta(hours=1))
    found = (await facts(database, park, MAIN))[1]
    assert (found.state, found.quantity, found.version) == ("parked", None, 2)
    (change,) = await changes(database, park, found)
    assert change.after_final
    assert "no usable reading" in told(change)["doubt"][1]


async def test_a_reset_a_day_later_does_not_park_the_days_before(database: Database, park: Park) -> None:
    faces = {moment: face if moment <= at(park, 3) else face - 200 for moment, face in steady(park, 2.0).items()}
    store(park, {MAIN: faces})
    await count(database, SOON)
    found = await facts(database, park, MAIN)
    assert [found[day].state for day in (1, 2, 3)] == ["provisional", "provisional", "parked"]
    assert "record a meter exchange or reset" in found[3].evidence["doubt"]["en"]


async def test_a_month_is_the_sum_of_its_days_and_equals_the_bill(database: Database, park: Park) -> None:
    fill(park)
    site = await enter(database, park)
    code = "EM-A-101"
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute(
            """INSERT INTO dirty_buckets (point_id, bucket)
               SELECT DISTINCT point_id, date_trunc('hour', at, 'UTC') FROM samples WHERE point_id = %s""",
            [park.points[f"{code}.energy"]],
        )
    now = at(park, 32, 12)
    await count(database, now)
    month = (await facts(database, park, code, Grain.MONTH))[1]
    days = [one.quantity for day, one in (await facts(database, park, code)).items() if 1 <= day <= 31]
    assert month.quantity == used(park, code) == sum((one for one in days if one is not None), D(0))
    assert (len(days), month.state, month.evidence["rollovers"]) == (31, "provisional", 1)
    done = await bill(database, park, site)
    await count(database, now + timedelta(minutes=1))
    month = (await facts(database, park, code, Grain.MONTH))[1]
    assert month.state == "final"
    async with opened(database, park) as tx:
        every = await billing.charges(tx, [one.id for one in done.issued])
    (line,) = [line for line in every if line.meter == code]
    assert line.quantity == month.quantity
    store(park, {code: {at(park, 32): 1.0}}, Quality.BAD)
    await count(database, now + timedelta(hours=2))
    async with opened(database, park) as tx:
        late = [one for one in await metering.changed_after_final(tx) if one.grain == "month"]
    assert [len(one.invoices) for one in late] == [1]


VIRTUAL = {
    "code": "VM-REST", "name_zh": "其他用电", "name_en": "Everything else", "commodity": "electricity", "unit": "kWh",
    "version": [
        {"valid_from": "2026-01-01", "valid_to": "2026-10-01", "term": [{"meter": MAIN}]},
        {"valid_from": "2026-10-02", "term": [{"meter": MAIN}, *({"meter": f, "factor": -1} for f in FLOORS)]},
    ],
}  # fmt: skip
HALF = {
    "code": "VM-A-HALF", "name_zh": "一半", "name_en": "Half of it", "commodity": "electricity", "unit": "kWh",
    "version": [{"valid_from": "2026-01-01", "term": [{"meter": "VM-REST", "factor": "0.5"}]}],
}  # fmt: skip


async def _with_virtuals(database: Database, park: Park, *said: dict) -> None:
    meters = tuple(VirtualMeter.model_validate(one) for one in said)
    async with opened(database, park) as tx:
        await metering.register(tx, park.site, park.file.model_copy(update={"virtual_meter": meters}))


async def test_virtual_meters_follow_their_inputs_by_the_version_of_the_day(database: Database, park: Park) -> None:
    await _with_virtuals(database, park, VIRTUAL, HALF)
    store(park, {MAIN: steady(park, 5.0), **{floor: steady(park, 1.0) for floor in FLOORS}})
    await count(database, SOON)
    main, floors = 120 * multiplier(park, MAIN), sum(24 * multiplier(park, floor) for floor in FLOORS)
    rest = await facts(database, park, "VM-REST")
    assert [rest[day].quantity for day in (1, 2, 3)] == [main, main - floors, main - floors]
    assert [one["code"] for one in rest[2].evidence["inputs"]] == [MAIN, *FLOORS]
    half = await facts(database, park, "VM-A-HALF")
    assert half[2].quantity == (main - floors) / 2
    store(park, {MAIN: {at(park, 2): 221.0}})
    await count(database, SOON + timedelta(hours=1))
    half = await facts(database, park, "VM-A-HALF")
    assert (half[2].quantity, half[2].version) == ((main - floors - multiplier(park, MAIN)) / 2, 2)
    assert (await changes(database, park, half[2]))[0].cause == "inputs"


async def test_a_virtual_meter_misses_what_its_inputs_miss(database: Database, park: Park) -> None:
    spared = {**VIRTUAL, "code": "VM-SPARED", "version": [
        {"valid_from": "2026-01-01", "term": [
            {"meter": MAIN}, {"meter": FLOORS[0], "factor": -1, "missing": "leave_out"},
            {"meter": FLOORS[1], "factor": -1, "missing": "estimate"}]}]}  # fmt: skip
    await _with_virtuals(database, park, VIRTUAL, spared)
    lost = {moment: face for moment, face in steady(park, 1.0).items() if moment < at(park, 3)}
    store(park, {MAIN: steady(park, 5.0), **dict.fromkeys(FLOORS, lost)})
    await count(database, SOON)
    rest, mild = await facts(database, park, "VM-REST"), await facts(database, park, "VM-SPARED")
    assert (rest[3].quantity, rest[3].state) == (None, "parked")
    assert all(floor in rest[3].evidence["doubt"]["en"] for floor in FLOORS)
    usual = 24 * multiplier(park, FLOORS[1])
    assert (mild[3].quantity, mild[3].estimated) == (120 * multiplier(park, MAIN) - usual, True)
    assert [one["how"] for one in mild[3].evidence["inputs"]] == ["known", "left out", "estimate"]


async def test_what_left_the_site_file_is_worked_out_no_more_and_stays(database: Database, park: Park) -> None:
    await _with_virtuals(database, park, VIRTUAL)
    store(park, {MAIN: steady(park, 5.0, days=1)})
    await count(database, at(park, 2, 3))
    await _with_virtuals(database, park)
    store(park, {MAIN: steady(park, 5.0)})
    await count(database, SOON)
    assert set(await facts(database, park, "VM-REST")) == {1}


async def test_main_and_subs_are_compared_from_their_facts(database: Database, park: Park) -> None:
    factor = {code: float(multiplier(park, code)) for code in (MAIN, *FLOORS, COMMON)}
    store(park, {code: steady(park, 3.0 / factor[code]) for code in (*FLOORS, COMMON)})
    store(park, {MAIN: steady(park, 14.0 / factor[MAIN])})
    await count(database, SOON)
    async with opened(database, park) as tx:
        meters = await metering.meters(tx, park.site)
        stored = await metering.facts(tx, Grain.DAY, FIRST, FIRST + timedelta(days=1), park.site)
    counted = {one.point_id: one.quantity for one in stored}
    found = metering.balances(meters, counted)
    assert found[MAIN].finding is Finding.LOSS_ABOVE_LIMIT
    assert found["EM-A-F1"].finding is Finding.INCOMPLETE
    assert found["EM-A-F1"].missing
    del counted[park.points[f"{COMMON}.energy"]]
    assert metering.balances(meters, counted)[MAIN].missing == (COMMON,)


async def test_demand_comes_from_the_same_readings(database: Database, park: Park) -> None:
    quarters = {at(park, 1, n / 4): 100.0 + n + (5 if n > 30 else 0) for n in range(97)}
    store(park, {MAIN: quarters})
    async with opened(database, park) as tx:
        (meter,) = await metering.meters(tx, code=MAIN)
        found = await metering.demands(tx, meter, Period(at(park, 1), at(park, 2)))
        nothing = await metering.demands(tx, meter, Period(at(park, 10), at(park, 11)))
    top = peak(found)
    assert top is not None
    assert (top.power, top.start, top.certain) == (24 * multiplier(park, MAIN), at(park, 1, 7.5), True)
    assert nothing == []


async def test_two_hubs_that_work_at_once_do_not_work_twice(database: Database, park: Park) -> None:
    store(park, {MAIN: steady(park, 2.0)})
    await rollups.rebuild(database)
    both = [Work(database, RuleBook(()), lambda moment: moment).count_consumption(SOON) for _ in range(2)]
    await asyncio.gather(*both, return_exceptions=True)
    await count(database, SOON)
    found = await facts(database, park, MAIN)
    assert [found[day].version for day in (1, 2, 3)] == [1, 1, 1]


async def test_a_rating_in_the_site_file_bounds_what_a_meter_can_have_counted(database: Database, park: Park) -> None:
    devices = tuple(
        device.model_copy(update={"hourly_max": 4 * device.multiplier}) if device.code == MAIN else device
        for device in park.file.device
    )
    async with opened(database, park) as tx:
        await metering.register(tx, park.site, park.file.model_copy(update={"device": devices}))
    store(park, {MAIN: {**steady(park, 2.0), at(park, 2): 190.0}})
    await count(database, SOON)
    found = await facts(database, park, MAIN)
    assert [found[day].quantity for day in (1, 2)] == [48 * multiplier(park, MAIN)] * 2
    assert "more than the meter is rated for" in found[1].evidence["rejected"][0]["reason"]


async def test_another_ratio_goes_on_from_day_to_day_and_is_named(database: Database, park: Park) -> None:
    store(park, {MAIN: steady(park, 2.0)})
    await count(database, SOON)
    async with opened(database, park) as tx:
        await tx.run(b"UPDATE devices SET multiplier = multiplier * 2 WHERE code = 'EM-A-MAIN'")
    store(park, {MAIN: {at(park, 1, 6): 112.0}})
    await count(database, SOON + timedelta(hours=1))
    found = await facts(database, park, MAIN)
    assert [found[day].quantity for day in (1, 2, 3)] == [96 * multiplier(park, MAIN)] * 3
    assert [(await changes(database, park, found[day]))[0].cause for day in (1, 2, 3)] == ["ratio"] * 3


async def test_a_recorded_exchange_with_another_ratio_unparks_its_day_and_the_days_after(
    database: Database, park: Park
) -> None:
    swapped = {moment: face if moment < at(park, 2, 12) else face - 180 for moment, face in steady(park, 2.0).items()}
    store(park, {MAIN: swapped})
    await count(database, SOON)
    before = await facts(database, park, MAIN)
    assert [before[day].state for day in (1, 2, 3)] == ["provisional", "parked", "provisional"]
    with psycopg.connect(park.dsns.owner) as connection:
        asked = {"point": park.points[f"{MAIN}.energy"], "at": at(park, 2, 11)}
        connection.execute(
            """INSERT INTO corrections (id, organisation_id, number, point_id, point, kind, first_at, last_at, lines,
                                        digest, reason, billing, bills, effect, asked_by, asked_at, state, in_force_by,
                                        in_force_at)
               SELECT gen_random_uuid(), organisation_id, 1, id, code, 'exchange', %(at)s, %(at)s, 1, '', 'r', false,
                      '{}', '[]', 'x', now(), 'in_force', 'x', now() FROM points WHERE id = %(point)s""",
            asked,
        )
        connection.execute(
            """INSERT INTO meter_exchanges (organisation_id, correction_id, point_id, at, final, resolution_before,
                                            multiplier_before, serial_before, initial, resolution, multiplier, serial)
               SELECT organisation_id, id, point_id, first_at, 170, 0.01, 1, '', 0, 0.01, 3, '' FROM corrections""",
        )
    store(park, {MAIN: {at(park, 2, 12): swapped[at(park, 2, 12)]}})
    await count(database, SOON + timedelta(hours=1))
    after = await facts(database, park, MAIN)
    assert after[2].quantity == D(170 - 148) + 3 * D(16)
    assert [after[day].quantity for day in (1, 3)] == [48, 144]
    assert [(await changes(database, park, after[day]))[0].cause for day in (2, 3)] == ["exchange", "ratio"]
