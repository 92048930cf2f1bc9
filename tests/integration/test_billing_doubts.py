"""Where two claims on the same days, or a term that moved, would bill something twice or never."""

from dataclasses import replace
from datetime import date

import psycopg
import pytest

from hub.billing import service as billing
from hub.errors import ConflictError, InvalidError
from hub.leases import service as leases
from hub.store.database import Database
from rules.model.site import Lease, SiteFile
from tests.builders import ENGINEER, Park
from tests.integration.test_billing_run import BILLING, NOW, STEPS, counts, enter, fill, run

MIDDLE = date(2026, 10, 15)  # last day of the one who leaves


def with_leases(park: Park, *said: Lease) -> Park:
    return replace(park, file=park.file.model_copy(update={"lease": said}))


def handed_over(file: SiteFile) -> tuple[Lease, Lease]:
    old = file.lease[0].model_copy(update={"end": MIDDLE})
    new = file.lease[0].model_copy(
        update={"code": "L-2026-NEW", "tenant": file.lease[1].tenant, "start": date(2026, 10, 16)}
    )
    return old, new


async def test_two_leases_of_one_meter_in_one_month_share_its_consumption_and_nothing_else(
    database: Database, park: Park
) -> None:
    fill(park)
    changed = with_leases(park, *handed_over(park.file))
    site = await enter(database, changed)
    done = await run(database, changed, site)
    assert (len(done.issued), done.parked) == (2, ())
    async with database.transaction(park.organisation, BILLING) as tx:
        left, came = [(await billing.invoice_view(tx, one.id)).charges for one in done.issued]
    assert [c.evidence["days"] for c in (*left, *came)] == [15, 15, 15, 16, 16, 16]
    for one, other in zip(left[1:], came[1:], strict=True):
        assert one.meter == other.meter
        assert one.evidence["end"] == other.evidence["start"]
    power = left[1].quantity + came[1].quantity
    assert power * 100 == counts("EM-A-101", STEPS) - counts("EM-A-101", 0)


async def test_two_leases_of_one_unit_on_the_same_days_are_both_parked(database: Database, park: Park) -> None:
    fill(park)
    old, new = handed_over(park.file)
    changed = with_leases(park, old.model_copy(update={"end": date(2026, 10, 16)}), new, park.file.lease[1])
    site = await enter(database, changed)
    done = await run(database, changed, site)
    assert [one.lease for one in done.issued] == [park.file.lease[1].code]
    assert [doubt.lease.code for doubt in done.parked] == [old.code, new.code]
    assert f"shares a unit with {new.code} " in done.parked[0].reason_en
    assert f"shares a unit with {old.code} " in done.parked[1].reason_en


async def test_a_term_that_moves_after_the_bill_parks_the_lease_and_its_successor_until_somebody_settles(
    database: Database, park: Park
) -> None:
    fill(park)
    whole = with_leases(park, park.file.lease[0])
    site = await enter(database, whole)
    assert len((await run(database, whole, site)).issued) == 1
    changed = with_leases(park, *handed_over(park.file))
    await enter(database, changed)
    again = await run(database, changed, site)
    assert (again.issued, len(again.kept)) == ((), 1)
    first, second = again.parked
    assert "was billed from 2026-10-01 to 2026-10-31" in first.reason_en
    assert "shares a unit with L-2024-001" in second.reason_en
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("UPDATE leases SET start_on = '2026-11-01' WHERE code = 'L-2026-NEW'")
    await enter(database, whole)
    assert (await run(database, whole, site)).parked == ()
    async with database.transaction(park.organisation, BILLING) as tx:
        assert await billing.parked(tx) == []


@pytest.mark.parametrize("change", [{"start": date(2026, 1, 1)}, {"tenant": "T-LANTING"}])
async def test_a_known_lease_keeps_its_tenant_and_start(
    database: Database, park: Park, change: dict[str, object]
) -> None:
    await enter(database, park)
    moved = park.file.lease[0].model_copy(update=change)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(ConflictError, match="enter a lease of another code"):
            await leases.register(tx, park.site, with_leases(park, moved).file)


async def test_a_run_that_is_rolled_back_leaves_no_gap_in_the_numbers(database: Database, park: Park) -> None:
    fill(park)
    site = await enter(database, park)
    undone = database.transaction(park.organisation, BILLING)
    tx = await undone.__aenter__()
    assert len((await billing.run_month(tx, site, 2026, 10, NOW)).issued) == 8
    stop = RuntimeError("the power went")
    assert not await undone.__aexit__(type(stop), stop, None)
    done = await run(database, park, site)
    assert [one.number[-6:] for one in done.issued] == [f"{n:06d}" for n in range(1, 9)]


@pytest.mark.parametrize("year", [1, 1999, 2101, 9999])
async def test_a_year_beyond_all_clocks_is_refused_with_a_sentence(database: Database, park: Park, year: int) -> None:
    site = await enter(database, park)
    async with database.transaction(park.organisation, BILLING) as tx:
        with pytest.raises(InvalidError, match="is not a year that is billed"):
            await billing.preview(tx, site, year, 12, NOW)
