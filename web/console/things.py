"""What the record is about, under the names and addresses that other pages know it by."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from hub.access import administration
from hub.access.rights import Right
from hub.alarms import service as alarms
from hub.approvals import views as approvals
from hub.assets import service as assets
from hub.billing import service as billing
from hub.errors import HubError
from hub.leases import service as leases
from hub.store.database import Transaction
from hub.work import service as work


@dataclass(frozen=True, slots=True)
class Thing:
    """What the record is about, as other pages call it; ``path`` is '' where it has no page."""

    name: str
    path: str = ""


Find = Callable[[Transaction, UUID], Awaitable[Thing]]


async def _alarm(tx: Transaction, key: UUID) -> Thing:
    found = await alarms.one(tx, key)
    return Thing(found.device, f"/alarms/{key}")


async def _order(tx: Transaction, key: UUID) -> Thing:
    found = await work.one(tx, key)
    return Thing(f"#{found.number}", f"/orders/{found.number}")


async def _lease(tx: Transaction, key: UUID) -> Thing:
    code = (await leases.lease(tx, key)).code
    return Thing(code, f"/leases/{quote(code, safe='')}")


async def _tenant(tx: Transaction, key: UUID) -> Thing:
    code = (await leases.tenant(tx, key)).code
    return Thing(code, f"/leases?tenant={quote(code, safe='')}")


async def _invoice(tx: Transaction, key: UUID) -> Thing:
    number = (await billing.invoice(tx, key)).number
    return Thing(number, f"/invoices/{quote(number, safe='')}")


async def _user(tx: Transaction, key: UUID) -> Thing:
    return Thing((await administration.user(tx, key)).login)


async def _site(tx: Transaction, key: UUID) -> Thing:
    return Thing(next((site.code for site in await assets.sites(tx) if site.id == key), ""))


async def _device(tx: Transaction, key: UUID) -> Thing:
    code = next((device.code for device in await assets.devices(tx) if device.id == key), "")
    return Thing(code, f"/points?q={quote(code, safe='')}" if code else "")


async def _approval(tx: Transaction, key: UUID) -> Thing:
    number = (await approvals.of_id(tx, key)).number
    may_open = tx.actor.may(Right.APPROVE) or tx.actor.may(Right.REQUEST_APPROVAL)
    return Thing(f"#{number}", f"/approvals/{number}" if may_open else "")


THINGS: Mapping[str, Find] = {
    "alarm": _alarm, "work order": _order, "lease": _lease, "tenant": _tenant, "invoice": _invoice, "user": _user,
    "site": _site, "device": _device, "approval": _approval,
}  # fmt: skip


async def thing(tx: Transaction, entity: str, entity_id: str) -> Thing:
    """Give what the thing is called, '' where it is gone or has no name."""
    try:
        return await THINGS[entity](tx, UUID(entity_id))
    except (KeyError, ValueError, HubError):
        return Thing("")
