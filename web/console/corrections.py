"""Corrections: the list, one correction's life, asking for one with its effect shown before; meter exchanges."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Response, UploadFile
from fastapi.responses import HTMLResponse

from hub.access.rights import Right
from hub.corrections import service as corrections
from hub.corrections.effect import UnfitError
from hub.corrections.plan import plan, target
from hub.corrections.rows import Correction, Kind, Line, Swap, Target, Wish
from hub.errors import InvalidError
from hub.store.database import Transaction
from web.console.stills import days
from web.export import table
from web.photos import inline, taken
from web.session import Needs, PointsVisit, Visit, zone_of

router = APIRouter()
STAGES = ("waiting", "ready", "refused", "in_force", "withdrawn")
READINGS_SHOWN_MAX = 30
NO_TIME = "Give the time like 2026-10-13 08:30, in the time of the site."
YEARS = range(2000, 2100)
CorrectVisit = Annotated[Visit, Depends(Needs(Right.CORRECT_READINGS))]
EnterVisit = Annotated[Visit, Depends(Needs(Right.CORRECT_READINGS, Right.ENTER_READINGS))]
LookVisit = Annotated[Visit, Depends(Needs(Right.SEE_POINTS, Right.CORRECT_READINGS, Right.ENTER_READINGS))]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list's form asks for."""

    point: str = ""
    kind: str = ""
    stage: str = ""
    by: str = ""
    first: str = ""
    last: str = ""

    def wanted(self, zone: ZoneInfo) -> dict[str, Any]:
        """Say it as the hub asks it; raises InvalidError for what is no day."""
        since, before = days(self.first, self.last, zone)
        return {
            "point": self.point.strip()[:200] or None, "kind": self.kind if self.kind in set(Kind) else None,
            "stage": self.stage if self.stage in STAGES else None, "by": self.by.strip()[:200] or None,
            "since": since, "before": before,
        }  # fmt: skip

    def query(self) -> str:
        """Say it as the end of an address."""
        names = ("point", "kind", "stage", "by", "first", "last")
        said = {name: getattr(self, name) for name in names if getattr(self, name)}
        return "?" + urlencode(said) if said else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A correction as the address of its form says it; times as ISO, or in the time of the site."""

    point: str
    kind: Kind = Kind.DISPUTE
    start: str = ""
    end: str = ""
    value: str = ""
    withdraws: int | None = None
    final: str = ""
    initial: str = ""
    multiplier: str = ""
    serial_before: str = ""
    serial: str = ""

    @property
    def whole(self) -> bool:
        """Whether everything is said that an effect can be shown of."""
        if self.kind is Kind.WITHDRAW:
            return self.withdraws is not None
        if self.kind is Kind.EXCHANGE:
            return all((self.start, self.final, self.initial, self.multiplier))
        return bool(self.start) and (self.kind is Kind.DISPUTE or bool(self.value))

    def wish(self, zone: ZoneInfo, reason: str, wish_id: UUID) -> Wish:
        """Say it as the hub takes it; raises InvalidError."""
        first = moment(self.start, zone) if self.start else datetime.now(zone)
        last = moment(self.end, zone) if self.end and self.kind is Kind.DISPUTE else first
        swap = None
        if self.kind is Kind.EXCHANGE:
            numbers = [number(text) for text in (self.final, self.initial, self.multiplier)]
            swap = Swap(numbers[0], numbers[1], numbers[2], self.serial_before, self.serial)
        value = number(self.value) if self.value else None
        return Wish(wish_id, self.kind, self.point, reason, first, last, value, swap, self.withdraws)


def moment(text: str, zone: ZoneInfo) -> datetime:
    """Give the moment that a form's field says, in the time of the site where it names no zone; raises InvalidError."""
    try:
        found = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        if found.year not in YEARS:
            raise InvalidError(NO_TIME)
        return found if found.tzinfo else found.replace(tzinfo=zone)
    except ValueError:
        raise InvalidError(NO_TIME) from None


def number(text: str) -> Decimal:
    """Give the number that a form's field says; raises InvalidError."""
    try:
        return Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        raise InvalidError("Give the value as a number, for example 1234.5.") from None


@asynccontextmanager
async def fitting(visit: Visit) -> AsyncIterator[Transaction]:
    """Open the request's transaction; why an exchange does not fit is said in the visitor's language."""
    try:
        async with visit.transaction() as tx:
            yield tx
    except UnfitError as unfit:
        raise InvalidError(unfit.zh if visit.language == "zh" else str(unfit)) from None


async def section(tx: Transaction, point_id: int, start: datetime, end: datetime) -> dict[str, Any]:
    """Give what the table of readings on a point's page needs."""
    found = await corrections.readings_between(tx, point_id, start, end, READINGS_SHOWN_MAX)
    return {"standing": found, "standing_most": READINGS_SHOWN_MAX}


@router.get("/corrections")
async def show(visit: PointsVisit, asked: Annotated[Asked, Depends()]) -> HTMLResponse:
    """Show corrections, newest first; the filter is in the address."""
    async with visit.transaction() as tx:
        found = await corrections.corrections(tx, **asked.wanted(await zone_of(tx)))
        said = {"rows": found, "asked": asked, "stages": STAGES, "kinds": list(Kind), "most": corrections.LISTED_MAX}
        return await visit.page(tx, "corrections/list.html", **said)


@router.get("/corrections.csv")
async def export(visit: PointsVisit, asked: Annotated[Asked, Depends()]) -> Response:
    """Give the list as CSV."""
    async with visit.transaction() as tx:
        wanted = asked.wanted(await zone_of(tx))
        found = await corrections.corrections(tx, **wanted, most=corrections.EXPORTED_MAX)
    return table("corrections", [_cells(one) for one in found])


@router.get("/corrections/new")
async def new(visit: EnterVisit, wanted: Annotated[Wanted, Depends()]) -> HTMLResponse:
    """Show the form of a correction, and what it would change as soon as enough is said."""
    async with fitting(visit) as tx:
        found = await target(tx, wanted.point)
        held = await plan(tx, wanted.wish(found.zone, "-", uuid4()), visit.now) if wanted.whole else None
        said = {
            "target": found, "wanted": wanted, "plan": held, "wish_id": uuid4(), "Kind": Kind,
            "shown": _head(held.lines) if held else [], "most": corrections.LINES_AGREED_MAX,
        }  # fmt: skip
        return await visit.page(tx, "corrections/new.html", **said)


@router.post("/corrections")
async def ask(
    visit: EnterVisit,
    wanted: Annotated[Wanted, Depends()],
    id: Annotated[UUID, Form()],  # noqa: A002 - the field's name
    reason: Annotated[str, Form()] = "",
    photo: UploadFile | None = None,
) -> Response:
    """Ask for the correction that the address says; it is in force at once where nobody else has to agree."""
    kept = await taken(photo)
    async with fitting(visit) as tx:
        zone = (await target(tx, wanted.point)).zone
        wish = wanted.wish(zone, reason, id)
        made = await corrections.propose(tx, _with(wish, kept), visit.now)
    return visit.go(f"/corrections/{made.number}")


@router.get("/corrections/{number}")
async def one(visit: LookVisit, number: int) -> HTMLResponse:
    """Show a correction's life."""
    async with visit.transaction() as tx:
        found = await corrections.correction(tx, number=number)
        picture = await corrections.photo(tx, number) if found.photo_sha256 else None
        said = {
            "row": found, "lines": await corrections.lines(tx, found),
            "exchange": await corrections.exchange(tx, found),
            "picture": inline(picture.media_type, picture.picture) if picture else "",
            "hours": found.lines and len({line.at.replace(minute=0, second=0, microsecond=0)
                                          for line in await corrections.lines(tx, found, 10_000)}),
        }  # fmt: skip
        return await visit.page(tx, "corrections/one.html", **said)


@router.post("/corrections/{number}/carry-out")
async def carry_out(visit: EnterVisit, number: int) -> Response:
    """Bring a correction into force to which a second person has agreed."""
    async with visit.transaction() as tx:
        await corrections.carry_out(tx, number, visit.now)
    return visit.go(f"/corrections/{number}")


@router.post("/corrections/{number}/take-back")
async def take_back(visit: EnterVisit, number: int) -> Response:
    """Take one's own correction back before it is in force."""
    async with visit.transaction() as tx:
        await corrections.take_back(tx, number, visit.now)
    return visit.go(f"/corrections/{number}")


def local(at: datetime, of: Target) -> str:
    """Write a moment as a form's field of local time takes it."""
    return at.astimezone(of.zone).replace(tzinfo=None).isoformat(timespec="minutes")


def _with(wish: Wish, photo: Any) -> Wish:
    return Wish(
        wish.id, wish.kind, wish.point, wish.reason, wish.first_at, wish.last_at, wish.value, wish.swap,
        wish.withdraws, photo,
    )  # fmt: skip


def _head(lines: Sequence[Line]) -> Sequence[Line]:
    return lines[: corrections.LINES_AGREED_MAX]


def _cells(row: Correction) -> dict[str, Any]:
    return {
        "number": row.number, "kind": row.kind, "state": row.stage, "point": row.point, "device": row.device,
        "device_name_zh": row.device_name_zh, "device_name_en": row.device_name_en, "from": row.first_at,
        "to": row.last_at, "readings": row.lines, "reason": row.reason, "bills": " ".join(row.bills),
        "asked_by": row.asked_by, "asked_at": row.asked_at, "approval": row.approval, "agreed_by": row.seconded_by,
        "in_force_by": row.in_force_by, "in_force_at": row.in_force_at, "ended_at": row.ended_at,
        "withdraws": row.withdraws, "withdrawn_by": row.withdrawn_by, "photo_sha256": row.photo_sha256,
    }  # fmt: skip
