"""Which flow governs what on a day: those that come with the program, and the organisation's own before them."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from uuid import UUID
from zoneinfo import ZoneInfo

import yaml

from hub.approvals.rows import Book, Dated, OwnVersion, Zone
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.flow.definition import Flow, Version, in_force, parse_flows

SQL = queries(__package__)
UTC_ZONE = ZoneInfo("UTC")


@cache
def shipped() -> Mapping[str, Flow]:
    """Give the flows that come with the program; raises InvalidDefinitionError."""
    return parse_flows(yaml.safe_load(files("rules").joinpath("definitions", "flows.yaml").read_text("utf-8")))


async def today(tx: Transaction, now: datetime, site_id: UUID | None = None) -> date:
    """Give the day at a site, or at the organisation's first."""
    found = await tx.maybe(Zone, SQL["zone"], {"site": site_id})
    return now.astimezone(ZoneInfo(found.timezone) if found else UTC_ZONE).date()


async def own_versions(
    tx: Transaction, kind: str | None = None, *, version_id: UUID | None = None, adopted: bool = False
) -> list[OwnVersion]:
    """Give the organisation's own versions, proposed ones too, the latest first day first."""
    return await tx.all(OwnVersion, SQL["own_versions"], {"kind": kind, "id": version_id, "adopted": adopted})


async def book(tx: Transaction, day: date) -> Book:
    """Give every flow, and of each the version in force on ``day``."""
    own: dict[str, list[Flow]] = {}
    for row in await own_versions(tx, adopted=True):
        own.setdefault(row.kind, []).append(Flow.model_validate(row.definition))
    kinds = dict.fromkeys((*shipped(), *own))
    flows = {kind: _joined(shipped().get(kind), own.get(kind, []), day) for kind in kinds}
    held = {kind: _in_force(shipped().get(kind), own.get(kind, []), day) for kind in kinds}
    return Book(day, flows, {kind: version for kind, version in held.items() if version is not None})


async def history(tx: Transaction, kind: str, day: date) -> list[Dated]:
    """Give all versions of a flow, proposed ones first, then the latest first day; which holds on ``day``."""
    rows = await own_versions(tx, kind)
    own = [(row, Flow.model_validate(row.definition).versions[0]) for row in rows]
    adopted = [version for row, version in own if row.adopted_at is not None]
    came = shipped()[kind].versions if kind in shipped() else ()
    now_held = in_force(adopted, day) or in_force(came, day)
    listed = [Dated(version, row, row.adopted_at is not None and version == now_held) for row, version in own]
    listed += [Dated(version, None, version == now_held) for version in came]
    proposed = [one for one in listed if one.own is not None and one.own.adopted_at is None]
    rest = [one for one in listed if one not in proposed]
    return proposed + sorted(rest, key=lambda one: (one.version.valid_from, one.own is not None), reverse=True)


def _in_force(came: Flow | None, own: list[Flow], day: date) -> Version | None:
    """Own versions go before those that came with the program, from their first day."""
    ours = in_force([flow.versions[0] for flow in own], day)
    return ours or (came.version(day) if came is not None else None)


def _joined(came: Flow | None, own: list[Flow], day: date) -> Flow:
    """Give the flow under the names that hold on ``day``, with all versions."""
    versions = tuple(flow.versions[0] for flow in own)
    ours = in_force(versions, day)
    named = next((flow for flow in own if flow.versions[0] == ours), None) or came or own[0]
    return named.model_copy(update={"versions": (*versions, *(came.versions if came else ()))})
