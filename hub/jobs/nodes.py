"""Series that are spread over several nodes: what is rolled up is fetched from them first, into temporary tables.

The statements speak of these tables.  On one server, which needs no detour, the same statements are asked of the series
themselves; so there is one text of what a rollup is.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cache

from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.rollup import LOOK_BACK

SQL = queries(__package__)

DIRECTLY = ((b"plantroom.roll_here(", b"plantroom.roll("), (b"JOIN hours_here ", b"JOIN hourly "))

Span = tuple[int, datetime, datetime]  # a point, the start, the first moment after


async def on_nodes(tx: Transaction) -> bool:
    """Whether the series may be spread over several nodes here."""
    return bool(await tx.value(SQL["on_nodes"]))


@cache
def statement(name: str, *, spread: bool) -> bytes:
    """Give a statement about what was fetched, or where nothing is spread about the series themselves."""
    query = SQL[name]
    if not spread:
        for fetched, series in DIRECTLY:
            query = query.replace(fetched, series)
    return query


async def fetch_samples(tx: Transaction, spans: Iterable[Span]) -> None:
    """Fetch the samples from which spans are rolled: theirs, and those of the hour before."""
    await tx.run(SQL["make_samples_here"])
    await _fetch(tx, "fetch_samples", [(point, start - LOOK_BACK, end) for point, start, end in spans])


async def fetch_hours(tx: Transaction, spans: Iterable[Span]) -> None:
    """Fetch the hourly rollups that start in spans."""
    await tx.run(SQL["make_hours_here"])
    await _fetch(tx, "fetch_hours", spans)


async def _fetch(tx: Transaction, name: str, spans: Iterable[Span]) -> None:
    joined = join(spans)
    if joined:
        points, starts, ends = zip(*joined, strict=True)
        asked = {"points": [*points], "starts": [*starts], "ends": [*ends], "first": min(starts), "past": max(ends)}
        await tx.run(SQL[name], asked)


def join(spans: Iterable[Span]) -> list[Span]:
    """Give the same moments in spans that lie apart."""
    joined: list[Span] = []
    for point, start, end in sorted(spans):
        if joined and joined[-1][0] == point and start <= joined[-1][2]:
            joined[-1] = (point, joined[-1][1], max(joined[-1][2], end))
        else:
            joined.append((point, start, end))
    return joined
