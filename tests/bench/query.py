"""What people ask most of stored readings, on 20 million of them: as users do, beside the bare SQL without walls."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import psycopg

from hub.readings import query
from hub.readings import service as readings
from hub.readings.daily import daily_consumption
from hub.store.database import Transaction
from rules.model.period import Period
from tests.bench.query_ground import FIRST, ZONE, Ground, ground, year
from tests.bench.row import Row, at_most, percentile
from tests.builders import ENGINEER

ROUNDS = 60
TIMES_BARE = 2.0
FILL_S = 180.0
MONTH = FIRST, FIRST + timedelta(days=30)

BARE_CHART = """
SELECT bucket, good_n, min, max, last FROM hourly
WHERE point_id = (SELECT id FROM points WHERE code = %(code)s) AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket
"""
BARE_LATEST = "SELECT point_id, at, value, quality FROM latest WHERE point_id = ANY(%(points)s::bigint[])"
BARE_MONTH = """
SELECT point_id, day, last - lag(last) OVER (PARTITION BY point_id ORDER BY day) AS used FROM daily
WHERE point_id = ANY(%(points)s::bigint[]) AND day >= %(first)s::date - 1 AND day < %(past)s
"""

Ours = Callable[[Transaction, Ground, int], Awaitable[int]]


async def _chart(tx: Transaction, on: Ground, turn: int) -> int:
    point = await readings.point(tx, on.yearly[turn % len(on.yearly)])
    drawn = await query.draw(tx, point, Period(*year()), query.Resolution.HOUR, query.CHART_VALUES_MOST)
    return 2 * len(drawn.line.at)  # two hours to a value, which keeps the least and the greatest of both


async def _latest(tx: Transaction, on: Ground, _: int) -> int:
    return len((await readings.newest(tx, on.points))["at_s"])


async def _month(tx: Transaction, on: Ground, _: int) -> int:
    found = await daily_consumption(tx, on.counters, MONTH, ZONE)
    assert all(one.total is not None for one in found)
    return sum(len(one.days) for one in found)


def _asked(on: Ground, turn: int) -> dict[str, object]:
    start, end = year()
    return {"code": on.yearly[turn % len(on.yearly)], "start": start, "end": end, "first": MONTH[0], "past": MONTH[1]}


QUESTIONS: list[tuple[str, Ours, str, float, int]] = [
    ("chart of one year of one point by the hour", _chart, BARE_CHART, 100, 8_760),
    ("latest of 10,000 points", _latest, BARE_LATEST, 50, 10_000),
    ("consumption of 1,000 sub-meters in a month by local day", _month, BARE_MONTH, 150, 30_000),
]


async def measure(folder: Path) -> list[Row]:
    """Measure every question: 95 of 100 answers, and how many times the bare SQL."""
    async with ground(folder) as on:
        rows = [at_most(f"filling {on.rows:,} readings with their rollups", on.filled_s, FILL_S, "s")]
        for name, ours, bare, bar_ms, size in QUESTIONS:
            took, without = await _took(on, ours, bare, size)
            rows.append(at_most(f"{name}, 95 of 100", percentile(took, 0.95), bar_ms, "ms"))
            ratio = percentile(took, 0.5) / percentile(without, 0.5)
            said = f"{name}: {percentile(took, 0.5):.1f} ms, bare SQL {percentile(without, 0.5):.1f} ms"
            rows.append(at_most(said, ratio, TIMES_BARE, "times"))
        return rows


async def _took(on: Ground, ours: Ours, bare: str, size: int) -> tuple[list[float], list[float]]:
    """Give milliseconds of both, one right after the other; both give ``size`` values."""
    took: list[float] = []
    without: list[float] = []
    points = on.points if "latest" in bare else on.counters
    async with await psycopg.AsyncConnection.connect(on.owner, autocommit=True) as connection:
        for turn in range(ROUNDS):
            begun = time.perf_counter()
            async with on.database.transaction(on.park.organisation, ENGINEER) as tx:
                assert await ours(tx, on, turn) == size
            took.append((time.perf_counter() - begun) * 1_000)
            begun = time.perf_counter()
            async with connection.transaction():
                answer = await connection.execute(bare.encode(), {**_asked(on, turn), "points": points}, prepare=False)
                assert len(await answer.fetchall()) >= size
            without.append((time.perf_counter() - begun) * 1_000)
    return took[ROUNDS // 10 :], without[ROUNDS // 10 :]
