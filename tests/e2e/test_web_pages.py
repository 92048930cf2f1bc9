"""Every page opens in both languages without a complaint of the browser, and can be used by everybody."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from pypdf import PdfReader

from rules.meter.look import Look, write
from tests.e2e.conftest import DESKTOP, PHONE, Visitor
from tests.e2e.stage import AHU, Stage

pytestmark = pytest.mark.browser

ADMINISTRATORS = [
    "/", "/alarms", "/alarms?priority=critical", "/alarms/history", "/orders", "/orders?show=all", "/orders/1",
    "/points",    "/points?q=AHU", "/points?q=nothing-like-this",
    f"/points/{AHU}.supply_temp", "/points/EM-A-MAIN.energy?range=62d",
    "/gateways", "/commissioning", "/commissioning/EM-A-101.energy", "/tenants", "/leases", "/leases/L-2024-001",
    "/invoices", "/consumption", "/consumption/EM-A-MAIN",
]  # fmt: skip
LISTS = [
    "/alarms", "/alarms/history", "/orders", "/points", "/gateways", "/commissioning", "/tenants", "/leases",
    "/invoices", "/consumption",
]  # fmt: skip


def figure(text: str) -> Decimal:
    """The number that a text begins with."""
    return Decimal(text.split(maxsplit=1)[0].replace(",", ""))


async def serious(visitor: Visitor) -> list[str]:
    found = await Axe().run(visitor.page)
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}"
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


async def speak(visitor: Visitor, language: str) -> None:
    button = visitor.page.locator(f"button[name=language][value={language}]")
    if await button.count():
        async with visitor.page.expect_navigation():
            await button.click()


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_console_page_opens_without_a_complaint(stage: Stage, visitor: Visitor, language: str) -> None:
    page = await visitor.sign_in(stage.users["administrator"])
    await speak(visitor, language)
    invoice = await stage.first_invoice()
    for path in [*ADMINISTRATORS, f"/alarms/{await stage.first_alarm()}", f"/invoices/{invoice}"]:
        await visitor.open(path)
        assert await page.get_attribute("html", "lang") == {"zh": "zh-CN", "en": "en-GB"}[language]
        assert "Asia/Shanghai" in await page.inner_text("header")
        assert await page.locator("h1, .paper-title").first.inner_text()
        await page.wait_for_timeout(150)
        assert visitor.complaints == [], path
        assert await page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"], path
        if "?" not in path:
            assert await serious(visitor) == [], path
            await visitor.shoot(f"{language}{re.sub(r'[/.]', '-', path)[:24]}", full=False)


async def test_a_value_that_is_old_is_grey_and_can_still_be_read(stage: Stage, visitor: Visitor) -> None:
    stage.silence()
    page = await visitor.sign_in(stage.users["engineer"])
    for path in ("/points", f"/points/{AHU}.supply_temp"):
        await visitor.open(path)
        await page.wait_for_selector(".stale .value")
        assert await serious(visitor) == [], path


async def test_every_list_can_be_taken_along_as_csv(stage: Stage, visitor: Visitor) -> None:
    await visitor.sign_in(stage.users["administrator"])
    for path in LISTS:
        answer = await visitor.page.request.get(f"{stage.url}{path}.csv")
        assert answer.ok
        assert answer.headers["content-type"].startswith("text/csv")
        assert len((await answer.body()).splitlines()) > 1, path


async def test_the_door_says_one_sentence_and_then_opens(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.open("/sign-in")
    assert await serious(visitor) == []
    await visitor.sign_in(stage.users["engineer"], "wrong password")
    assert "wrong" in await page.inner_text("[role=alert]")
    visitor.complaints.clear()  # Chromium logs the 403
    await visitor.sign_in(stage.users["engineer"])
    assert page.url == f"{stage.url}/"
    await page.click("text=Sign out")
    await page.wait_for_url("**/sign-in")
    await visitor.open("/alarms")
    assert "/sign-in?next=/alarms" in page.url
    assert visitor.complaints == []


async def test_a_refusal_is_readable_before_anybody_signs_in(stage: Stage, visitor: Visitor, phone: Visitor) -> None:
    for who in (visitor, phone):
        page = await who.open("/alarms/%00")
        wide = await page.evaluate("innerWidth")
        found = await page.locator("main").bounding_box()
        assert found is not None
        assert found["width"] == wide
        assert "Site time" not in await page.inner_text("header")  # of no site


async def test_the_filter_is_in_the_address_and_an_empty_list_says_why(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await visitor.open("/points")
    await page.fill("#q", "ahu supply")
    await page.press("#q", "Enter")
    await page.wait_for_url("**/points?q=ahu+supply*")
    assert await page.locator("#points tr").count() == 2
    await visitor.open("/points?q=no-such-thing")
    assert "The filter hides every point." in await page.inner_text(".empty:visible")
    await visitor.open("/alarms?priority=critical")
    assert "the filter hides the others" in await page.inner_text(".empty:visible")


async def test_a_trend_is_drawn_with_times_of_the_site(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await visitor.open(f"/points/{AHU}.supply_temp?range=4h")
    await page.wait_for_selector(".trend canvas")
    await visitor.open("/points/EM-A-MAIN.energy?range=7d")
    await page.wait_for_selector(".trend canvas")
    assert visitor.complaints == []


async def test_each_metered_line_of_a_bill_opens_to_its_two_readings(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["administrator"])
    number = await stage.first_invoice()
    await visitor.open(f"/invoices/{number}")
    how = page.locator("details.how", has_text="Start reading").first
    await how.locator("summary").click()
    text = await how.inner_text()
    for word in ("Start reading", "End reading", "Multiplier", "Tariff", "Bands", "Days", "Rounding", "Tax"):
        assert word in text
    start, end = [figure(await how.locator("dd a").nth(i).inner_text()) for i in (0, 1)]
    assert end - start == figure(re.findall(r"Consumption\s+([\d.,]+)", text)[0])
    for word in ("CNY/kWh", "2024-01", "decimal places: 2"):
        assert word in text
    answer = await page.request.get(f"{stage.url}/invoices/{number}.pdf")
    assert (await answer.body()).startswith(b"%PDF")
    assert visitor.complaints == []


async def test_the_billing_clerk_gets_from_a_line_to_each_of_its_readings_by_one_click(
    stage: Stage, visitor: Visitor
) -> None:
    page = await visitor.sign_in(stage.users["billing"])
    await page.click("nav >> text=Points")
    await page.wait_for_selector("#points tr")
    for which in (0, 1):
        await visitor.open(f"/invoices/{await stage.first_invoice()}")
        how = page.locator("details.how", has_text="Start reading").first
        await how.locator("summary").click()
        await how.scroll_into_view_if_needed()
        if which == 0:
            await visitor.picture("invoice", 1000, 740)
        link = how.locator("dd a").nth(which)
        billed, when = await link.inner_text(), await how.locator("dd a + span").nth(which).inner_text()
        await link.click()
        await page.wait_for_selector(".trend canvas")
        here = page.locator("tr.here")
        await expect(here).to_have_count(1)
        assert await here.locator(".time").inner_text() == when
        assert await here.locator(".value").inner_text() == billed.split()[0]
        assert 8 <= await page.locator(".near tbody tr").count() <= 11
        assert await serious(visitor) == []
    await page.goto(page.url.replace("00.000Z", "07.000Z"))  # a moment between two readings
    await expect(page.locator(".near tbody tr")).to_have_count(10)
    await expect(here).to_have_count(0)
    assert "was estimated from the readings beside it" in await page.inner_text(".near")
    await visitor.open("/points/EM-A-MAIN.energy?at=2020-01-01T00:00:00Z")
    assert "No reading is stored around this moment" in await page.inner_text(".near")
    assert visitor.complaints == []


async def test_no_list_is_cut_off_on_smaller_screens(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["administrator"])
    for path in ["/", *LISTS, "/leases/L-2024-001", f"/invoices/{await stage.first_invoice()}"]:
        await visitor.open(path)
        for width in (1280, 1024, 360):
            await page.set_viewport_size({"width": width, "height": 740})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            boxes = "[...document.querySelectorAll('.list')].map((box) => box.scrollWidth - box.clientWidth)"
            beyond = await page.evaluate(f"Math.max(0, ...{boxes})")
            assert beyond == 0 or width < 1280, (path, width)  # a narrower box scrolls inside itself


async def test_lists_and_bills_print_without_the_screen_around_them(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["administrator"])
    await visitor.open("/points")
    sheets = PdfReader(BytesIO(await page.pdf(prefer_css_page_size=True))).pages
    assert len(sheets) > 2
    for sheet in sheets:
        assert "Quality" in sheet.extract_text()  # the head of the table
        assert sheet.mediabox.width > sheet.mediabox.height
    assert "Printed" in sheets[0].extract_text()
    for path in ("/points", "/alarms", "/orders", f"/invoices/{await stage.first_invoice()}"):
        await visitor.open(path)
        await page.emulate_media(media="print")
        for part in (".side", ".btn", "form", "#notices"):
            assert await page.locator(f"{part}:visible").count() == 0, (path, part)
        await page.emulate_media(media="screen")


async def test_an_alarm_shows_its_trend_with_the_limit_and_what_was_done_before(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await visitor.open(f"/alarms/{await stage.first_alarm()}")
    await page.wait_for_selector(".trend canvas")
    text = await page.inner_text("main")
    for word in ("Probable cause", "What to do", "Last work orders of this device", "limit", "Trend over four hours"):
        assert word in text
    await page.locator("table a[href='/orders/1']").first.click()
    await page.wait_for_selector("#order article, #order .facts")
    assert "Supply air temperature off its set point" in await page.inner_text("dd a")
    assert visitor.complaints == []


async def test_a_month_is_previewed_then_billed_and_a_second_run_adds_nothing(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["billing"])
    await page.wait_for_url("**/invoices")
    before = await page.locator("tbody tr").count()
    await page.click("text=Preview")
    assert "Nothing to bill" in await page.inner_text(".empty:visible")
    await visitor.open("/invoices")
    assert await page.locator("tbody tr").count() == before
    answer = await page.request.get(f"{stage.url}/invoices/run?month=2099-01")
    assert answer.status == 422
    assert "is not over" in await answer.text()


async def test_a_tenant_finds_only_his_own_bill(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["tenant"])
    await page.wait_for_url("**/papers")
    assert await page.locator("table[aria-label=Invoices] tbody tr").count() == 1
    mine = await page.locator("table[aria-label=Invoices] tbody a").first.inner_text()
    assert await serious(visitor) == []
    await page.click(f"text={mine}")
    await page.locator("details.how summary").nth(1).click()
    assert await page.locator("details.how a").count() == 0  # readings are the landlord's
    others = [number for number in await stage.invoices() if number != mine]
    answer = await page.request.get(f"{stage.url}/invoices/{others[0]}")
    assert answer.status == 404
    assert visitor.complaints == []


async def test_a_technician_walks_a_job_on_a_small_phone(stage: Stage, phone: Visitor) -> None:
    page = await phone.sign_in(stage.users["technician"])
    await page.wait_for_url("**/my")
    assert await serious(phone) == []
    await phone.shoot("phone-jobs")
    await page.tap(".job")
    await page.wait_for_url("**/my/1")
    for state in ("Accepted", "On site"):
        assert await page.locator(".btn-main").count() == 1
        box = await page.locator(".btn-main").bounding_box()
        assert box is not None
        assert box["height"] >= 48
        await page.tap(".btn-main")
        await page.wait_for_selector(f"dd strong:has-text('{state}')")
    await phone.shoot("phone-job")
    await phone.picture("phone", 360, 740)
    assert await serious(phone) == []
    await page.tap(".btn-main")
    assert await page.locator("dd strong:has-text('On site')").count() == 1  # a note is asked for first
    await page.fill("#note", "Valve actuator exchanged")
    await page.tap(".btn-main")
    await page.wait_for_selector("dd strong:has-text('Done')")
    assert "telemetry" in await page.inner_text("[role=status]")
    assert "Valve actuator exchanged" in await page.inner_text(".journal")
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert phone.complaints == []


async def test_a_record_of_commissioning_is_taken_in_by_the_page(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    now = datetime.now(UTC)
    looks = [
        Look("EM-A-101.energy", "kWh", "li.wei", now - timedelta(minutes=ago), face, face, agrees=True, pace=pace)
        for ago, face, pace in ((40, "4711.2", ""), (10, "4712.9", "right"))
    ]
    await visitor.open("/commissioning")
    await page.set_input_files("#record", {"name": "r.json", "mimeType": "application/json",
                                           "buffer": write(looks).encode()})  # fmt: skip
    await page.locator("section form button").click()
    await page.wait_for_selector(".notice[role=status]")
    assert "Looks taken in: 2" in await page.inner_text(".notice[role=status]")
    await visitor.shoot("en-commissioning-taken", full=False)
    await page.click("text=EM-A-101.energy")
    await page.wait_for_selector("table[aria-label='Looks at the meter']")
    assert "trusted for billing" in await page.inner_text("main")
    await visitor.shoot("en-commissioned", full=False)
    assert visitor.complaints == []


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_an_engineer_takes_in_a_device_that_was_not_registered_and_accepts_a_unit(
    stage: Stage, visitor: Visitor, language: str
) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await speak(visitor, language)
    await visitor.open("/gateways")
    await visitor.shoot(f"{language}-strangers")
    await page.click("a[href*='/gateways/adopt']")
    await page.wait_for_selector("#name_zh")
    assert await serious(visitor) == []
    await visitor.shoot(f"{language}-adopt")
    await page.fill("#name_zh", "3 号冷机")
    await page.fill("#name_en", "Chiller 3")
    await page.select_option("#space", index=1)
    await page.click("form.stack button.btn-primary")
    await page.wait_for_url("**/gateways")
    assert await page.locator("a[href*='/gateways/adopt']").count() == 0
    await page.click("form[action='/gateways/unit'] button")
    await expect(page.locator("form[action='/gateways/unit']")).to_have_count(0)
    assert visitor.complaints == []
