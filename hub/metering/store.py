"""Write a fact of consumption: new, changed with its trace, or only firmer.  Nothing is replaced silently."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.metering import evidence
from hub.metering.course import MARGIN
from hub.metering.days import Grain
from hub.metering.rows import Bill, Meter, Stored, Virtual
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.fact import Difference, Fact, State, changed, state_of

SQL = queries(__package__)

SETTLING = timedelta(days=3)  # so long after its end a late reading is expected; a gateway's outage is over by then
BILLS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Which fact: of which meter, for which period."""

    meter: Meter | Virtual
    grain: Grain
    first: date

    @property
    def ids(self) -> tuple[int | None, UUID | None]:
        """The counter or the virtual meter."""
        return (self.meter.point_id, None) if isinstance(self.meter, Meter) else (None, self.meter.id)


async def bills_of(tx: Transaction, meter: Meter, first: date, past: date) -> list[Bill]:
    """Give the invoices with lines of a meter for some of these days."""
    asked = {"device": meter.device_id, "first": first, "past": past, "most": BILLS_MAX}
    return await tx.all(Bill, SQL["bills"], asked)


async def put(
    tx: Transaction, place: Place, fact: Fact, before: Stored | None, now: datetime, bills: Sequence[Bill] = ()
) -> bool:
    """Store a fact in place of ``before``; whether anything but its firmness is new."""
    past = place.grain.past(place.first)
    on_it = [bill for bill in bills if bill.period_start < past and bill.period_end > place.first]
    billed = any(bill.period_start <= place.first and bill.period_end >= past for bill in on_it)
    row = _row(place, fact, now, billed=billed)
    if before is None:
        await tx.run(SQL["add_fact"], row)
        return True
    was_final = before.state == State.FINAL
    if was_final and fact.quantity is not None:
        row["state"] = State.FINAL.value
    old = evidence.read(before)
    differences = changed(old, fact)
    if not differences or (fact.quantity is None and old.quantity is None):
        if (row["state"], fact) != (before.state, old):
            await tx.run(SQL["confirm_fact"], {**row, "id": before.id})
        return False
    await tx.run(SQL["change_fact"], {**row, "id": before.id})
    told = {
        "id": before.id,
        "version": before.version + 1,
        "now": now,
        "cause": cause(differences),
        "before": before.quantity,
        "after": fact.quantity,
        "differences": Jsonb([asdict(one) for one in differences]),
        "after_final": was_final or billed,
        "invoices": [bill.number for bill in on_it],
    }
    await tx.run(SQL["add_change"], told)
    return True


def cause(differences: tuple[Difference, ...]) -> str:
    """Name what most likely stands behind a change."""
    what = {one.what for one in differences}
    if "inputs" in what:
        return "inputs"
    if "exchanges" in what:
        return "exchange"
    ratios = [one for one in differences if one.what.endswith("multiplier")]
    return "ratio" if ratios and all(one.before and one.after for one in ratios) else "readings"


def _row(place: Place, fact: Fact, now: datetime, *, billed: bool) -> dict[str, object]:
    point, virtual = place.ids
    period = place.grain.period(place.first, place.meter.zone)
    reach = fact.reach or (period.start - MARGIN, period.end + MARGIN)
    return {
        "point": point,
        "virtual": virtual,
        "grain": place.grain.value,
        "first": place.first,
        "starts_at": period.start,
        "ends_at": period.end,
        "state": state_of(fact, period.end, now, SETTLING, billed=billed).value,
        "quantity": fact.quantity,
        "unit": place.meter.unit,
        "estimated": fact.estimated,
        "reach_from": min(reach[0], period.start),
        "reach_to": max(reach[1], period.end),
        "evidence": Jsonb(evidence.written(fact)),
        "now": now,
    }
