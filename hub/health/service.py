"""Note what the platform did, and measure how far it is behind; the same figures feed metrics and page."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from hub.health.rows import GatewayHealth, Mark, Measured, Tenancy
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)
DIRTY_COUNTED = 1_000_000
GATEWAYS_MAX = 2_000  # of metrics and page: beyond it nobody reads them one by one
SAID_CHARACTERS_MAX = 500
BACKUP = "backup"


async def put(tx: Transaction, mark: Mark) -> None:
    """Note a mark; a failure keeps when it last succeeded."""
    await tx.run(SQL["put_mark"], {**asdict(mark), "said": mark.said[:SAID_CHARACTERS_MAX]})


async def marks(tx: Transaction) -> list[Mark]:
    """Give all marks, by kind and name."""
    return await tx.all(Mark, SQL["marks"])


async def measure(tx: Transaction, now: datetime) -> Measured:
    """Measure what waits, over all organisations; as plantroom_ingest."""
    asked = {"now": now, "most": DIRTY_COUNTED}
    return await tx.one(Measured, SQL["measure"], asked, what="state of the platform")


async def keep(tx: Transaction, states: Mapping[str, float | None], now: datetime) -> None:
    """Keep what was measured, by name, for the page; None: there was nothing to measure."""
    for name, value in states.items():
        await put(tx, Mark("state", name, now, now, 0.0, 0, "", value))


async def gateways(tx: Transaction) -> list[GatewayHealth]:
    """Give the gateways that this transaction may see, GATEWAYS_MAX at most."""
    return await tx.all(GatewayHealth, SQL["gateways"], {"most": GATEWAYS_MAX})


async def tenancies(tx: Transaction) -> list[Tenancy]:
    """Give every organisation; as plantroom_ingest."""
    return await tx.all(Tenancy, SQL["tenancies"])
