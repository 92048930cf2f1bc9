"""The map of completeness: what is missing is seen, said in words, and not by colour alone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from playwright.async_api import expect

from hub.jobs import rollups
from tests.e2e.conftest import DESKTOP, PHONE, Visitor
from tests.e2e.stage import AHU, Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser

# Twelve days of readings every five minutes: one device is dead since yesterday, some are bad for an hour a day, one
# was silent for a day of which a part is filled in later.
FILL = """
INSERT INTO samples (point_id, at, value, quality)
SELECT p.id, t, 20, CASE WHEN p.code LIKE 'EM-A-1%%' AND extract(hour FROM t) = 5 THEN 0 ELSE 192 END
FROM points p, generate_series(%(now)s - interval '12 days', %(now)s, interval '5 minutes') t
WHERE p.code LIKE 'AHU-A.%%' AND NOT t BETWEEN %(now)s - interval '100 hours' AND %(now)s - interval '71 hours'
   OR p.code LIKE 'EM-A-1%%' OR p.code = 'EM-A-MAIN.power' AND t < %(now)s - interval '30 hours'
ON CONFLICT DO NOTHING"""
LATER = """
INSERT INTO samples (point_id, at, value, quality)
SELECT p.id, t, 20, 192
FROM points p, generate_series(%(now)s - interval '100 hours', %(now)s - interval '90 hours', interval '5 minutes') t
WHERE p.code LIKE 'AHU-A.%%' ON CONFLICT DO NOTHING"""
MARK = """
INSERT INTO dirty_buckets (point_id, bucket, marked_at)
SELECT DISTINCT point_id, date_trunc('hour', at), coalesce(%(marked)s::timestamptz, date_trunc('hour', at)) FROM samples
WHERE at < coalesce(%(now)s - interval '89 hours' * %(late)s::int, 'infinity')"""


TOO_WIDE = """most => [...document.querySelectorAll('main *')]
    .filter(one => one.getBoundingClientRect().right > most + 1 && !one.closest('.list'))
    .map(one => one.className || one.tagName)"""


async def fill(stage: Stage, now: datetime) -> None:
    """Let the readings of FILL come in time, those of LATER now."""
    for readings, late in ((FILL, 0), (LATER, 1)):
        with psycopg.connect(stage.park.dsns.owner) as owner:
            for week in range(-3, 2):
                owner.execute("SELECT plantroom.ensure_week(%s)", [(now + timedelta(weeks=week)).date()])
            owner.execute(readings.encode(), {"now": now})
            owner.execute(MARK.encode(), {"now": now, "marked": now if late else None, "late": late})
        await rollups.rebuild(stage.database)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_map_shows_what_is_missing_and_leads_to_the_hours(
    stage: Stage, visitor: Visitor, language: str
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    await fill(stage, now)
    page = await visitor.sign_in(stage.users["engineer"])
    await speak(visitor, language)
    await visitor.open("/completeness")
    ahu = page.locator(f".heat-map tr:has(a:text-is('{AHU}'))")
    await expect(ahu.locator("td.full").first).to_have_text("100")
    await expect(ahu.locator("td.full").first).to_have_css("background-color", "rgb(11, 74, 134)")
    assert await ahu.locator("td.heat").count() == 14
    assert await ahu.locator(".late-mark").count() >= 1
    assert await page.locator(".gaps tbody tr").count() > 5
    await expect(page.locator(".gaps")).to_contain_text({"zh": "没有读数", "en": "nothing came"}[language])
    await expect(page.locator(".gaps")).to_contain_text({"zh": "补传", "en": "filled in"}[language])
    assert await page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    assert await serious(visitor) == []
    await visitor.shoot(f"{language}-completeness")
    day = (now - timedelta(hours=95)).astimezone(ZoneInfo(stage.park.file.site.timezone)).date()
    await visitor.open(f"/completeness/devices/{AHU}?day={day}")
    assert await page.locator(".heat-map thead th.day").count() == 24
    await expect(page.locator(".gaps")).to_contain_text(f"{AHU}.supply_temp")
    assert await serious(visitor) == []
    await visitor.shoot(f"{language}-completeness-device")
    assert visitor.complaints == []


async def test_lists_are_kept_as_files_and_odd_days_are_refused_in_words(stage: Stage, visitor: Visitor) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    await fill(stage, now)
    page = await visitor.sign_in(stage.users["engineer"])
    days = await page.request.get(stage.url + "/completeness.csv")
    assert (await days.text()).splitlines()[0].startswith("\ufeffday,gateway,device,")
    gaps = await page.request.get(stage.url + f"/completeness/gaps.csv?device={AHU}")
    lines = (await gaps.text()).splitlines()
    assert lines[0] == "\ufeffgateway,device,point,from,to,seconds,expected_every_s,open,not_good_inside,recovered_at"
    assert {line.split(",")[1] for line in lines[1:]} == {AHU}
    for query, status, said in (
        ("?first=2026-02-30", 422, "is not a day"),
        ("?first=2001-02-10&last=2001-02-01", 200, 'value="2001-02-01"'),
        ("?first=2020-01-01&last=2026-02-01", 422, "at most 62 days"),
        ("?first=0001-01-01&last=0001-01-02", 422, "too far off"),
        ("?last=0001-01-01", 422, "too far off"),
        ("?first=2001-01-01&last=2001-01-02", 200, "No reading was expected"),
        ("?first=9999-12-31&last=9999-12-31", 422, "too far off"),
        ("/devices/NOPE", 404, "no such device"),
        (f"/devices/{AHU}?day=2010-01-01", 200, "No reading was expected"),
    ):
        answer = await page.request.get(stage.url + "/completeness" + query)
        assert (answer.status, said in await answer.text()) == (status, True), query


async def test_it_fits_a_phone(stage: Stage, phone: Visitor) -> None:
    await fill(stage, datetime.now(UTC).replace(second=0, microsecond=0))
    page = await phone.sign_in(stage.users["engineer"])
    await phone.open("/completeness")
    await expect(page.locator(".heat-map").first).to_be_visible()
    await phone.shoot("phone-completeness")
    assert await page.evaluate(TOO_WIDE, PHONE["width"]) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
