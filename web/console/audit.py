"""The record of acts: search it, and follow the life of one thing."""

import asyncio
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.audit import chain
from hub.audit import service as audit
from hub.audit.anchor import AnchorFile, AnchorFileError
from hub.audit.rows import Entry, Sought
from hub.errors import InvalidError, NotFoundError
from rules.model.period import midnight
from web.console.things import thing
from web.export import table
from web.record_words import ACTS, ENTITIES
from web.session import Needs, Visit, zone_of
from web.words import WORDS

router = APIRouter()
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
WORD_CHARACTERS_MAX = 200
YEARS = range(2000, 2100)
CHANGES_SHOWN = 3  # of one act in the list; all of them stand on the page of the thing
CODES = {("work order", "state"): "order", ("user", "role"): "role"}  # values that have a screen word
FACT_CODES = {("user", "role"): "role", ("user", "kind"): "user", ("user", "factors"): "factor"}

AuditVisit = Annotated[Visit, Depends(Needs(Right.SEE_AUDIT))]
Before = Annotated[int | None, Query(ge=1, le=audit.ID_MAX)]
Word = Annotated[str, Query(max_length=WORD_CHARACTERS_MAX)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The filter as the address carries it; days are those of the site, both included."""

    actor: Word = ""
    action: Word = ""
    entity: Word = ""
    id: Word = ""
    start: Annotated[date | None, Query(alias="from")] = None
    end: Annotated[date | None, Query(alias="to")] = None
    request: Word = ""
    text: Word = ""

    def sought(self, zone: ZoneInfo) -> Sought:
        """Give the filter as the record understands it; raises InvalidError for a day that no calendar here holds."""
        if any(day is not None and day.year not in YEARS for day in (self.start, self.end)):
            raise InvalidError("This day is too far away; correct its year.")
        return Sought(
            self.actor.strip(),
            self.entity.strip(),
            self.id.strip(),
            self.action.strip(),
            self.request.strip(),
            self.text.strip(),
            midnight(self.start, zone) if self.start else None,
            midnight(self.end + timedelta(days=1), zone) if self.end else None,
        )

    def query(self, **more: object) -> str:
        """Give the filter as a part of an address."""
        held = {"actor": self.actor, "action": self.action, "entity": self.entity, "id": self.id, "from": self.start,
                "to": self.end, "request": self.request, "text": self.text, **more}  # fmt: skip
        said = {name: str(value) for name, value in held.items() if value}
        return "?" + urlencode(said) if said else ""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that an act changed; ``kind`` is that of the values' screen words, '' where they have none."""

    name: str
    before: str
    after: str
    kind: str


@dataclass(frozen=True, slots=True)
class Fact:
    """What an entry says beside what changed: text, or the codes, moment or sentence that it is."""

    name: str
    value: str
    codes: tuple[str, ...] = ()
    at: datetime | None = None
    sentence: bool = False

    @classmethod
    def of(cls, entity: str, name: str, value: object) -> "Fact":
        """Tell codes, moments and sentences of the hub from what people wrote."""
        kind = FACT_CODES.get((entity, name), "")
        parts = value if isinstance(value, list) else [value]
        codes = tuple(f"{kind}.{part}" for part in parts) if kind else ()
        known = all(code in WORDS for code in codes)
        return cls(name, plain(value), codes if known else (), moment(value), name == "why")


@dataclass(frozen=True, slots=True)
class Act:
    """An entry of the record with what changed and its other facts apart."""

    entry: Entry
    changes: tuple[Change, ...]
    facts: tuple["Fact", ...]

    @classmethod
    def of(cls, entry: Entry) -> "Act":
        """Take an entry apart."""
        changed = entry.details.get("changed")
        pairs = changed.items() if isinstance(changed, dict) else ()
        changes = [
            Change(name, plain(pair[0]), plain(pair[1]), CODES.get((entry.entity, name), ""))
            for name, pair in pairs
            if isinstance(pair, list) and len(pair) == 2  # noqa: PLR2004 - before and after
        ]
        apart = "changed" if changes else ""
        facts = [Fact.of(entry.entity, name, value) for name, value in entry.details.items() if name != apart]
        return cls(entry, tuple(changes), tuple(fact for fact in facts if fact.value))

    @property
    def path(self) -> str:
        """The page of the thing's life."""
        return life_path(self.entry.entity, self.entry.entity_id)


def plain(value: object) -> str:
    """Give a value of the record as text."""
    if value is None or value is True or value is False:
        return {None: "", True: "✓", False: "✗"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}: {plain(one)}" for name, one in value.items())
    return str(value)


def moment(value: object) -> datetime | None:
    """Give the moment that a value of the record is; None for anything else, a day without a time included."""
    if not isinstance(value, str) or not MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def life_path(entity: str, entity_id: str) -> str:
    """Give the address of the page of one thing's life; what an address cannot carry is searched for."""
    if not entity_id or "/" in entity_id:
        return "/audit?" + urlencode({"entity": entity, "id": entity_id})
    return f"/audit/{quote(entity, safe='')}/{quote(entity_id, safe='')}"


async def _state(visit: Visit) -> chain.State | None:
    """Give how the chain stands; None where the anchors cannot be read here."""
    anchors: AnchorFile | None = visit.request.app.state.settings.anchors
    try:
        last = await asyncio.to_thread(anchors.last) if anchors else None
    except AnchorFileError:
        return None
    return await chain.state_of(visit.database, last)


@router.get("/audit")
async def show(visit: AuditVisit, asked: Annotated[Asked, Depends()], before: Before = None) -> HTMLResponse:
    """Show what was done, newest first."""
    async with visit.transaction() as tx:
        zone = await zone_of(tx)
        found = await audit.search(tx, asked.sought(zone), visit.now, before=before)
        said = {
            "acts": [Act.of(entry) for entry in found],
            "asked": asked,
            "older": asked.query(before=found[-1].id) if len(found) == audit.PAGE else "",
            "begun": before is not None,
            "state": await _state(visit),
            "shown": CHANGES_SHOWN,
            "acts_known": sorted(ACTS),
            "entities_known": sorted(ENTITIES),
        }
        return await visit.page(tx, "console/audit.html", **said)


@router.get("/audit.csv")
async def export(visit: AuditVisit, asked: Annotated[Asked, Depends()]) -> Response:
    """Give what the filter lets through as CSV; that somebody took it along is itself recorded."""
    async with visit.transaction() as tx:
        found = await audit.search(tx, asked.sought(await zone_of(tx)), visit.now, most=audit.EXPORT_MAX)
        await audit.record(tx, "exported", "audit", "", {"filter": asked.query(), "rows": len(found)})
    return table("audit", [audit.cells(entry) for entry in found])


@router.get("/audit/{entity}/{entity_id}")
async def life(visit: AuditVisit, entity: str, entity_id: str, before: Before = None) -> HTMLResponse:
    """Show the life of one thing, newest act first; raises NotFoundError for what the record does not know."""
    async with visit.transaction() as tx:
        sought = Sought(entity=entity[:WORD_CHARACTERS_MAX], entity_id=entity_id[:WORD_CHARACTERS_MAX])
        found = await audit.search(tx, sought, visit.now, before=before)
        if not found and before is None:
            raise NotFoundError("Nothing of it stands in the record.")
        said = {
            "entity": sought.entity,
            "entity_id": sought.entity_id,
            "thing": await thing(tx, entity, entity_id),
            "acts": [Act.of(entry) for entry in found],
            "older": f"?before={found[-1].id}" if len(found) == audit.PAGE else "",
            "state": await _state(visit),
        }
        return await visit.page(tx, "console/audit_life.html", **said)
