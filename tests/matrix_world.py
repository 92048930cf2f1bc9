"""The world of the matrix test: one organisation with two sites, another organisation, and everybody in them.

Every thing carries the mark of its realm in its code or name, so that a page that shows what it should not gives itself
away: ``NORTHMARK`` the other site, ``OTHERMARK`` the other organisation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from hub.access import service as access
from hub.access.rights import RIGHTS
from hub.assets import service as assets
from hub.leases import service as leases
from hub.store.database import Database
from rules.model.site import SiteFile
from tests.builders import Dsns, acting, site_file
from tests.matrix_approvals import Approvable, furnish_approvals, own_requests
from tests.matrix_people import Kept, furnish

Realm = Literal[
    "own", "north", "other"
]  # the visitor's site, the other site of his organisation, the other organisation
REALMS: tuple[Realm, ...] = ("own", "north", "other")
MARKS = {"own": "", "north": "NORTHMARK", "other": "OTHERMARK"}
NUMBERS = {"own": 100, "north": 200, "other": 300}
PASSWORD = "only for these tests"
EVIDENCE = {
    "rule": "rules.lease.rent.prorate",
    "units": [{"unit": "A-101", "area_m2": "1", "price": "1"}],
    "full": "1",
    "days": 30,
    "of_days": 30,
    "convention": "actual_actual",
    "rounding": {"places": 2, "mode": "ROUND_HALF_UP", "each": "charge"},
    "tax": {"code": "rent", "percent": "0", "net": "1", "tax": "0"},
}
NOW = datetime.now(UTC).replace(microsecond=0)

# Roles of one whole organisation, and the same roles at one site.
STAFF = ("administrator", "manager", "engineer", "technician", "billing", "security", "auditor")
OUTSIDE = ("tenant", "contractor")
SITE_ONLY = "@site"
VISITORS = (*STAFF, *OUTSIDE, *(f"{role}{SITE_ONLY}" for role in STAFF))


def file_of(realm: Realm) -> SiteFile:
    """Riverside Park as this realm has it, every code and name marked."""
    first, mark = site_file(), MARKS[realm]
    if not mark:
        return first

    def marked(row: Any, **more: Any) -> Any:
        names = {"code": f"{mark}-{row.code}", "name_zh": f"{row.name_zh} {mark}", "name_en": f"{row.name_en} {mark}"}
        return row.model_copy(update={**{k: v for k, v in names.items() if hasattr(row, k)}, **more})

    tenants = tuple(marked(one) for one in first.tenant)
    return first.model_copy(
        update={
            "organisation": first.organisation if realm == "north" else marked(first.organisation),
            "site": marked(first.site, code=mark),
            "device": tuple(marked(one, parent=f"{mark}-{one.parent}" if one.parent else None) for one in first.device),
            "tenant": tenants,
            "lease": tuple(
                one.model_copy(update={"code": f"{mark}-{one.code}", "tenant": f"{mark}-{one.tenant}"})
                for one in first.lease
            ),
        }
    )


@dataclass(frozen=True)
class Place:
    """What one realm has: its organisation and site, and one of each thing."""

    realm: Realm
    organisation: UUID
    site: UUID
    device: UUID
    device_code: str
    point: str
    space: UUID
    building: UUID
    tenant: UUID
    lease: str
    alarm: UUID
    order: int
    invoice: str
    kept: Kept  # about people
    user: UUID = field(default_factory=uuid4)
    leaver: UUID = field(default_factory=uuid4)
    grant: UUID = field(default_factory=uuid4)
    command: UUID = field(default_factory=uuid4)
    asked: Approvable | None = None
    point_id: int = 0


@dataclass(frozen=True)
class World:
    """Everything, with the ids of the users and the numbers of what is each one's own."""

    places: Mapping[Realm, Place]
    users: Mapping[str, UUID]
    jobs: Mapping[str, int]
    requests: Mapping[str, int]  # for approval, by who submitted them


async def build(database: Database, dsns: Dsns) -> World:
    """Fill a migrated database."""
    places = {realm: await _place(database, dsns, realm) for realm in REALMS}
    own = places["own"]
    users = {}
    async with database.transaction(own.organisation, acting("test", "administrator")) as tx:
        for role in (*STAFF, *OUTSIDE):
            tenant = own.tenant if role == "tenant" else None
            users[role] = await access.add_user(tx, role, role, role, PASSWORD, tenant_id=tenant, language="en")
        for role in STAFF:
            login = f"{role}{SITE_ONLY}"
            name = login.replace("@", ".")
            users[login] = await access.add_user(tx, name, name, role, PASSWORD, language="en")
    with psycopg.connect(dsns.owner) as owner:
        for role in STAFF:
            owner.execute(
                "UPDATE grants SET scope = 'site', site_id = %s WHERE user_id = %s",
                [own.site, users[f"{role}{SITE_ONLY}"]],
            )
        jobs = {
            login: _order(owner, own, NUMBERS["own"] + 10 + n, users[login])
            for n, login in enumerate(("technician", "technician@site", "contractor"))
        }
    requests = await own_requests(database, own.organisation, own.site, users)
    return World(places, users, jobs, requests)


async def _place(database: Database, dsns: Dsns, realm: Realm) -> Place:
    file, number, mark = file_of(realm), NUMBERS[realm], MARKS[realm]
    organisation = assets.open_organisation(dsns.owner, file.organisation)
    async with database.transaction(organisation, acting("test", "administrator")) as tx:
        site = await assets.register(tx, file)
        await leases.register(tx, site, file)
        device = next(one for one in await assets.devices(tx, site) if one.role == "tenant")
        lease = next(one for one in await leases.leases(tx) if one.site_id == site)
        user = await access.add_user(tx, f"spy{number}", f"Spy {mark}", "technician", PASSWORD)
        leaver = await access.add_user(tx, f"leaver{number}", f"Leaver {mark}", "technician", PASSWORD)
    with psycopg.connect(dsns.owner) as owner:
        (building,) = owner.execute("SELECT building_id FROM spaces WHERE id = %s", [device.space_id]).fetchone() or ()
        point = f"{device.code}.energy"
        owner.execute(
            """INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution)
               VALUES (%s, %s, %s, %s, 'energy', 'counter', 'kWh', 0.01)""",
            [organisation, site, device.id, point],
        )
        if realm == "north":
            owner.execute(
                "UPDATE grants SET scope = 'site', site_id = %s WHERE user_id = ANY(%s)", [site, [user, leaver]]
            )
        owner.execute("INSERT INTO latest SELECT id, %s, 4711, 192 FROM points WHERE code = %s", [NOW, point])
        owner.execute(
            "INSERT INTO strangers VALUES (%s, %s, 'GW-STRANGE', 'D-1', %s, %s, %s)",
            [organisation, site, mark, NOW, NOW],
        )
        alarm = uuid4()
        owner.execute(
            """INSERT INTO alarms (id, organisation_id, site_id, device_id, rule, rule_version, priority, name_zh,
                                   name_en, condition_began_at, raised_at)
               VALUES (%s, %s, %s, %s, 'r', 1, 'low', %s, %s, %s, %s)""",
            [alarm, organisation, site, device.id, f"A {mark}", f"A {mark}", NOW, NOW],
        )
        (grant,) = owner.execute("SELECT id FROM grants WHERE user_id = %s", [user]).fetchone() or ()
        place = Place(
            realm, organisation, site, device.id, device.code, point, device.space_id, building, lease.tenant_id,
            lease.code, alarm, number, f"INV-{mark}-{number}",
            furnish(owner, organisation, site, lease.tenant_id, mark), user, leaver=leaver, grant=grant,
        )  # fmt: skip
        _order(owner, place, number, None)
        _command(owner, place)
        place = replace(place, point_id=_correction(owner, place, number))
        _invoice(owner, place, lease.id)
    asked = await furnish_approvals(database, dsns, realm, mark, organisation, site, number, user)
    return replace(place, asked=asked)


def _order(owner: psycopg.Connection[Any], place: Place, number: int, assignee: UUID | None) -> int:
    title = f"Order {number} {MARKS[place.realm]}"
    owner.execute(
        """INSERT INTO work_orders (organisation_id, site_id, device_id, space_id, number, title_zh, title_en, skill,
                                    zone, priority, state, assignee_id, created_at, changed_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, 'hvac', 'A', 'low', %s, %s, %s, %s)""",
        [place.organisation, place.site, place.device, place.space, number, title, title,
         "assigned" if assignee else "requested", assignee, NOW, NOW],
    )  # fmt: skip
    return number


def _command(owner: psycopg.Connection[Any], place: Place) -> None:
    """Somebody's wish for the point, which may be set."""
    owner.execute(
        "INSERT INTO allowances VALUES (%s, %s, 'energy', 0, 10, 1, false, false)", [place.organisation, place.device]
    )
    owner.execute(
        """INSERT INTO commands (id, organisation_id, device_id, measure, value, reason, critical, given_by, asked_at,
                                 state)
           VALUES (%s, %s, %s, 'energy', 1, %s, false, 'spy', %s, 'asked')""",
        [place.command, place.organisation, place.device, MARKS[place.realm], NOW],
    )


def _correction(owner: psycopg.Connection[Any], place: Place, number: int) -> int:
    """A reading that somebody wants added to the point; gives the point's id."""
    (point,) = owner.execute("SELECT id FROM points WHERE code = %s", [place.point]).fetchone() or ()
    owner.execute(
        """INSERT INTO corrections (id, organisation_id, number, point_id, point, kind, first_at, last_at, lines,
                                    digest, reason, billing, bills, effect, asked_by, asked_at, state)
           VALUES (%s, %s, %s, %s, %s, 'add', %s, %s, 0, '', %s, true, '{}', '[]', 'spy', %s, 'proposed')""",
        [uuid4(), place.organisation, number, point, place.point, NOW, NOW, f"R {MARKS[place.realm]}", NOW],
    )
    return int(point)


def _invoice(owner: psycopg.Connection[Any], place: Place, lease: UUID) -> None:
    invoice = uuid4()
    owner.execute(
        """INSERT INTO invoices (id, organisation_id, site_id, tenant_id, lease_id, number, period_start, period_end,
                                 issued_on, due_on, currency, net, tax, total, lines)
           VALUES (%s, %s, %s, %s, %s, %s, '2026-09-01', '2026-10-01', '2026-10-01', '2026-10-15', 'CNY', 1, 0, 1,
                   1)""",
        [invoice, place.organisation, place.site, place.tenant, lease, place.invoice],
    )
    said = f"Rent {MARKS[place.realm]}"
    owner.execute(
        """INSERT INTO charges (organisation_id, tenant_id, lease_id, invoice_id, kind, period_start, period_end, line,
                                description_zh, description_en, quantity, unit, amount, tax_code, tax_rate, tax,
                                evidence)
           VALUES (%s, %s, %s, %s, 'rent', '2026-09-01', '2026-10-01', 1, %s, %s, 1, 'm²', 1, 'rent', 0, 0, %s)""",
        [place.organisation, place.tenant, lease, invoice, said, said, Jsonb(EVIDENCE)],
    )


def roles(*names: str) -> Iterator[str]:
    """Check role names early: a misspelt one would declare nothing."""
    for name in names:
        assert name in RIGHTS, name
        yield name
