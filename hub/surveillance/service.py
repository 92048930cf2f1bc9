"""Enter zones; take in what doors report; search it.  Who searches is recorded, with what he was shown and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from hub.surveillance.rows import BadgeEvent, Door, Sent, Zone
from rules.model.site import SiteFile

SQL = queries(__package__)

EVENTS_MAX = 500  # in one batch
SHOWN_MAX = 500
EXPORTED_MAX = 20_000
SEARCH_DAYS_MAX = 92
CODES_MAX = 500
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)  # a clock that says less was never set
CLOCK_AHEAD = timedelta(minutes=5)  # a door's or camera's clock may be off by so much
RESULTS = ("granted", "denied", "forced", "held")


@dataclass(frozen=True, slots=True)
class Reported:
    """One badge event as a door reports it; ``id`` is the sender's, ``badge`` None where nobody showed one."""

    id: UUID
    zone: str
    door: str
    at: datetime
    result: str
    badge: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody looks for among badge events; ``person`` is part of a name, or a badge number."""

    start: datetime
    end: datetime
    person: str | None = None
    door: str | None = None
    zone: str | None = None
    result: str | None = None


async def register(tx: Transaction, site_id: UUID, file: SiteFile) -> None:
    """Enter the zones of a site file; what is there already is brought up to date."""
    before = {zone.code: zone for zone in await zones(tx) if zone.site_id == site_id}
    await tx.run_many(SQL["put_zone"], [{**zone.model_dump(), "site": site_id} for zone in file.zone])
    for zone in await zones(tx):
        changed = audit.differences(before.get(zone.code, zone), zone, "building", "sensitive")
        if zone.site_id == site_id and changed:
            await audit.record(tx, "changed", "zone", zone.id, changed)
    for device in file.device:
        said = {"site": site_id, "device": device.code, "zone": device.zone}
        if await tx.run(SQL["set_device_zone"], said):
            await audit.record(tx, "changed", "device", device.code, {"zone": device.zone or ""})


async def watched(tx: Transaction, gateway_id: UUID, device: str) -> str:
    """Give the zone that a door or a camera of a gateway watches; raises NotFoundError."""
    found: str | None = await tx.value(SQL["watched"], {"gateway": gateway_id, "device": device})
    if found is None:
        raise NotFoundError(f"'{device}' watches no zone; give it one in the site file and register the site.")
    return found


async def zones(tx: Transaction) -> list[Zone]:
    """Give every zone."""
    return await tx.all(Zone, SQL["zones"])


async def zone(tx: Transaction, site: str, code: str) -> Zone:
    """Give a zone by the codes of its site and its own; raises NotFoundError."""
    return await tx.one(Zone, SQL["zone"], {"site": site, "zone": code}, what="zone at this site")


async def doors(tx: Transaction) -> list[str]:
    """Give the codes of the doors that have reported something."""
    return [door.code for door in await tx.all(Door, SQL["doors"], {"most": CODES_MAX})]


async def holder(tx: Transaction, site_id: UUID, badge: str | None, name: str, now: datetime) -> UUID | None:
    """Give whose badge it is, entered where it is new; None where nobody showed one."""
    if not badge:
        return None
    said = {"site": site_id, "badge": badge, "name": name, "now": now}
    await tx.run(SQL["put_holder"], said)
    found: UUID = await tx.value(SQL["holder_id"], said)
    return found


def check_time(at: datetime, now: datetime) -> None:
    """Refuse what a clock says that was never set or runs ahead; raises InvalidError."""
    if at < OLDEST:
        raise InvalidError(f"{at.isoformat()} lies before {OLDEST.year}; set the clock of the sender.")
    if at > now + CLOCK_AHEAD:
        raise InvalidError(f"{at.isoformat()} lies in the future; set the clock of the sender.")


async def add_badge_events(tx: Transaction, site: str, reported: Sequence[Reported], now: datetime) -> int:
    """Take in what doors report and give how much of it was new; the same again adds nothing.

    Raises NotFoundError for an unknown zone, ConflictError where an id was used for another event, InvalidError for too
    many at once or a time in the future.
    """
    if len(reported) > EVENTS_MAX:
        raise InvalidError(f"At most {EVENTS_MAX} events are taken in at once; send them in parts.")
    places = {code: await zone(tx, site, code) for code in {one.zone for one in reported}}
    rows: dict[UUID, dict[str, object]] = {}
    for one in reported:
        check_time(one.at, now)
        place = places[one.zone]
        whose = await holder(tx, place.site_id, one.badge, one.name, now)
        row = {"site": place.site_id, "zone": place.id, "submission": one.id, "door": one.door, "at": one.at,
               "result": one.result, "holder": whose, "source": tx.actor.name, "now": now}  # fmt: skip
        if rows.setdefault(one.id, row) != row:
            raise ConflictError(f"The id {one.id} stands for two events of this batch; give each its own.")
    await _check_known(tx, rows)
    stored = 0
    for row in rows.values():
        stored += await tx.run(SQL["add_badge_event"], row)
    if stored:
        await audit.record(tx, "sent in", "badge_events", site, {"stored": stored})
    return stored


async def _check_known(tx: Transaction, rows: Mapping[UUID, Mapping[str, object]]) -> None:
    for held in await tx.all(Sent, SQL["sent"], {"submissions": list(rows)}):
        row = rows[held.submission_id]
        said = (row["zone"], row["door"], row["at"], row["result"], row["holder"])
        if (held.zone_id, held.door, held.at, held.result, held.holder_id) != said:
            raise ConflictError(f"The id {held.submission_id} was used for another event; give each its own.")


async def search(tx: Transaction, asked: Search, reason: str, *, export: bool = False) -> list[BadgeEvent]:
    """Give badge events, newest first; the search is recorded with whom it showed.

    Raises InvalidError without a reason, or for more than SEARCH_DAYS_MAX days.
    """
    if not timedelta(0) < asked.end - asked.start <= timedelta(days=SEARCH_DAYS_MAX):
        raise InvalidError(f"Search from one day to a later one, at most {SEARCH_DAYS_MAX} days.")
    asked_for = {"start": asked.start, "end": asked.end, "person": asked.person, "door": asked.door, "zone": asked.zone,
                 "result": asked.result, "most": EXPORTED_MAX if export else SHOWN_MAX}  # fmt: skip
    found = await tx.all(BadgeEvent, SQL["badge_events"], asked_for)
    said = {
        "from": asked.start.isoformat(),
        "to": asked.end.isoformat(),
        "door": asked.door or "",
        "zone": asked.zone or "",
        "result": asked.result or "",
        "by_person": asked.person is not None,  # not who: the record outlives an erasure, so it names by id alone
        "persons": sorted({str(event.holder_id) for event in found if event.holder_id}),
        "found": len(found),
    }
    await audit.record(tx, "exported" if export else "searched", "badge_events", asked.door or "", said, reason=reason)
    return found
