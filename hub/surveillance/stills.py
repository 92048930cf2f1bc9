"""Take in stills, look at them, keep them as evidence.  Every look is recorded: who, at what, why."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from hub.audit import service as audit
from hub.documents import picture
from hub.errors import ConflictError, InvalidError
from hub.store.database import Transaction
from hub.store.sql import queries
from hub.surveillance import service as surveillance
from hub.surveillance.rows import Door, Held, Picture, Still

SQL = queries(__package__)

KINDS = ("motion", "alarm", "request", "manual")
SHOWN_MAX = 60
EXPORTED_MAX = 5_000
EVIDENCE_DAYS_MAX = 1_096
BYTES_MAX = 2_097_152  # of what is kept, as migration 0013 says
SIDE_OF_LARGE = 1_600  # a picture that takes more is made so long
SIDE_OF_THUMBNAIL = 320
NOT_OPAQUE = "A still has no transparent parts; send it as JPEG."


@dataclass(frozen=True, slots=True)
class Developed:
    """A camera's picture as it is kept, and small (both JPEG)."""

    picture: bytes
    thumbnail: bytes
    width: int
    height: int


def develop(data: bytes) -> Developed:
    """Give what a camera sent as it is kept; takes a second of a core.  Raises InvalidError for what is no picture."""
    found = picture.clean(data)
    if found.media_type != "image/jpeg":
        raise InvalidError(NOT_OPAQUE)
    if len(found.data) > BYTES_MAX:
        found = picture.shrunk(found, SIDE_OF_LARGE)
    thumbnail = picture.shrunk(found, SIDE_OF_THUMBNAIL)
    return Developed(found.data, thumbnail.data, found.width, found.height)


@dataclass(frozen=True, slots=True)
class Taken:
    """A still as a camera sends it; ``badge`` was read at the same moment."""

    site: str
    zone: str
    camera: str
    at: datetime
    kind: str
    developed: Developed
    badge: str | None = None
    name: str = ""
    id: UUID | None = None  # the sender's; None: it is made here


@dataclass(frozen=True, slots=True)
class Filter:
    """Which stills somebody wants to see."""

    camera: str | None = None
    zone: str | None = None
    start: datetime | None = None
    end: datetime | None = None


async def add(tx: Transaction, taken: Taken, now: datetime) -> bool:
    """Take in a still and give whether it is new; the same again adds nothing.

    Raises NotFoundError for an unknown zone, ConflictError for another picture of the same camera and moment.
    """
    surveillance.check_time(taken.at, now)
    zone = await surveillance.zone(tx, taken.site, taken.zone)
    row = {
        "id": taken.id or uuid4(),
        "site": zone.site_id,
        "zone": zone.id,
        "camera": taken.camera,
        "at": taken.at,
        "kind": taken.kind,
        "holder": await surveillance.holder(tx, zone.site_id, taken.badge, taken.name, now),
        **asdict(taken.developed),
        "sha256": hashlib.sha256(taken.developed.picture).digest(),
        "source": tx.actor.name,
        "now": now,
    }
    if await tx.run(SQL["add_still"], row):
        await audit.record(tx, "sent in", "still", row["id"], {"camera": taken.camera, "at": taken.at.isoformat()})
        return True
    held = await tx.maybe(Held, SQL["still_at"], row)  # None: in a zone that the sender does not see
    if held is not None and held.sha256 != row["sha256"]:
        raise ConflictError(f"Camera '{taken.camera}' has sent another picture of {taken.at.isoformat()}.")
    return False


async def cameras(tx: Transaction) -> list[str]:
    """Give the codes of the cameras that have sent something."""
    return [camera.code for camera in await tx.all(Door, SQL["cameras"], {"most": surveillance.CODES_MAX})]


async def browse(tx: Transaction, asked: Filter, *, export: bool = False) -> list[Still]:
    """Give stills, newest first, without their pictures; that somebody looked through them is recorded."""
    most = EXPORTED_MAX if export else SHOWN_MAX
    found = await _stills(tx, asked, most)
    said = {
        "camera": asked.camera or "",
        "zone": asked.zone or "",
        "from": asked.start.isoformat() if asked.start else "",
        "to": asked.end.isoformat() if asked.end else "",
        "found": len(found),
    }
    await audit.record(tx, "exported a list of" if export else "looked through", "stills", asked.camera or "", said)
    return found


async def still(tx: Transaction, still_id: UUID) -> Still:
    """Give one still without its picture; raises NotFoundError."""
    asked = {"id": still_id, "camera": None, "zone": None, "start": None, "end": None, "most": 1}
    return await tx.one(Still, SQL["stills"], asked, what="still")


async def look(tx: Transaction, still_id: UUID, reason: str, *, taken_along: bool = False) -> tuple[Still, bytes]:
    """Give a still with its picture (JPEG); the look is recorded.  Raises InvalidError where a reason is needed."""
    found = await still(tx, still_id)
    act = "took along" if taken_along else "opened"
    said = {"camera": found.camera, "zone": found.zone, "at": found.at.isoformat()}
    await audit.record(tx, f"{act}, sensitive zone" if found.sensitive else act, "still", still_id, said, reason=reason)
    return found, (await tx.one(Picture, SQL["picture"], {"id": still_id}, what="still")).data


async def thumbnail(tx: Transaction, still_id: UUID) -> bytes:
    """Give the small picture (JPEG) of a still in a zone that is not sensitive; raises NotFoundError."""
    return (await tx.one(Picture, SQL["thumbnail"], {"id": still_id}, what="still")).data


async def keep(tx: Transaction, still_id: UUID, until: datetime, reason: str, now: datetime) -> None:
    """Keep a still as evidence beyond its period; raises InvalidError for a time in the past or too far off."""
    found = await still(tx, still_id)
    if not now < until <= now + timedelta(days=EVIDENCE_DAYS_MAX):
        raise InvalidError(f"Evidence is kept to a day in the future, at most {EVIDENCE_DAYS_MAX} days away.")
    await tx.run(SQL["keep_still"], {"id": still_id, "until": until})
    changed = {"kept_until": [found.kept_until.isoformat() if found.kept_until else "", until.isoformat()]}
    await audit.record(tx, "kept as evidence", "still", still_id, {"changed": changed}, reason=reason)


async def _stills(tx: Transaction, asked: Filter, most: int) -> list[Still]:
    return await tx.all(
        Still, SQL["stills"],
        {"id": None, "camera": asked.camera, "zone": asked.zone, "start": asked.start, "end": asked.end, "most": most},
    )  # fmt: skip
