"""The page of a point over any days, and history brought in a file, as people see them."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import DESKTOP, PHONE, Visitor
from tests.e2e.stage import Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser
CODE = "EM-A-MAIN.energy"
FILE = (
    f"point,at,value\n{CODE},2024-01-01 00:00,10\n{CODE},2024-01-02 00:00,20\n{CODE},2024-01-02 00:00,21\n"
    + "".join(f"NO.such,2024-01-01 00:00,{n}\n" for n in range(120))
)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_file_is_checked_looked_at_and_stored(stage: Stage, visitor: Visitor, language: str) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await speak(visitor, language)
    await visitor.open("/readings/import")
    assert await serious(visitor) == []
    await page.set_input_files("#file", {"name": "旧表.csv", "mimeType": "text/csv", "buffer": FILE.encode()})
    await page.click("form.form-row button.btn-primary")
    await page.wait_for_url("**/readings/import/*-*")
    await expect(page.locator("h1")).to_have_text("旧表.csv")
    await expect(page.locator("tbody tr")).to_have_count(100)
    assert await serious(visitor) == []
    await visitor.shoot(f"{language}-import-checked")
    problems = await page.request.get(page.url + "/problems.csv")
    assert len((await problems.body()).splitlines()) == 122
    await page.click("section button.btn-primary")
    await expect(page.locator("section button")).to_have_count(0)
    await visitor.open(f"/points/{CODE}?first=2023-12-31&last=2024-01-03&resolution=raw")
    await page.wait_for_selector(".uplot canvas")
    assert await serious(visitor) == []
    await visitor.shoot(f"{language}-point-days")
    for form in ("CSV", "XLSX"):
        async with page.expect_download() as started:
            await page.click(f"a[download]:text-is('{form}')")
        assert (await started.value).suggested_filename.endswith(form.lower())
    await visitor.open("/readings/import")
    await visitor.shoot(f"{language}-imports")
    assert await page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    assert visitor.complaints == []


async def test_these_pages_fit_a_phone(stage: Stage, phone: Visitor) -> None:
    page = await phone.sign_in(stage.users["engineer"])
    await phone.open("/readings/import")
    await page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": FILE.encode()})
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await phone.shoot("phone-imports")
    await page.click("form.form-row button.btn-primary")
    await page.wait_for_url("**/readings/import/*-*")
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await phone.shoot("phone-import", full=False)
    await phone.open(f"/points/{CODE}?range=7d")
    await page.wait_for_selector(".uplot canvas")
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await phone.shoot("phone-point", full=False)
    assert phone.complaints == []
