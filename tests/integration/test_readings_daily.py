"""Daily consumption of many counters from the rollups is what all their readings say."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg
import pytest

from hub.errors import InvalidError
from hub.jobs import rollups
from hub.readings.daily import LONGEST_GAP, SETTLED_WITHIN, daily_consumption
from hub.store.database import Database
from rules.meter.consumption import Exchange, accumulate, consume
from rules.meter.rollup import bounds
from rules.meter.series import Counter
from rules.model.doubt import DoubtError
from rules.model.period import days
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.builders import ENGINEER, Park

ZONE = ZoneInfo("Asia/Shanghai")
FIRST, PAST = date(2026, 3, 2), date(2026, 3, 12)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)


def face(rng: random.Random, code: str, modulus: float, trouble: str) -> Iterator[Reading]:
    """A counter at uneven moments; ``trouble`` says what befalls it."""
    at, value = START, 9_990.0 if trouble == "rollover" else 100.0
    while at < END:
        good = trouble != "bad" or rng.random() < 0.9
        dropped = trouble == "dropout" and rng.random() < 0.03
        yield Reading(code, at, (0.0 if dropped else round(value, 1)) if good else None,
                      Quality.GOOD if good else Quality.BAD)  # fmt: skip
        value = (value + rng.choice([0, 0.1, 0.3, 2.5])) % modulus
        long = trouble == "outage" and rng.random() < 0.02
        at += timedelta(hours=40) if long else timedelta(seconds=rng.choice([30, 600, 900, 1800, 3599]))


def store(park: Park, readings: list[Reading]) -> None:
    with psycopg.connect(park.dsns.owner) as connection, connection.cursor() as cursor:
        for week in range(-1, 4):
            cursor.execute("SELECT plantroom.ensure_week(%s)", [(START + timedelta(weeks=week)).date()])
        rows = [(park.points[r.point], r.at, r.value, int(r.quality)) for r in readings]
        cursor.executemany("INSERT INTO samples VALUES (%s, %s, %s, %s)", rows)
        marks = {(point, at.replace(minute=0, second=0, microsecond=0)) for point, at, _, _ in rows}
        cursor.executemany("INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, %s)", list(marks))


def counters(park: Park) -> list[str]:
    """Give the counters' codes; any meter will do, so all get the same face."""
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("ALTER TABLE points NO FORCE ROW LEVEL SECURITY")
        connection.execute("UPDATE points SET resolution = 0.1, modulus = 10000 WHERE kind = 'counter'")
        rows = connection.execute("SELECT code FROM points WHERE kind = 'counter' ORDER BY code").fetchall()
        connection.execute("ALTER TABLE points FORCE ROW LEVEL SECURITY")
    return [code for (code,) in rows]


TROUBLES = ["none", "none", "rollover", "bad", "dropout", "outage"]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_days_from_the_rollups_equal_days_from_every_reading(database: Database, park: Park, seed: int) -> None:
    rng = random.Random(seed)
    codes = counters(park)[: len(TROUBLES)]
    held = {code: list(face(rng, code, 10_000, trouble)) for code, trouble in zip(codes, TROUBLES, strict=True)}
    store(park, [reading for readings in held.values() for reading in readings])
    await rollups.rebuild(database)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        found = await daily_consumption(
            tx, [park.points[code] for code in codes], (FIRST, PAST), ZONE,
            {park.points[code]: Decimal(40) for code in codes},
        )  # fmt: skip
    assert [one.point for one in found] == codes
    for one in found:
        series = accumulate(held[one.point], Counter(Decimal("0.1"), Decimal(10_000), Decimal(40)),
                            longest_gap=LONGEST_GAP, settled_within=SETTLED_WITHIN)  # fmt: skip
        for day, quantity, estimated in one.quantities():
            try:
                wanted = consume(series, bounds(day, ZONE))
            except DoubtError:
                assert quantity is None, (one.point, day)
            else:
                assert (quantity, estimated) == (wanted.quantity, wanted.estimated), (one.point, day)


async def test_an_exchange_with_another_ratio_counts_both_faces(database: Database, park: Park) -> None:
    code = counters(park)[0]
    point = park.points[code]
    noon = datetime(2026, 3, 4, 4, tzinfo=UTC)
    before = [Reading(code, START + n * HOUR, 500.0 + n, Quality.GOOD) for n in range(76)]
    after = [Reading(code, noon + n * HOUR, 10.0 + n, Quality.GOOD) for n in range(100)]
    store(park, before + after)
    await rollups.rebuild(database)
    exchange = Exchange(
        noon, Decimal("576.0"), Decimal("10.0"), Counter(Decimal("0.1"), Decimal(10_000), Decimal("2.5"))
    )
    async with database.transaction(park.organisation, ENGINEER) as tx:
        asked = [point], (date(2026, 3, 3), date(2026, 3, 6)), ZONE, {point: Decimal(2)}
        [told] = await daily_consumption(tx, *asked, exchanges={point: [exchange]})
        [untold] = await daily_consumption(tx, *asked)
    assert [quantity for _, quantity, _ in told.quantities()] == [48, 12 * 2 + 12 * Decimal("2.5"), 60]
    assert told.total == 48 + 54 + 60
    assert [quantity for _, quantity, _ in untold.quantities()] == [48, None, 48]
    assert [*untold.doubts] == [date(2026, 3, 4)]
    assert "record a meter exchange" in untold.doubts[date(2026, 3, 4)].en
    assert untold.total is None


async def test_days_of_others_are_not_shown_and_questions_are_bounded(database: Database, park: Park) -> None:
    code = counters(park)[0]
    async with database.transaction(park.site, ENGINEER) as tx:  # an id that is no organisation
        assert await daily_consumption(tx, [park.points[code]], (FIRST, PAST), ZONE) == []
    async with database.transaction(park.organisation, ENGINEER) as tx:
        [one] = await daily_consumption(tx, [park.points[code]], (FIRST, PAST), ZONE)
        assert (one.total, [*one.known]) == (None, [False] * 10)
        assert len([*days(FIRST, PAST)]) == 10
        with pytest.raises(InvalidError, match="at most 1000 counters"):
            await daily_consumption(tx, [0] * 1_001, (FIRST, PAST), ZONE)
