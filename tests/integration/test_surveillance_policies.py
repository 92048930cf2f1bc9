"""Zones, stills, badge events, contacts, accounts: who sees what, by the database itself."""

from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.leases import parties
from hub.leases.rows import Card
from hub.store.database import Actor, Database, Transaction
from hub.surveillance import service as surveillance
from hub.surveillance import stills
from hub.surveillance.service import Search
from hub.surveillance.stills import develop
from tests.builders import Park, acting
from tests.builders_people import (
    ACCOUNT,
    CLEARED,
    CLERK,
    GUARD,
    NOON,
    OFFICER,
    OPEN,
    SENDER,
    SENSITIVE,
    YOUNG_GUARD,
    Watched,
    drawn,
    passed,
    send,
    taken,
    watch,
)

PEOPLE = ("zones", "stills", "badge_events", "badge_holders", "contacts", "bank_accounts")


@pytest.fixture
async def watched(database: Database, park: Park) -> Watched:
    return await watch(database, park)


async def counts(tx: Transaction) -> dict[str, int]:
    return {table: await tx.value(f"SELECT count(*) FROM {table}".encode()) for table in PEOPLE}


async def building(database: Database, park: Park, code: str) -> UUID:
    async with database.transaction(park.organisation, OFFICER) as tx:
        found: UUID = await tx.value(b"SELECT id FROM spaces WHERE code = %(c)s", {"c": code})
        return found


async def test_a_sensitive_zone_is_seen_by_those_who_are_cleared(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, GUARD) as tx:
        seen = await counts(tx)
    assert (seen["stills"], seen["badge_events"]) == (2, 2)
    for actor in (YOUNG_GUARD, acting("e", "engineer"), OFFICER, SENDER, Actor("plantroom/jobs")):
        async with database.transaction(watched.park.organisation, actor) as tx:
            seen = await counts(tx)
            zones = await tx.value(b"SELECT array_agg(DISTINCT z.code) FROM stills s JOIN zones z ON z.id = s.zone_id")
        assert (seen["stills"], seen["badge_events"], zones) == (1, 1, [OPEN]), actor.name


async def test_a_clearance_at_a_building_opens_the_sensitive_zones_of_that_building_alone(
    database: Database, watched: Watched
) -> None:
    for code, stills_seen in (("A", 1), ("B", 2)):
        cleared = (("see_sensitive_zones", frozenset({await building(database, watched.park, code)})),)
        async with database.transaction(watched.park.organisation, replace(GUARD, clearances=cleared)) as tx:
            assert (await counts(tx))["stills"] == stills_seen, code


async def test_what_is_seen_keeps_to_the_places_of_the_transaction(database: Database, watched: Watched) -> None:
    place = await building(database, watched.park, "A")
    async with database.transaction(watched.park.organisation, replace(GUARD, places=frozenset({place}))) as tx:
        seen = await counts(tx)
        assert (seen["zones"], seen["stills"], seen["badge_events"]) == (1, 1, 1)
    async with database.transaction(watched.park.organisation, replace(GUARD, places=frozenset())) as tx:
        assert set((await counts(tx)).values()) == {0}


async def test_making_a_zone_sensitive_closes_what_was_seen_there_before(database: Database, watched: Watched) -> None:
    zones = tuple(zone.model_copy(update={"sensitive": True}) for zone in watched.park.file.zone)
    file = watched.park.file.model_copy(update={"zone": zones})
    async with database.transaction(watched.park.organisation, OFFICER) as tx:
        await surveillance.register(tx, watched.park.site, file)
        said = await tx.value(b"SELECT count(*) FROM audit_entries WHERE entity = 'zone' AND action = 'changed'")
    assert said == sum(not zone.sensitive for zone in watched.park.file.zone)
    async with database.transaction(watched.park.organisation, YOUNG_GUARD) as tx:
        assert (await counts(tx))["stills"] == 0


async def test_tenants_and_contractors_see_nothing_of_cameras_and_doors(database: Database, watched: Watched) -> None:
    tenant = replace(acting("t", "tenant", tenant_id=watched.tenant), clearances=CLEARED)
    contractor = replace(acting("c", "contractor", user_id=watched.contact), clearances=CLEARED)
    for actor in (tenant, contractor):
        async with database.transaction(watched.park.organisation, actor) as tx:
            seen = await counts(tx)
        assert [seen[table] for table in PEOPLE[:4]] == [0, 0, 0, 0], actor.name
        own = int(actor is tenant)
        assert (seen["contacts"], seen["bank_accounts"]) == (own, own), actor.name


async def test_a_tenant_reads_his_contacts_and_writes_none(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, acting("t", "tenant", tenant_id=watched.tenant)) as tx:
        assert [one.name for one in await parties.contacts(tx, watched.tenant)] == ["赵敏"]
        assert await tx.run(b"UPDATE contacts SET phone = ''") == 0
        assert await tx.run(b"DELETE FROM contacts") == 0
        with pytest.raises(NotFoundError):
            await parties.add_contact(tx, watched.tenant, Card("x"), NOON)


async def test_the_application_has_no_right_on_the_number_of_an_account(database: Database, watched: Watched) -> None:
    for statement in ("SELECT number FROM bank_accounts", "SELECT * FROM bank_accounts"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.transaction(watched.park.organisation, CLERK) as tx:
                await tx.value(statement.encode())
    async with database.transaction(watched.park.organisation, CLERK) as tx:
        assert await tx.value(b"SELECT masked FROM bank_accounts") == f"**** {ACCOUNT[-4:]}"


async def test_a_whole_number_is_for_people_cleared_where_the_tenant_is(database: Database, watched: Watched) -> None:
    elsewhere = frozenset({UUID(int=7)})
    places = frozenset({watched.park.site})
    for clearances, found in (
        ((), 0),
        ((("see_bank_accounts", None),), 1),
        ((("see_bank_accounts", places),), 1),
        ((("see_bank_accounts", elsewhere),), 0),
        (CLEARED, 0),
    ):
        async with database.transaction(watched.park.organisation, replace(CLERK, clearances=clearances)) as tx:
            assert await tx.value(b"SELECT count(*) FROM bank_numbers") == found, clearances
    tenant = replace(acting("t", "tenant", tenant_id=watched.tenant), clearances=CLERK.clearances)
    async with database.transaction(watched.park.organisation, tenant) as tx:
        assert await tx.value(b"SELECT count(*) FROM bank_numbers") == 0
        assert (await parties.bank_accounts(tx, watched.tenant))[0].masked == "**** 0000"


async def test_reading_a_whole_number_is_recorded_without_it(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, CLERK) as tx:
        assert await parties.whole_number(tx, watched.account) == ACCOUNT
        said = b"SELECT string_agg(to_jsonb(a)::text, '') FROM audit_entries a WHERE entity = 'bank_account'"
        entries = await tx.value(said)
    assert "saw whole" in entries
    assert ACCOUNT not in entries
    with pytest.raises(NotFoundError):
        async with database.transaction(watched.park.organisation, replace(CLERK, clearances=())) as tx:
            await parties.whole_number(tx, watched.account)


@pytest.mark.parametrize("number", ["1234567", "62220202 0011 2230 000X!", "１２３４５６７８", "9" * 35, ""])
async def test_what_is_no_account_number_is_refused(database: Database, watched: Watched, number: str) -> None:
    async with database.transaction(watched.park.organisation, CLERK) as tx:
        with pytest.raises(InvalidError):
            await parties.add_bank_account(tx, watched.tenant, "h", "b", number, NOON)
        with pytest.raises(ConflictError):
            await parties.add_bank_account(tx, watched.tenant, "h", "b", "6222 0202-0011 2230 000", NOON)


async def test_what_is_sent_again_is_stored_once_and_another_thing_under_its_name_is_refused(
    database: Database, watched: Watched
) -> None:
    event = passed(OPEN, NOON, "0007", "周舟")
    async with database.transaction(watched.park.organisation, SENDER) as tx:
        assert await surveillance.add_badge_events(tx, "RIVERSIDE", [event, event], NOON) == 1
        assert await surveillance.add_badge_events(tx, "RIVERSIDE", [event], NOON) == 0
        with pytest.raises(ConflictError, match="another event"):
            await surveillance.add_badge_events(tx, "RIVERSIDE", [replace(event, door="OTHER")], NOON)
        assert await stills.add(tx, taken(OPEN, NOON), NOON)
        assert not await stills.add(tx, taken(OPEN, NOON), NOON)
        with pytest.raises(ConflictError, match="another picture"):
            await stills.add(tx, replace(taken(OPEN, NOON), developed=develop(drawn("other"))), NOON)


async def test_who_sends_needs_no_clearance_to_add_to_a_sensitive_zone(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, SENDER) as tx:
        assert await stills.add(tx, taken(SENSITIVE, NOON), NOON)
        assert not await stills.add(tx, taken(SENSITIVE, NOON), NOON)
        with pytest.raises(InvalidError, match="future"):
            await stills.add(tx, taken(OPEN, NOON.replace(year=2027)), NOON)
        with pytest.raises(NotFoundError):
            await stills.add(tx, taken("NOWHERE", NOON), NOON)


async def test_nobody_sends_to_a_site_that_is_not_his(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, replace(SENDER, places=frozenset())) as tx:
        with pytest.raises(NotFoundError):
            await send(tx, NOON)


async def test_every_look_is_recorded_with_who_what_and_why(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, GUARD) as tx:
        found = await stills.browse(tx, stills.Filter())
        plain = next(one for one in found if not one.sensitive)
        secret = next(one for one in found if one.sensitive)
        assert (await stills.look(tx, plain.id, ""))[1].startswith(b"\xff\xd8")
        with pytest.raises(InvalidError, match="why"):
            await stills.look(tx, secret.id, "")
        await stills.look(tx, secret.id, "water leak reported")
        await stills.look(tx, secret.id, "for the police", taken_along=True)
        with pytest.raises(NotFoundError):
            await stills.thumbnail(tx, secret.id)
        asked = Search(NOON.replace(hour=0), NOON, person="孙悦")
        with pytest.raises(InvalidError, match="why"):
            await surveillance.search(tx, asked, "")
        events = await surveillance.search(tx, asked, "lost laptop")
        entries = await tx.value(
            b"SELECT jsonb_agg(jsonb_build_array(actor, action, entity, reason) ORDER BY id) FROM audit_entries"
            b" WHERE actor = 'guard'"
        )
        shown = await tx.value(b"SELECT details -> 'persons' FROM audit_entries WHERE action = 'searched'")
        record = await tx.value(b"SELECT string_agg(to_jsonb(a)::text, '') FROM audit_entries a")
    assert entries == [
        ["guard", "looked through", "stills", ""],
        ["guard", "opened", "still", ""],
        ["guard", "opened, sensitive zone", "still", "water leak reported"],
        ["guard", "took along, sensitive zone", "still", "for the police"],
        ["guard", "searched", "badge_events", "lost laptop"],
    ]
    assert (len(events), shown) == (2, [str(events[0].holder_id)])
    assert "孙悦" not in record


async def test_the_uncleared_do_not_find_what_a_sensitive_zone_shows(database: Database, watched: Watched) -> None:
    async with database.transaction(watched.park.organisation, GUARD) as tx:
        secret = next(one for one in await stills.browse(tx, stills.Filter()) if one.sensitive)
    async with database.transaction(watched.park.organisation, YOUNG_GUARD) as tx:
        for attempt in (stills.look(tx, secret.id, "why not"), stills.keep(tx, secret.id, NOON, "x", NOON)):
            with pytest.raises(NotFoundError):
                await attempt
        events = await surveillance.search(tx, Search(NOON.replace(hour=0), NOON), "rounds")
        assert [event.zone for event in events] == [OPEN]
