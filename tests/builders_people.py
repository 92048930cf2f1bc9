"""What is kept about people: zones, stills, badge events, contacts, bank accounts."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID, uuid4

from PIL import Image, ImageDraw

from hub.leases import parties
from hub.leases import service as leases
from hub.leases.rows import Card
from hub.store.database import Database, Transaction
from hub.surveillance import service as surveillance
from hub.surveillance import stills
from hub.surveillance.service import Reported
from rules.model.site import SiteFile
from tests.builders import Park, acting

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
ACCOUNT = "6222020200112230000"
CLEARED = (("see_sensitive_zones", None),)
GUARD = replace(acting("guard", "security"), clearances=CLEARED)
YOUNG_GUARD = acting("young-guard", "security")  # not cleared
CLERK = replace(acting("clerk", "billing"), clearances=(("see_bank_accounts", None),))
SENDER = acting("camera-bridge", "integration")
OFFICER = acting("officer", "administrator")
OPEN, SENSITIVE = "A-LOBBY", "B-SERVER"


def drawn(text: str, size: tuple[int, int] = (320, 180)) -> bytes:
    """A JPEG that is clearly not a photograph."""
    image = Image.new("RGB", size, "#dde2e6")
    ImageDraw.Draw(image).text((10, 10), text, fill="#000")
    said = BytesIO()
    image.save(said, "JPEG")
    return said.getvalue()


def taken(zone: str, at: datetime, camera: str = "", **more: str) -> stills.Taken:
    """A still of a zone, by the zone's own camera."""
    developed = stills.develop(drawn(f"{zone} {at:%H:%M}"))
    return stills.Taken("RIVERSIDE", zone, camera or f"CAM-{zone}", at, "motion", developed, **more)


def passed(zone: str, at: datetime, badge: str | None = None, name: str = "", result: str = "granted") -> Reported:
    """Somebody at the door of a zone."""
    return Reported(uuid4(), zone, f"DOOR-{zone}", at, result, badge, name)


@dataclass(frozen=True)
class Watched:
    """A park with a tenant's contact and account, and one still and one badge event in each of two zones."""

    park: Park
    tenant: UUID
    tenant_code: str
    contact: UUID
    account: UUID


async def watch(database: Database, park: Park, now: datetime = NOON, file: SiteFile | None = None) -> Watched:
    """Fill the park with what is kept about people."""
    async with database.transaction(park.organisation, OFFICER) as tx:
        await leases.register(tx, park.site, file or park.file)
        await surveillance.register(tx, park.site, file or park.file)
        tenant = (await leases.tenants(tx))[0]
        card = Card("赵敏", "经理", "+86 138 0013 8000", "zhao@example.com")
        contact = await parties.add_contact(tx, tenant.id, card, now)
    async with database.transaction(park.organisation, CLERK) as tx:
        account = await parties.add_bank_account(tx, tenant.id, tenant.name_zh, "示例银行", ACCOUNT, now)
    async with database.transaction(park.organisation, SENDER) as tx:
        await send(tx, now)
    return Watched(park, tenant.id, tenant.code, contact, account)


async def send(tx: Transaction, now: datetime) -> None:
    """One still and one badge event in each of two zones."""
    for zone in (OPEN, SENSITIVE):
        await stills.add(tx, taken(zone, now - timedelta(hours=1), badge="0042", name="孙悦"), now)
        await surveillance.add_badge_events(
            tx, "RIVERSIDE", [passed(zone, now - timedelta(hours=1), "0042", "孙悦")], now
        )
