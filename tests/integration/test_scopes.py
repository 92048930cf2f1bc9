"""Roles at sites and buildings: what is seen, what is not, and that nothing said means nothing seen."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from hub.access import service as access
from hub.access.rights import RIGHTS, Right
from hub.access.rows import Grant, Visitor
from hub.assets import service as assets
from hub.errors import InvalidError
from hub.leases import service as leases
from hub.store.database import Actor, Database, Transaction
from rules.model.site import SiteFile
from tests.builders import ENGINEER, Park, site_file

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
PASSWORD = "only for these tests"
PLACED = ("sites", "spaces", "devices", "device_units", "points", "gateways", "leases", "lease_units", "tenants")


def second_site(first: SiteFile) -> SiteFile:
    """The same park again under other codes: another site of the same organisation."""
    renamed = {device.code: f"N-{device.code}" for device in first.device}
    return first.model_copy(
        update={
            "site": first.site.model_copy(update={"code": "NORTH"}),
            "device": tuple(
                device.model_copy(update={"code": renamed[device.code], "parent": renamed.get(device.parent or "")})
                for device in first.device
            ),
            "tenant": tuple(one.model_copy(update={"code": f"N-{one.code}"}) for one in first.tenant),
            "lease": tuple(
                one.model_copy(update={"code": f"N-{one.code}", "tenant": f"N-{one.tenant}"}) for one in first.lease
            ),
        }
    )


@pytest.fixture
async def north(database: Database, park: Park) -> UUID:
    """A second site beside the park; both with tenants and leases, both devices with a point."""
    other = second_site(site_file())
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file)
        site = await assets.register(tx, other)
        await leases.register(tx, site, other)
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute(
            """INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution)
               SELECT organisation_id, site_id, id, code || '.x', 'x', 'gauge', '', 1 FROM devices
               WHERE site_id = %s""",
            [site],
        )
        owner.execute("INSERT INTO latest SELECT id, now(), 1, 0 FROM points")
    return site


async def seen(tx: Transaction) -> dict[str, int]:
    return {table: await tx.value(f"SELECT count(*) FROM {table}".encode()) for table in (*PLACED, "latest_readings")}


async def building_of(database: Database, park: Park, site: UUID) -> UUID:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        found: UUID = await tx.value(
            b"SELECT id FROM spaces WHERE site_id = %(s)s AND kind = 'building' ORDER BY code", {"s": site}
        )
        return found


async def test_a_role_at_a_site_sees_that_site_and_no_other(database: Database, park: Park, north: UUID) -> None:
    async with database.transaction(park.organisation, ENGINEER) as tx:
        whole = await seen(tx)
    parts = []
    for site in (park.site, north):
        async with database.transaction(park.organisation, replace(ENGINEER, places=frozenset({site}))) as tx:
            parts.append(await seen(tx))
            assert await tx.value(b"SELECT array_agg(id) FROM sites") == [site]
    for table, count in whole.items():
        assert [part[table] > 0 for part in parts] == [True, True], table
        assert sum(part[table] for part in parts) == count, table


async def test_a_role_at_a_building_sees_what_stands_in_it(database: Database, park: Park, north: UUID) -> None:
    building = await building_of(database, park, park.site)
    async with database.transaction(park.organisation, replace(ENGINEER, places=frozenset({building}))) as tx:
        counts = await seen(tx)
        for table in ("spaces", "devices", "leases", "points p JOIN devices d ON d.id = p.device_id"):
            assert await tx.value(f"SELECT array_agg(DISTINCT building_id) FROM {table}".encode()) == [building], table
    async with database.transaction(park.organisation, replace(ENGINEER, places=frozenset({park.site}))) as tx:
        site = await seen(tx)
    assert counts["sites"] == 1
    assert all(0 < counts[table] <= site[table] for table in PLACED)
    assert counts["devices"] < site["devices"]
    assert counts["latest_readings"] == counts["points"] < site["points"]


async def test_where_no_place_is_said_nothing_is_seen(park: Park, north: UUID) -> None:
    with psycopg.connect(park.dsns.hub, autocommit=True) as hub:
        hub.execute("SET ROLE plantroom_app")
        hub.execute("SELECT set_config('plantroom.organisation', %s, false)", [str(park.organisation)])
        for table in PLACED:
            assert hub.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), table


async def test_what_is_written_stays_inside_the_places(database: Database, park: Park, north: UUID) -> None:
    async with database.transaction(park.organisation, replace(ENGINEER, places=frozenset({park.site}))) as tx:
        assert await tx.run(b"UPDATE devices SET name_en = 'x' WHERE code LIKE 'N-%%'") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with tx.connection.transaction():
                await tx.run(
                    b"INSERT INTO spaces (organisation_id, site_id, kind, code, name_zh, name_en)"
                    b" VALUES (plantroom.organisation(), %(site)s, 'building', 'Z', 'Z', 'Z')",
                    {"site": north},
                )


async def test_a_transaction_goes_on_unconfined_only_inside_the_block(
    database: Database, park: Park, north: UUID
) -> None:
    async with database.transaction(park.organisation, replace(ENGINEER, places=frozenset({north}))) as tx:
        async with tx.unconfined():
            assert await tx.value(b"SELECT count(*) FROM sites") == 2
        assert await tx.value(b"SELECT count(*) FROM sites") == 1


async def test_a_user_holds_roles_at_scopes_for_as_long_as_they_last(
    database: Database, park: Park, north: UUID
) -> None:
    building = await building_of(database, park, north)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        user = await access.add_user(tx, "zhang", "Zhang", "auditor", PASSWORD)
        await access.grant(tx, user, "engineer", building_id=building, until=NOW.replace(year=2027))
        await access.grant(tx, user, "billing", site_id=park.site, since=NOW.replace(year=2027))
        with pytest.raises(InvalidError, match="contractor cannot be given"):
            async with tx.connection.transaction():
                await access.grant(tx, user, "contractor")
        with pytest.raises(InvalidError, match="cannot be given"):
            async with tx.connection.transaction():
                await access.grant(tx, user, "engineer", site_id=park.site, building_id=building)
    token = (await access.sign_in(database, "zhang", PASSWORD, "127.0.0.1", NOW)).token
    who = await access.visitor(database, token, NOW)
    assert who is not None
    assert who.roles == ("engineer", "auditor")
    assert who.actor(Right.ACKNOWLEDGE_ALARMS).places == {building}
    assert who.actor(Right.SEE_AUDIT).places is None
    assert who.actor(Right.SEE_CONSOLE).places is None
    assert not who.may(Right.RUN_BILLS)


async def test_a_group_looks_after_its_organisations_and_no_others(database: Database, park: Park) -> None:
    with psycopg.connect(park.dsns.owner, autocommit=True) as owner:
        owner.execute("INSERT INTO groups (code, name_zh, name_en) VALUES ('G', '集团', 'Group')")
        owner.execute("UPDATE organisations SET group_id = (SELECT id FROM groups)")
        for code, group in (("SISTER", "(SELECT id FROM groups)"), ("STRANGER", "NULL")):
            added = f"INSERT INTO organisations (code, name_zh, name_en, group_id) VALUES ('{code}', '', '', {group})"
            owner.execute(added.encode())
        ids = dict(owner.execute("SELECT code, id FROM organisations").fetchall())
        async with database.transaction(park.organisation, ENGINEER) as tx:
            user = await access.add_user(tx, "head", "Head", "engineer", PASSWORD)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with tx.connection.transaction():
                    await tx.run(
                        b"INSERT INTO grants (organisation_id, user_id, kind, role, scope, granted_by)"
                        b" VALUES (plantroom.organisation(), %(user)s, 'staff', 'auditor', 'group', 'himself')",
                        {"user": user},
                    )
        token = (await access.sign_in(database, "head", PASSWORD, "127.0.0.1", NOW)).token
        owner.execute("UPDATE sessions SET acting_id = %s", [ids["SISTER"]])
        who = await access.visitor(database, token, NOW)
        assert who is not None
        assert who.grants == ()
        owner.execute(
            "INSERT INTO grants (organisation_id, user_id, kind, role, scope, since, granted_by)"
            " VALUES (%s, %s, 'staff', 'auditor', 'group', %s, 'operator')",
            [park.organisation, user, NOW],
        )
        who = await access.visitor(database, token, NOW)
        assert who is not None
        assert (who.organisation_id, who.roles, who.actor().user_id) == (ids["SISTER"], ("auditor",), None)
        owner.execute("UPDATE sessions SET acting_id = %s", [ids["STRANGER"]])
        assert await access.visitor(database, token, NOW) is None
        owner.execute("UPDATE sessions SET acting_id = NULL")
        assert await access.visitor(database, token, NOW) is not None
        owner.execute("UPDATE organisations SET closed_at = now() WHERE code NOT IN ('SISTER', 'STRANGER')")
        assert await access.visitor(database, token, NOW) is None


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_at_a_building_brings_no_right_over_the_organisation(role: str) -> None:
    held = Grant(role, "building", UUID(int=1), UUID(int=2)).rights
    assert not held & {Right.MANAGE_USERS, Right.SEE_AUDIT, Right.MANAGE_FLOWS, Right.MANAGE_PRIVACY}


def test_a_clearance_holds_only_where_it_was_given() -> None:
    grants = (Grant("engineer", "organisation", None, None), Grant("security", "site", UUID(int=1), None))
    who = Visitor(
        user_id=UUID(int=3), organisation_id=UUID(int=4), home_id=UUID(int=4), login="x", name="X", kind="staff",
        tenant_id=None, language="en", csrf="", expires_at=NOW, grants=grants,
    )  # fmt: skip
    acting = who.actor(Right.SEE_STILLS)
    assert acting.places is None
    assert dict(acting.clearances) == {"see_sensitive_zones": frozenset({UUID(int=1)})}
    assert Actor("plantroom").clearances == ()
