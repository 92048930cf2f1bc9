"""Builders of the things that many tests stand on."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from hub.access.rights import RIGHTS
from hub.assets import service as assets
from hub.store.database import Actor, Database
from rules.model.site import SiteFile, parse
from web.throttle import Rate, Rates

RIVERSIDE = Path(__file__).parents[1] / "deploy" / "sites" / "riverside.toml"


def acting(name: str, role: str, user_id: UUID | None = None, tenant_id: UUID | None = None) -> Actor:
    """Somebody with one role in the whole organisation."""
    return Actor(name, user_id, RIGHTS[role], tenant_id=tenant_id, contractor=role == "contractor")


ENGINEER = acting("test-engineer", "engineer")
WIDE = Rates(*[Rate(1_000_000, 1_000_000)] * 6)  # for tests that ask more than any visitor does

# What the profiles declare at a birth: measure -> kind, unit, resolution, modulus.
MEASURES: dict[str, dict[str, tuple[str, str, str, str | None]]] = {
    "rs-em3": {"energy": ("counter", "kWh", "0.01", "1000000.00"), "power": ("gauge", "kW", "0.001", None)},
    "rs-em1": {"energy": ("counter", "kWh", "0.1", "10000.0"), "power": ("gauge", "kW", "0.001", None)},
    "rs-wm1": {"volume": ("counter", "m³", "0.001", "100000.000"), "flow": ("gauge", "m³/h", "0.001", None)},
    "rs-ahu1": {
        "supply_temp": ("gauge", "°C", "0.1", None),
        "supply_setpoint": ("gauge", "°C", "0.1", None),
        "outdoor_temp": ("gauge", "°C", "0.1", None),
        "fan_running": ("state", "", "1", None),
        "freeze_trip": ("state", "", "1", None),
    },
}


@dataclass(frozen=True)
class Dsns:
    """A fresh migrated database: the owner's login and the hub's."""

    owner: str
    hub: str


@dataclass(frozen=True)
class Park:
    """A registered site, with points as births would have made them."""

    organisation: UUID
    site: UUID
    file: SiteFile
    devices: Mapping[str, UUID]
    points: Mapping[str, int]
    dsns: Dsns


def site_file(path: Path = RIVERSIDE) -> SiteFile:
    """The parsed site file."""
    return parse(tomllib.loads(path.read_text("utf-8")))


async def register_park(database: Database, dsns: Dsns, file: SiteFile) -> Park:
    """Register ``file`` and give its devices their points."""
    organisation = assets.open_organisation(dsns.owner, file.organisation)
    async with database.transaction(organisation, ENGINEER) as tx:
        site = await assets.register(tx, file)
        devices = {device.code: device.id for device in await assets.devices(tx)}
    return Park(organisation, site, file, devices, _add_points(dsns, organisation, site, file, devices), dsns)


def _add_points(
    dsns: Dsns, organisation: UUID, site: UUID, file: SiteFile, devices: Mapping[str, UUID]
) -> dict[str, int]:
    points: dict[str, int] = {}
    with psycopg.connect(dsns.owner) as connection:
        for device in file.device:
            for measure, declared in MEASURES[device.profile].items():
                code = f"{device.code}.{measure}"
                found = connection.execute(
                    """INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution,
                       modulus) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id""",
                    [organisation, site, devices[device.code], code, measure, *declared],
                ).fetchone()
                assert found is not None
                points[code] = found[0]
    return points
