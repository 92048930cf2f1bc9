"""Reading rounds (抄表): which counters want reading by hand, and whether what was read is plausible."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hub.corrections import service as corrections
from hub.corrections.plan import target
from hub.corrections.rows import Correction, Due, Kind, Swap, Target, Wish
from hub.documents.picture import Picture
from hub.errors import ConflictError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.amendment import Expected, expected
from rules.model.quality import USABLE
from rules.model.reading import exact

SQL = queries(__package__)
STALE = timedelta(hours=26)  # without a reading for so long somebody walks to the meter
LOOK_BACK = timedelta(days=400)
DUE_MAX = 500
BY_HAND = "read by hand"
UNLIKELY = (
    "This is not what is expected after the last reading. "
    "Look again; if the face really shows it, say so below and send it again."
)


@dataclass(frozen=True, slots=True)
class Meter:
    """A counter as the form at the meter shows it; ``expected`` None: nothing is known to compare with."""

    target: Target
    due: Due
    expected: Expected | None


@dataclass(frozen=True, slots=True)
class Entered:
    """What somebody read off a face; ``sure``: he looked again, however unlikely it is."""

    id: UUID
    value: Decimal | None
    at: datetime
    remark: str = ""
    sure: bool = False
    photo: Picture | None = None


async def due(tx: Transaction, now: datetime, text: str = "") -> list[Due]:
    """Give the counters that were not read for STALE, or, where a text is given, those whose names hold it."""
    return await _due(tx, now, None, text.strip())


async def meter(tx: Transaction, point_id: int, now: datetime) -> Meter:
    """Give one counter with what its face should show now; raises NotFoundError."""
    found = await target(tx, None, point_id)
    rows = await _due(tx, now, point_id, "")
    if not rows:
        raise NotFoundError("There is no such counter.")
    return Meter(found, rows[0], _expected(found, rows[0], now))


async def enter(tx: Transaction, point_id: int, read: Entered, now: datetime) -> Correction:
    """Enter what a face shows as an added reading.

    Raises ConflictError for an unlikely one of which nobody is sure, and what ``service.propose`` raises.
    """
    corrections.check_right(tx, Kind.ADD)
    found = await meter(tx, point_id, now)
    likely = _expected(found.target, found.due, read.at)
    if likely is not None and not read.sure and _unlikely(read.value, likely):
        raise ConflictError(UNLIKELY)
    wish = Wish(
        read.id, Kind.ADD, found.target.code, read.remark.strip() or BY_HAND, read.at, read.at, read.value,
        photo=read.photo,
    )  # fmt: skip
    return await corrections.propose(tx, wish, now)


async def exchange(tx: Transaction, point_id: int, swap: Swap, read: Entered, now: datetime) -> Correction:
    """Record that a meter was exchanged or reset; raises what ``service.propose`` raises."""
    corrections.check_right(tx, Kind.EXCHANGE)
    found = await target(tx, None, point_id)
    wish = Wish(
        read.id, Kind.EXCHANGE, found.code, read.remark, read.at, read.at, swap=swap, photo=read.photo
    )  # fmt: skip
    return await corrections.propose(tx, wish, now)


def _unlikely(value: Decimal | None, likely: Expected) -> bool:
    return value is not None and value.is_finite() and not likely.holds(value)


async def _due(tx: Transaction, now: datetime, point_id: int | None, text: str) -> list[Due]:
    sought = "".join(f"\\{c}" if c in "%_\\" else c for c in text)
    asked = {
        "point": point_id, "stale": now - STALE, "since": now - LOOK_BACK, "usable": list(USABLE), "most": DUE_MAX,
        "text": f"%{sought}%" if sought else None,
    }  # fmt: skip
    return await tx.all(Due, SQL["due"], asked, afresh=True)


def _expected(found: Target, row: Due, at: datetime) -> Expected | None:
    if row.last_at is None or row.last_value is None or row.last_at >= at:
        return None
    last = row.last_at, exact(row.last_value, found.resolution)
    earlier = None
    if row.earlier_at is not None and row.earlier_value is not None:
        earlier = row.earlier_at, exact(row.earlier_value, found.resolution)
    return expected(earlier, last, at, found.counter)
