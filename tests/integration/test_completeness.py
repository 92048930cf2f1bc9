"""What is missing of readings: shares by device and day, by point and hour, and each gap."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from hub.errors import InvalidError
from hub.jobs import rollups
from hub.readings import completeness
from hub.readings.completeness import Gap, Place, percent, share
from hub.store.database import Database
from rules.model.period import Period
from tests.builders import ENGINEER, Park

ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2026, 3, 3, 16, tzinfo=UTC)  # the 4th begins at the site
DAY = date(2026, 3, 4)
NOW = MIDNIGHT + timedelta(days=4)
CODE, OTHER = "EM-A-MAIN.energy", "EM-A-MAIN.power"
MINUTE = timedelta(minutes=1)


def put(park: Park, code: str, moments: list[datetime], value: float | None = 1.0) -> None:
    """Store readings, good ones unless there is no value, as of the time that they are of."""
    with psycopg.connect(park.dsns.owner) as connection, connection.cursor() as cursor:
        for week in range(-1, 2):
            cursor.execute("SELECT plantroom.ensure_week(%s)", [(MIDNIGHT + timedelta(weeks=week)).date()])
        rows = [(park.points[code], at, value, 0 if value is None else 192) for at in moments]
        cursor.executemany("INSERT INTO samples VALUES (%s, %s, %s, %s)", rows)
        hours = {at.replace(minute=0, second=0, microsecond=0) for at in moments}
        marks = [(park.points[code], hour, hour) for hour in hours]
        cursor.executemany("INSERT INTO dirty_buckets (point_id, bucket, marked_at) VALUES (%s, %s, %s)", marks)


def minutes(first: float, past: float, step: float = 1) -> list[datetime]:
    """Moments from ``first`` to before ``past`` minutes after midnight of the 4th."""
    return [MIDNIGHT + n * step * MINUTE for n in range(int(first / step), int(past / step))]


HOURS = 60
WHOLE = 24 * HOURS


@pytest.fixture
async def holed(database: Database, park: Park) -> Park:
    """Three days of one point with holes on the second, and some hours of another."""
    put(park, CODE, minutes(0, WHOLE + 6 * HOURS + 10))
    put(park, CODE, minutes(WHOLE + 9 * HOURS, WHOLE + 12 * HOURS))
    put(park, CODE, minutes(WHOLE + 12 * HOURS, WHOLE + 12 * HOURS + 20), None)
    put(park, CODE, minutes(WHOLE + 12 * HOURS + 20, 2 * WHOLE + 23 * HOURS))
    put(park, OTHER, minutes(2 * WHOLE, 3 * WHOLE, 15))
    await rollups.rebuild(database)
    return park


async def test_a_day_shows_the_share_that_is_covered_and_none_before_the_first_reading(
    database: Database, holed: Park
) -> None:
    place = Place(holed.site, ZONE)
    async with database.transaction(holed.organisation, ENGINEER) as tx:
        found = await completeness.devices_by_day(tx, place, (date(2026, 3, 3), date(2026, 3, 8)), NOW)
        points = {one.point: one for one in await completeness.points(tx, place, (DAY, date(2026, 3, 7)), NOW)}
    assert [(one.device, one.place, one.points) for one in found] == [
        ("EM-A-MAIN", 2, 1), ("EM-A-MAIN", 3, 1), ("EM-A-MAIN", 4, 2), ("EM-A-MAIN", 5, 2),
    ]  # fmt: skip
    first, second, third, fourth = (percent(share(one.covered_s, one.expected_s)) for one in found)
    missing_s = (2 * 60 + 50) * 60 + 20 * 60 - 30  # the last reading before a silence speaks for half a minute more
    assert (first, second) == (100.0, int((86_400 - missing_s) / 86.4) / 10)
    assert (third, fourth) == (97.9, 0.0)  # an hour short of two days; and nothing of the fourth, up to now
    assert found[1].bad == 20
    assert (points[OTHER].expected_s, points[OTHER].covered_s) == (86_400, 86_400)
    assert points[CODE].since == MIDNIGHT


async def test_gaps_say_from_when_to_when_and_whether_the_device_was_heard(database: Database, holed: Park) -> None:
    period = Period(MIDNIGHT, MIDNIGHT + timedelta(days=3))
    async with database.transaction(holed.organisation, ENGINEER) as tx:
        found = await completeness.gaps(tx, Place(holed.site, ZONE), period, NOW)
        other = await completeness.gaps(tx, Place(holed.site, ZONE, point=OTHER), period, NOW)
        early = await completeness.gaps(tx, Place(holed.site, ZONE), Period(MIDNIGHT, MIDNIGHT), NOW)
    at = [MIDNIGHT + n * MINUTE for n in (WHOLE + 369, WHOLE + 540, WHOLE + 719, WHOLE + 740, 2 * WHOLE + 1379)]
    assert [*found.gaps] == [
        Gap("GW-1", "EM-A-MAIN", CODE, at[0], at[1], 171 * 60, 60, open=False, bad=0, recovered_at=None),
        Gap("GW-1", "EM-A-MAIN", CODE, at[2], at[3], 21 * 60, 60, open=False, bad=20, recovered_at=None),
        Gap("GW-1", "EM-A-MAIN", CODE, at[4], period.end, 61 * 60, 60, open=True, bad=0, recovered_at=None),
    ]
    assert (found.points_left_off, found.more) == (0, False)
    assert [*other.gaps] == [*early.gaps] == []


async def test_what_was_filled_in_long_afterwards_is_shown_as_recovered(database: Database, holed: Park) -> None:
    with psycopg.connect(holed.dsns.owner) as connection:
        rows = [(holed.points[CODE], at, 1.0) for at in minutes(WHOLE + 6 * HOURS + 10, WHOLE + 9 * HOURS)]
        connection.cursor().executemany("INSERT INTO samples VALUES (%s, %s, %s, 192)", rows)
        hours = [(holed.points[CODE], MIDNIGHT + timedelta(hours=24 + n)) for n in (6, 7, 8)]
        connection.cursor().executemany("INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, %s)", hours)
    await rollups.rebuild(database)
    async with database.transaction(holed.organisation, ENGINEER) as tx:
        found = await completeness.gaps(
            tx, Place(holed.site, ZONE), Period(MIDNIGHT, MIDNIGHT + timedelta(days=2)), NOW
        )
        days = await completeness.devices_by_day(tx, Place(holed.site, ZONE), (DAY, date(2026, 3, 6)), NOW)
        hour = await completeness.hours(tx, holed.devices["EM-A-MAIN"], date(2026, 3, 5), ZONE)
    recovered = [gap for gap in found.gaps if gap.recovered_at]
    assert [(gap.start_at, gap.end_at, gap.missing_s) for gap in recovered] == [
        (MIDNIGHT + timedelta(hours=30), MIDNIGHT + timedelta(hours=33), 170 * 60 - 30)
    ]
    assert [gap.bad for gap in found.gaps if not gap.recovered_at] == [20]
    assert [one.late_s for one in days] == [0, 170 * 60 - 30]
    assert [one.bucket for one in hour] == [MIDNIGHT + timedelta(hours=24 + n) for n in range(24)]


async def test_nobody_sees_the_gaps_of_another_organisation_and_questions_are_bounded(
    database: Database, holed: Park
) -> None:
    place = Place(holed.site, ZONE)
    async with database.transaction(holed.site, ENGINEER) as tx:  # an id that is no organisation
        assert await completeness.devices_by_day(tx, place, (DAY, date(2026, 3, 8)), NOW) == []
        assert (await completeness.gaps(tx, place, Period(MIDNIGHT, NOW), NOW)).gaps == []
        assert await completeness.hours(tx, holed.devices["EM-A-MAIN"], DAY, ZONE) == []
    async with database.transaction(holed.organisation, ENGINEER) as tx:
        with pytest.raises(InvalidError, match="at most 62 days"):
            await completeness.devices_by_day(tx, place, (DAY, date(2026, 6, 8)), NOW)
        with pytest.raises(InvalidError, match="at most 366 days"):
            await completeness.gaps(tx, place, Period(MIDNIGHT - timedelta(days=400), NOW), NOW)
    assert (share(5, 0), percent(None), percent(0.9999), percent(1.0)) == (None, None, 99.9, 100.0)
