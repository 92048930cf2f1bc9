"""The pages of the record in a browser: both languages, on paper, on a narrow screen."""

from dataclasses import replace
from io import BytesIO

import pytest
from pypdf import PdfReader

from hub.alarms import service as alarms
from hub.audit import chain
from hub.audit import service as audit
from tests.builders import acting
from tests.e2e.conftest import DESKTOP, Visitor
from tests.e2e.stage import Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser

DEPUTY = replace(acting("wang.jianguo", "engineer"), address="10.20.0.15", request_id="0f" * 16, on_behalf_of="li.wei")


async def _acts(stage: Stage) -> str:
    """What a day leaves behind; gives the alarm that it was about."""
    alarm = await stage.first_alarm()
    async with stage.database.transaction(stage.park.organisation, DEPUTY) as tx:
        found = (await alarms.active(tx))[0]
        await alarms.acknowledge(tx, found.id, found.raised_at, "Valve is being looked at")
        changed = {"changed": {"rent_per_m2_month": ["95.0000", "98.5000"], "due_days": ["15", "20"]}}
        said = "Addendum no. 3, signed by both parties: the rent is adjusted from next quarter on"
        await audit.record(tx, "changed", "lease", "11111111-2222", changed, reason=said)
        await audit.record(tx, "refused", "page", "GET /invoices/run", {"why": "Your role does not include this page."})
    await chain.seal_all(stage.database)
    async with stage.database.transaction(stage.park.organisation, DEPUTY) as tx:
        await audit.record(tx, "registered", "site", stage.park.site, {"code": "RIVERSIDE", "devices": 28})
    return str(alarm)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_record_is_read_in_both_languages(stage: Stage, visitor: Visitor, language: str) -> None:
    alarm = await _acts(stage)
    page = await visitor.sign_in(stage.users["administrator"])
    await speak(visitor, language)
    for name, path in {
        "all": "/audit",
        "leases": "/audit?entity=lease&text=Addendum",
        "nothing": "/audit?actor=nobody",
        "life": f"/audit/alarm/{alarm}",
    }.items():
        await visitor.open(path)
        await page.wait_for_timeout(150)
        assert visitor.complaints == [], path
        assert await serious(visitor) == [], path
        for width in (DESKTOP["width"], 1024, 360):
            await page.set_viewport_size({"width": width, "height": 820})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        await page.set_viewport_size({"width": DESKTOP["width"], "height": 820})
        await visitor.shoot(f"audit-{language}-{name}")


async def test_an_alarm_leads_to_its_record_and_back(stage: Stage, visitor: Visitor) -> None:
    alarm = await _acts(stage)
    page = await visitor.sign_in(stage.users["administrator"])
    await visitor.open(f"/alarms/{alarm}")
    await page.click(".head >> text=Audit record")
    await page.wait_for_url(f"**/audit/alarm/{alarm}")
    text = await page.inner_text("main")
    for said in ("acknowledged by", "wang.jianguo", "On behalf of", "li.wei", "10.20.0.15"):
        assert said in text, said
    assert "Valve is being looked at" not in text  # a note may name people; it stays with the alarm
    await page.click("text=Open it")
    await page.wait_for_url(f"**/alarms/{alarm}")
    assert visitor.complaints == []


async def test_the_record_prints_without_the_screen_around_it(stage: Stage, visitor: Visitor) -> None:
    alarm = await _acts(stage)
    page = await visitor.sign_in(stage.users["administrator"])
    for path in ("/audit", f"/audit/alarm/{alarm}"):
        await visitor.open(path)
        sheets = PdfReader(BytesIO(await page.pdf(prefer_css_page_size=True))).pages
        text = "".join(sheet.extract_text() for sheet in sheets)
        assert "wang.jianguo" in text
        assert "Printed" in text
        await page.emulate_media(media="print")
        for part in (".side", ".btn", "form", "#notices"):
            assert await page.locator(f"{part}:visible").count() == 0, (path, part)
        await page.emulate_media(media="null")
