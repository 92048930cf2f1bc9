"""Pages about people open in both languages without a complaint, and can be used by everybody."""

import re
from datetime import UTC, datetime

import pytest

from hub.access import service as access
from tests.builders_people import OFFICER, watch
from tests.e2e.conftest import DESKTOP, Visitor
from tests.e2e.stage import PASSWORD, Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser

PAGES = {
    "security": ["/stills", "/badges"],
    "billing": ["/tenants", "/tenants/{tenant}"],
    "administrator": ["/privacy", "/privacy/person/contact:{contact}"],
    "tenant": ["/papers"],
}


async def looked_at(visitor: Visitor, path: str, name: str) -> None:
    """Check the page that is open, and keep a picture of it."""
    page = visitor.page
    await page.wait_for_timeout(200)
    assert visitor.complaints == [], path
    assert await page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"], path
    assert await serious(visitor) == [], path
    await visitor.shoot(name)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("role", PAGES)
async def test_pages_about_people_open_without_a_complaint(
    stage: Stage, visitor: Visitor, role: str, language: str
) -> None:
    watched = await watch(stage.database, stage.park, datetime.now(UTC))
    async with stage.database.transaction(stage.park.organisation, OFFICER) as tx:
        await access.add_user(tx, "security", "Test security", "security", PASSWORD, language="en")
    page = await visitor.sign_in(stage.users.get(role, role))
    await speak(visitor, language)
    for path in PAGES[role]:
        path_ = path.format(tenant=watched.tenant_code, contact=watched.contact)
        await visitor.open(path_)
        assert await page.get_attribute("html", "lang") == {"zh": "zh-CN", "en": "en-GB"}[language]
        await looked_at(visitor, path_, f"people-{language}{re.sub(r'[^a-z]+', '-', path)[:24]}")
    if role == "security":
        await _use_surveillance(visitor, language)
    if role == "administrator":
        await page.fill("#reason", "asked at the counter")
        await page.locator("button[formaction]").click()
        await page.wait_for_url("**/privacy/requests/*")
        await looked_at(visitor, "request", f"people-{language}-request")
        await visitor.open("/privacy")
        await page.fill("#text", "赵敏")
        await page.locator("form[action='/privacy/people'] button").click()
        await page.wait_for_selector("input[name=record]")
        await looked_at(visitor, "people", f"people-{language}-people")
    if role == "billing":
        await page.goto(f"{stage.url}/tenants/{watched.tenant_code}")
        await page.locator("form[action$='/show'] button").first.click()
        await page.wait_for_selector("td strong")
        await looked_at(visitor, "shown", f"people-{language}-number-shown")


async def _use_surveillance(visitor: Visitor, language: str) -> None:
    page = visitor.page
    await page.fill("#reason", "lost laptop")
    await page.locator("form.search button").first.click()
    await page.wait_for_selector("tbody tr")
    await looked_at(visitor, "/badges found", f"people-{language}-badges-found")
    await visitor.open("/stills")
    for n, selector in enumerate((".stills a:has(img)", ".stills a:has(.veiled)")):
        await visitor.open("/stills")
        await page.locator(selector).first.click()
        await page.wait_for_load_state("load")
        await looked_at(visitor, "/stills one", f"people-{language}-still-{n}")
    await page.fill("#reason", "leak")
    await page.locator("form.stack button.btn-primary").click()
    await page.wait_for_selector("img.whole")
    await looked_at(visitor, "/stills opened", f"people-{language}-still-opened")
