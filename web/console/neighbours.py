"""The stored readings around a moment: what a bill line's start or end stands on."""

from datetime import datetime, timedelta

from hub.readings import service as readings
from hub.readings.rows import Measured
from hub.store.database import Transaction
from rules.model.period import Period

EACH_SIDE = 5
FIRST_LOOK = timedelta(minutes=1)
LAST_LOOK = timedelta(days=1)  # at one reading a second still fewer than the hub gives at once
WIDER = 4
FAR = timedelta(days=62)


async def around(tx: Transaction, point: str, at: datetime) -> list[Measured]:
    """Give EACH_SIDE readings before ``at``, the one at ``at`` if there is one, and EACH_SIDE after, oldest first."""
    before = (await _before(tx, point, at))[-EACH_SIDE:]
    here_on = await readings.series(tx, point, Period(at, at + FAR), most=EACH_SIDE + 1)
    exact = bool(here_on) and here_on[0].at == at
    return before + here_on[: EACH_SIDE + exact]


async def _before(tx: Transaction, point: str, at: datetime) -> list[Measured]:
    look = (
        FIRST_LOOK  # readings come every second or every quarter of an hour: look back further until there are enough
    )
    while True:
        found = await readings.series(tx, point, Period(at - look, at))
        if len(found) >= EACH_SIDE or look == LAST_LOOK:
            return found
        look = min(look * WIDER, LAST_LOOK)
