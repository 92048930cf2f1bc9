"""A reading is corrected from its point's page with its effect shown before; meters are read on the phone."""

import io
import re

import psycopg
import pytest
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from tests.e2e.conftest import DESKTOP, PHONE, Visitor
from tests.e2e.stage import Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser
COUNTER = "EM-A-101.energy"


def photo() -> FilePayload:
    file = io.BytesIO()
    Image.new("RGB", (900, 600), (90, 110, 120)).save(file, "JPEG")
    return {"name": "meter.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}


async def fits(page: Page, width: int) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_reading_is_disputed_agreed_to_and_brought_into_force(
    stage: Stage, visitor: Visitor, language: str
) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await speak(visitor, language)
    await visitor.open(f"/points/{COUNTER}")
    await visitor.shoot(f"{language}-point-readings")
    await fits(page, DESKTOP["width"])
    await page.locator(".readings tbody tr").nth(2).get_by_role("link").first.click()
    await page.wait_for_url(re.compile("kind=dispute"))
    await expect(page.locator("#reason")).to_be_visible()
    await page.fill("#reason", "表盘反光，误读" if language == "zh" else "Misread, the face was in the sun")
    await page.set_input_files("#photo", photo())
    await visitor.shoot(f"{language}-correction-new")
    await fits(page, DESKTOP["width"])
    assert await serious(visitor) == []
    await page.locator("form[enctype] button").click()
    await page.wait_for_url(re.compile(r"/corrections/\d+$"))
    here = page.url
    await expect(page.locator("img.whole")).to_be_visible()
    await visitor.shoot(f"{language}-correction-one")
    await page.context.clear_cookies()
    await visitor.sign_in(stage.users["billing"])
    await page.goto(here)
    await page.locator(".facts a[href^='/approvals/']").click()
    await visitor.shoot(f"{language}-correction-approval")
    await page.locator("button[value=approve]").click()
    await expect(page.locator("button[value=approve]")).to_have_count(0)
    await page.context.clear_cookies()
    await visitor.sign_in(stage.users["engineer"])
    await page.goto(here)
    await page.locator("form[action$='/carry-out'] button").click()
    await expect(page.locator(".head strong")).to_have_text({"zh": "已生效", "en": "In force"}[language])
    assert await serious(visitor) == []
    await visitor.open("/corrections")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await visitor.shoot(f"{language}-corrections")
    await fits(page, DESKTOP["width"])
    await visitor.open(f"/points/{COUNTER}")
    await expect(page.locator(".readings tbody strong")).to_have_count(1)
    assert visitor.complaints == []


async def test_a_meter_is_read_on_the_phone_and_asked_about_when_it_is_unlikely(stage: Stage, phone: Visitor) -> None:
    with psycopg.connect(stage.park.dsns.owner) as owner:
        owner.execute("DELETE FROM latest WHERE point_id = %s", [stage.park.points[COUNTER]])
        owner.execute(
            "DELETE FROM hourly WHERE point_id = %s AND bucket > now() - interval '3 days'",
            [stage.park.points[COUNTER]],
        )
    page = await phone.sign_in(stage.users["technician"])
    await speak(phone, "en")
    await phone.open("/meters")
    await phone.shoot("phone-meters")
    await fits(page, PHONE["width"])
    await page.get_by_text(COUNTER).first.click()
    await page.fill("#value", "1.5")
    await page.set_input_files("#photo", photo())
    await page.locator("form button.btn-main").first.click()
    await expect(page.locator("#notices")).to_contain_text("not what is expected")
    await phone.shoot("phone-meter")
    await fits(page, PHONE["width"])
    assert await serious(phone) == []
    await page.check("input[name=sure]")
    await page.locator("form button.btn-main").first.click()
    await page.wait_for_url(re.compile("/meters$"))
    await expect(page.locator(".jobs")).to_contain_text("waits for approval")
    await page.get_by_text(COUNTER).first.click()
    await page.locator("details summary").click()
    await page.fill("#final", "1.0")
    await page.fill("#initial", "0")
    await page.fill("#why", "display broken")
    await phone.shoot("phone-exchange")
    await fits(page, PHONE["width"])
    await page.locator("details form button").click()
    await expect(page.locator("#notices")).to_contain_text("does not fit")
