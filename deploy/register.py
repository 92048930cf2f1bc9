"""Enter what files and command lines say into the hub's register."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg

from hub.assets import service as assets
from hub.commands import service as commands
from hub.errors import NotFoundError
from hub.leases import service as leases
from hub.ledger import service as ledger
from hub.metering import service as metering
from hub.store.database import Actor, Database, Role, Transaction
from hub.surveillance import service as surveillance
from rules.model.site import SiteFile

ACTOR = Actor("plantroom/command")


@asynccontextmanager
async def transaction(hub: str, organisation: UUID | None, role: Role = Role.APP) -> AsyncIterator[Transaction]:
    """Open the one transaction of a command."""
    database = Database(hub, pool_max=1)
    await database.open()
    try:
        async with database.transaction(organisation, ACTOR, role) as tx:
            yield tx
    finally:
        await database.close()


async def register(owner_dsn: str, hub: str, file: SiteFile) -> UUID:
    """Register a site with everything in it, give its organisation; doing it again brings it up to date."""
    organisation = assets.open_organisation(owner_dsn, file.organisation)
    async with transaction(hub, organisation) as tx:
        site = await assets.register(tx, file)
        await leases.register(tx, site, file)
        await surveillance.register(tx, site, file)
        await commands.register(tx, site, file)
        await metering.register(tx, site, file)
        await ledger.open_accounts(tx)
    return organisation


def organisation_id(owner_dsn: str, code: str | None) -> UUID:
    """Find an organisation by its code, or the only one; raises NotFoundError that names those that exist."""
    with psycopg.connect(owner_dsn) as connection:
        known: dict[str, UUID] = dict(connection.execute("SELECT code, id FROM organisations ORDER BY code").fetchall())
    if code is None and len(known) == 1:
        return next(iter(known.values()))
    if code is None or code not in known:
        asked = f"There is no organisation '{code}'" if code else "Name one with --organisation"
        raise NotFoundError(f"{asked}; known are: {', '.join(known) or 'none yet'}.")
    return known[code]
