"""What the demo's cameras and doors saw, and whom to speak to at a tenant: everything made up, and marked so."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from deploy.register import ACTOR
from hub.leases import parties
from hub.leases.rows import Card
from hub.store.database import Database
from hub.surveillance import service as surveillance
from hub.surveillance import stills
from hub.surveillance.service import Reported
from hub.surveillance.stills import Taken
from rules.model.site import SiteFile
from simulators import camera

SEED = 7
CAMERAS = (("A-LOBBY", "CAM-A-1", 2), ("B-SERVER", "CAM-B-7", 1))  # zone, camera, how many people are in front of it
HOLDERS = (("1001", "温佳"), ("1002", "申远"), ("1003", "Ada Moss"))
PASSED = (  # hours ago, zone, door, holder, result
    (9.0, "GATE", "D-GATE", 0, "granted"), (8.6, "A-LOBBY", "D-A-1", 0, "granted"),
    (8.2, "GATE", "D-GATE", 1, "granted"), (7.9, "B-LOBBY", "D-B-1", 1, "granted"),
    (7.7, "B-SERVER", "D-B-7", 1, "granted"), (5.4, "B-SERVER", "D-B-7", 2, "denied"),
    (3.1, "B-SERVER", "D-B-7", None, "held"), (1.2, "GATE", "D-GATE", 2, "granted"),
)  # fmt: skip
CARD = Card("周静", "行政主管", "021-5555 0100", "zhou.jing@example.com")
ACCOUNT = ("示例银行", "6222000011112222333")  # no bank has this number


async def seen(database: Database, organisation: UUID, file: SiteFile, now: datetime) -> None:
    """Enter it once; when it has outlived its period, it is entered anew."""
    async with database.transaction(organisation, ACTOR) as tx:
        if await stills.cameras(tx):
            return
        for zone, code, people in CAMERAS:
            at = (now - timedelta(hours=3)).replace(microsecond=0)
            picture = await asyncio.to_thread(camera.still, code, SEED, at, people)
            developed = await asyncio.to_thread(stills.develop, picture)
            await stills.add(tx, Taken(file.site.code, zone, code, at, "motion", developed), now)
        await surveillance.add_badge_events(tx, file.site.code, _passed(organisation, now), now)
        tenant = await parties.tenant(tx, file.tenant[0].code)
        if not await parties.contacts(tx, tenant.id):
            await parties.add_contact(tx, tenant.id, CARD, now)
            await parties.add_bank_account(tx, tenant.id, tenant.name_zh, *ACCOUNT, now)


def _passed(organisation: UUID, now: datetime) -> list[Reported]:
    told = []
    for n, (hours, zone, door, holder, result) in enumerate(PASSED):
        at = (now - timedelta(hours=hours)).replace(microsecond=0)
        badge, name = HOLDERS[holder] if holder is not None else (None, "")
        told.append(Reported(uuid5(organisation, f"{n} {at.isoformat()}"), zone, door, at, result, badge, name))
    return told
