"""Records of commissioning reach the hub: what they prove, what is refused, and what bills make of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from hub.assets import commission
from hub.assets import service as assets
from hub.billing import service as billing
from hub.errors import InvalidError
from hub.store.database import Database
from rules.meter.look import LOOKS_MAX, Look, write
from tests.builders import ENGINEER, Park
from tests.integration.test_billing_run import BILLING, enter, fill, run

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
POINT = "EM-A-101.energy"


def look(minutes: float, **more: Any) -> Look:
    seen = Look(POINT, "kWh", "li.wei", NOW - timedelta(minutes=minutes), "4711.2", "4711.2", agrees=True)
    return replace(seen, **more)


async def take(database: Database, park: Park, *looks: Look) -> commission.Taken:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        return await commission.take_record(tx, write(looks), NOW)


async def trusted(database: Database, park: Park) -> bool:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        return await commission.trusted(tx, POINT)


async def test_two_looks_that_agree_make_a_counter_trusted_and_a_bad_one_ends_it(
    database: Database, park: Park
) -> None:
    assert await take(database, park, look(60)) == commission.Taken(1, 0, ())
    assert not await trusted(database, park)
    assert await take(database, park, look(60), look(20, pace="right")) == commission.Taken(1, 1, ())
    assert await trusted(database, park)
    await take(database, park, look(1, agrees=False, shown="9000", said="nothing simple explains it"))
    assert not await trusted(database, park)
    with psycopg.connect(park.dsns.owner) as owner:
        said = owner.execute(
            "SELECT details->'trusted' FROM audit_entries WHERE action = 'commissioned' ORDER BY id"
        ).fetchall()
    assert said == [({"before": False, "after": True},), ({"before": True, "after": False},)]


async def test_a_record_may_come_again_and_in_any_order(database: Database, park: Park) -> None:
    await take(database, park, look(20, pace="right"))
    await take(database, park, look(60))
    again = await take(database, park, look(20, pace="right"), look(60))
    assert (again, await trusted(database, park)) == (commission.Taken(0, 2, ()), True)


async def test_looks_at_points_that_are_not_registered_are_named_and_left_out(database: Database, park: Park) -> None:
    taken = await take(database, park, look(60), look(50, point="EM-X.energy"), look(40, point="EM-A-101.power"))
    assert taken == commission.Taken(1, 0, ("EM-A-101.power", "EM-X.energy"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no record"),
        ("[]", "no record"),
        ('{"looks": []}', "holds no look"),
        ('{"looks": [{"point": 1}]}', "no record"),
        (write([look(-60)]), "still to come"),
        (write([look(1, by=" ")]), "names no point, or nobody"),
        (write([look(1, face="NaN")]), "which is no number"),
        (write([look(1, face="1" * 40)]), "which is no number"),
        (write([look(1, pace="fast")]), "which there is not"),
        (write([look(1, said="x" * 301)]), "short texts"),
        (write([look(1, unit="MWh")]), "counts kWh here, but MWh"),
        (json.dumps({"looks": json.loads(write([look(1)]))["looks"] * (LOOKS_MAX + 1)}), "has more than"),
        ("[" * 100_000, "no record"),
    ],
)
async def test_what_is_no_record_is_refused_whole(database: Database, park: Park, text: str, said: str) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(InvalidError, match=said):
            await commission.take_record(tx, text, NOW)
        assert await commission.life(tx) == []


async def test_a_look_that_was_taken_in_stays_as_it_is(database: Database, park: Park) -> None:
    await take(database, park, look(60))
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        for change in ("UPDATE commissionings SET face = 1", "DELETE FROM commissionings", "TRUNCATE commissionings"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="written once for ever"):
                owner.execute(change)


async def test_bills_say_whether_their_meter_was_commissioned(database: Database, park: Park) -> None:
    fill(park)
    site = await enter(database, park)
    await take(database, park, look(60), look(20, pace="right"))
    done = await run(database, park, site)
    async with database.transaction(park.organisation, BILLING) as tx:
        charges = [c for one in done.issued for c in (await billing.invoice_view(tx, one.id)).charges if c.meter]
    assert {c.meter: c.evidence["trusted"] for c in charges if c.meter in ("EM-A-101", "EM-A-103")} == {
        "EM-A-101": True,
        "EM-A-103": False,
    }


async def test_a_site_that_bills_trusted_meters_only_parks_the_others(database: Database, park: Park) -> None:
    fill(park)
    strict = replace(
        park, file=park.file.model_copy(update={"site": park.file.site.model_copy(update={"bill_trusted_only": True})})
    )
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await assets.register(tx, strict.file)
    site = await enter(database, strict)
    done = await run(database, strict, site)
    assert done.issued == ()
    assert "is not trusted for billing" in done.parked[0].reason_en
