"""Signing in as people do it: password, phone, recovery codes, a link from a mail, my account; on desks and phones."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from hub.access import factor, invitation
from hub.store.database import Database
from tests.conftest import PostgresForTests, fresh_dsns
from tests.door import STRICT, moment
from tests.e2e.conftest import DESKTOP, PHONE, Staged, Visitor
from tests.e2e.stage import ADMINISTRATOR, PASSWORD, Stage, pages

pytestmark = pytest.mark.browser

NEW = "seven quiet llamas graze"


@pytest.fixture
async def strict(postgres: PostgresForTests, staged: Staged) -> AsyncIterator[Stage]:
    """The park as an installation is: the staff needs a second factor."""
    dsns = fresh_dsns(postgres, staged.template)
    database = Database(dsns.hub)
    await database.open()
    async with pages(database, replace(staged.park, dsns=dsns), staged.users, keeper=STRICT) as running:
        yield running
    await database.close()
    postgres.drop(dsns.owner)


@pytest.fixture(params=["zh-desktop", "en-phone"])
async def somebody(browser: Browser, strict: Stage, request: pytest.FixtureRequest) -> Visitor:
    """A visitor, Chinese at a desk or English with a small phone."""
    language, where = request.param.split("-")
    locale = {"zh": "zh-CN", "en": "en-GB"}[language]
    size = PHONE if where == "phone" else DESKTOP
    context = await browser.new_context(viewport=size, locale=locale)  # type: ignore[arg-type]
    with psycopg.connect(strict.park.dsns.owner) as owner:
        owner.execute("UPDATE users SET language = %s", [language])
    return Visitor(await context.new_page(), strict.url)


async def fine(visitor: Visitor, name: str, request: pytest.FixtureRequest) -> None:
    """Nothing to complain of: console, width, contrast and labels."""
    page = visitor.page
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
    found = await Axe().run(page)
    bad = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in bad] == [], name
    assert [said for said in visitor.complaints if "status of 4" not in said] == [], name
    await visitor.shoot(f"door-{request.node.callspec.id}-{name}")


async def shown_seed(page: Page) -> bytes:
    return base64.b32decode((await page.inner_text("code.key")).replace(" ", "").replace("\xa0", ""))


async def type_code(page: Page, seed: bytes) -> None:
    await page.fill("#code", factor.code(seed, factor.step_of(await moment())))
    await page.click("form button.btn-primary")
    await page.wait_for_load_state("load")


def forget_steps(stage: Stage) -> None:
    with psycopg.connect(stage.park.dsns.owner) as owner:
        owner.execute("UPDATE credentials SET totp_step = 0")


async def sign_out(page: Page) -> None:
    await page.click("form[action='/sign-out'] button")
    await page.wait_for_url("**/sign-in")


async def test_the_staff_sets_up_a_phone_signs_in_with_it_and_recovers(
    strict: Stage, somebody: Visitor, request: pytest.FixtureRequest
) -> None:
    page = await somebody.open("/sign-in?next=/alarms")
    await fine(somebody, "1-sign-in", request)
    await somebody.sign_in("administrator")
    await page.wait_for_url("**/second-factor/set-up*")
    await fine(somebody, "2-set-up", request)
    seed = await shown_seed(page)
    await page.fill("#code", "000000")
    await page.click("form button.btn-primary")
    await expect(page.locator("[role=alert]").first).to_be_visible()
    assert await shown_seed(page) == seed
    await type_code(page, seed)
    codes = await page.locator(".codes code").all_inner_texts()
    assert len(codes) == factor.RECOVERY_CODES
    await fine(somebody, "3-codes", request)
    await page.click("a.btn-primary")
    await page.wait_for_load_state("load")
    await sign_out(page)
    forget_steps(strict)
    await somebody.sign_in("administrator")
    await page.wait_for_url("**/second-factor*")
    await fine(somebody, "4-code", request)
    await page.fill("#code", "123456")
    await page.click("form button.btn-primary")
    await expect(page.locator("[role=alert]").first).to_be_visible()
    await fine(somebody, "5-wrong-code", request)
    await type_code(page, seed)
    await expect(page.locator("nav.side")).to_be_visible()
    await sign_out(page)
    await somebody.sign_in("administrator")
    await page.fill("#code", codes[3])
    await page.click("form button.btn-primary")
    await page.wait_for_load_state("load")
    await expect(page.locator("nav.side")).to_be_visible()


async def test_my_account_shows_what_opens_it_and_where_it_is_open(
    strict: Stage, somebody: Visitor, request: pytest.FixtureRequest
) -> None:
    page = await somebody.sign_in("administrator")
    seed = await shown_seed(page)
    await type_code(page, seed)
    await somebody.open("/account")
    await fine(somebody, "6-account", request)
    await somebody.open("/account/password")
    await fine(somebody, "7-password", request)
    with psycopg.connect(strict.park.dsns.owner) as owner:
        owner.execute("UPDATE sessions SET authenticated_at = now() - interval '1 hour'")
    await somebody.open("/account/factor")
    await page.wait_for_url("**/sign-in/again?next=/account/factor")
    await fine(somebody, "8-again", request)
    forget_steps(strict)
    await page.fill("#password", PASSWORD)
    await type_code(page, seed)
    await page.wait_for_url("**/account/factor")
    await fine(somebody, "9-another-phone", request)
    await somebody.open("/account/password")
    forget_steps(strict)
    await page.fill("#current", PASSWORD)
    await page.fill("#chosen", NEW)
    await page.fill("#repeated", NEW)
    await type_code(page, seed)
    await page.wait_for_url("**/account")
    assert await page.locator("tbody tr").count() == 1


async def test_a_link_from_a_mail_lets_one_choose_a_password(
    strict: Stage, somebody: Visitor, request: pytest.FixtureRequest
) -> None:
    page = await somebody.open("/reset")
    await fine(somebody, "10-reset", request)
    await page.fill("#who", "administrator")
    await page.click("form button.btn-primary")
    await expect(page.locator("[role=status]")).to_be_visible()
    await fine(somebody, "11-sent", request)
    await somebody.open("/welcome")
    await expect(page.locator("#incomplete")).to_be_visible()
    async with strict.database.transaction(strict.park.organisation, ADMINISTRATOR) as tx:
        user_id = await tx.value(b"SELECT id FROM users WHERE login = 'administrator'")
        made = await invitation.make(tx, user_id, "invitation", datetime.now(UTC))
    await somebody.open("/sign-in")
    await somebody.open(made.path)
    await expect(page.locator("#incomplete")).to_be_hidden()
    assert "#" not in page.url
    await fine(somebody, "12-welcome", request)
    await page.fill("#password", NEW)
    await page.fill("#repeated", NEW)
    await page.click("form button.btn-primary")
    await page.wait_for_url("**/sign-in")
    await somebody.sign_in("administrator", NEW)
    await page.wait_for_url("**/second-factor/set-up")
