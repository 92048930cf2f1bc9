"""Gateways: what is online, what waits in their spools, what arrived and could not be used."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.assets import adoption
from hub.assets import service as assets
from hub.assets.rows import Gateway
from hub.store.database import Transaction
from web.export import table
from web.lists import LiveList
from web.session import ConsoleVisit, zone_of

router = APIRouter()
QUARANTINE_SHOWN = timedelta(days=1)


async def gateways(tx: Transaction, filters: Mapping[str, str]) -> list[Gateway]:  # noqa: ARG001 - a list's signature
    """Give every gateway."""
    return await assets.gateways(tx)


LIST = LiveList(
    "gateways", frozenset({"gateway"}), Right.SEE_CONSOLE, "rows/gateway.html", gateways,
    key=lambda row: str(row.id), sort=lambda row: row.code,
)  # fmt: skip


@router.get("/gateways")
async def show(visit: ConsoleVisit) -> HTMLResponse:
    """Show every gateway's health."""
    async with visit.transaction() as tx:
        rows = LIST.rows(await assets.gateways(tx), visit.language, visit.who.rights, await zone_of(tx))
        quarantined = await assets.quarantined(tx, visit.now - QUARANTINE_SHOWN)
        silent = [device for device in await assets.devices(tx) if not device.online]
        said = {
            "rows": rows, "quarantined": quarantined, "silent": silent,
            "strangers": await adoption.strangers(tx), "unsettled": await adoption.unsettled(tx),
        }  # fmt: skip
        return await visit.page(tx, "console/gateways.html", **said)


@router.get("/gateways.csv")
async def export(visit: ConsoleVisit) -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        return table("gateways", [_cells(row) for row in await assets.gateways(tx)])


def _cells(row: Gateway) -> dict[str, Any]:
    return {
        "gateway": row.code, "online": row.online, "version": row.version, "born_at": row.born_at,
        "seen_at": row.seen_at,
        "spool_depth": row.depth, "committed": row.committed, "clock_step_ms": row.clock_step_ms,
        "skew_ms": row.skew_ms, "spool_percent": row.spool_percent, "dropped": row.dropped,
        "dropped_at": row.dropped_at,
        "rival_seen_at": row.rival_seen_at, "certificate_ends_at": row.certificate_ends_at,
        "certificate_revoked_at": row.certificate_revoked_at, "configuration": row.configuration,
        "configuration_state": row.configuration_state, "configuration_reason": row.configuration_reason,
        "configuration_wanted": row.configuration_wanted, "devices": row.devices,
        "devices_online": row.devices_online,
    }  # fmt: skip
