"""Enter what files and command lines say into the hub's register."""

from uuid import UUID

import psycopg

from deploy.logins import hub_dsn
from deploy.settings import Settings
from hub.access import service as access
from hub.assets import service as assets
from hub.errors import NotFoundError
from hub.leases import service as leases
from hub.ledger import service as ledger
from hub.store.database import Actor, Database, Transaction
from rules.model.site import SiteFile

ACTOR = Actor("plantroom/command")


async def register(owner_dsn: str, hub: str, file: SiteFile) -> UUID:
    """Register a site with everything in it, give its organisation; doing it again brings it up to date."""
    organisation = assets.open_organisation(owner_dsn, file.organisation)
    database = Database(hub, pool_max=1)
    await database.open()
    try:
        async with database.transaction(organisation, ACTOR) as tx:
            site = await assets.register(tx, file)
            await leases.register(tx, site, file)
            await ledger.open_accounts(tx)
    finally:
        await database.close()
    return organisation


def organisation_id(owner_dsn: str, code: str) -> UUID:
    """Find an organisation by its code; raises NotFoundError that names those that exist."""
    with psycopg.connect(owner_dsn) as connection:
        known: dict[str, UUID] = dict(connection.execute("SELECT code, id FROM organisations ORDER BY code").fetchall())
    if code not in known:
        raise NotFoundError(f"There is no organisation '{code}'; known are: {', '.join(known) or 'none yet'}.")
    return known[code]


async def add_user(
    settings: Settings,
    owner_dsn: str,
    organisation: str,
    login: str,
    name: str,
    role: str,
    password: str,
    tenant: str | None,
) -> None:
    """Add a user; raises the hub's refusals."""
    database = Database(hub_dsn(settings, owner_dsn), pool_max=1)
    await database.open()
    try:
        async with database.transaction(organisation_id(owner_dsn, organisation), ACTOR) as tx:
            tenant_id = await _tenant_id(tx, tenant) if tenant else None
            await access.add_user(tx, login, name, role, password, tenant_id=tenant_id)
    finally:
        await database.close()


async def _tenant_id(tx: Transaction, code: str) -> UUID:
    for tenant in await leases.tenants(tx):
        if tenant.code == code:
            return tenant.id
    raise NotFoundError(f"There is no tenant '{code}'.")
