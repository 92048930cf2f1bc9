"""Approvals in the browser: on the desk in both languages, on a small phone with one hand."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from hub.access import service as access
from hub.access.rights import RIGHTS
from hub.approvals import service as approvals
from hub.approvals.rows import Subject
from hub.store.database import Actor
from tests.e2e.conftest import PHONE, Visitor
from tests.e2e.stage import ADMINISTRATOR, PASSWORD, Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Desk:
    """A stage with two managers and two requests."""

    stage: Stage
    small: int
    big: int


@pytest.fixture
async def desk(stage: Stage) -> Desk:
    """Li Ting manages the site, Chen Hao the organisation; the technician wants two things."""
    park, database = stage.park, stage.database
    async with database.transaction(park.organisation, ADMINISTRATOR) as tx:
        site_manager = await access.add_user(tx, "li.ting", "Li Ting", "manager", PASSWORD, language="en")
        await access.add_user(tx, "chen.hao", "Chen Hao", "manager", PASSWORD, language="en")
    with psycopg.connect(park.dsns.owner) as owner:
        owner.execute("UPDATE grants SET scope = 'site', site_id = %s WHERE user_id = %s", [park.site, site_manager])
    who = Actor(stage.users["technician"], None, RIGHTS["technician"])
    numbers = []
    for title, text, amount in (
        ("Filters for AHU-A", "Twelve filters F7.\nThe old ones show 380 Pa.", "1280.50"),
        ("Exchange of the cooling coil", "The coil leaks; quotation of three suppliers attached to order #1.", "68000"),
    ):
        content = {"title": title, "text": text}
        asked = Subject(
            "expense", title, title, title, content, park.site, None, Decimal(amount), "CNY", link="/orders/1"
        )
        async with database.transaction(park.organisation, who) as tx:
            numbers.append(await approvals.submit(tx, asked, datetime.now(UTC)))
    return Desk(stage, *numbers)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_page_of_approvals_opens_without_a_complaint(desk: Desk, visitor: Visitor, language: str) -> None:
    page = await visitor.sign_in(desk.stage.users["administrator"])
    await speak(visitor, language)
    paths = [
        "/approvals?tab=all", f"/approvals/{desk.big}", "/approvals/new", "/approvals/new?kind=general", "/deputies",
        "/flows", "/flows/expense", "/flows/expense?on=2025-01-01", "/flows/expense/propose",
    ]  # fmt: skip
    for path in paths:
        await visitor.open(path)
        await visitor.shoot(f"{language}-approvals{path.replace('/', '-').replace('?', '-')}", full=True)
        assert await page.locator("h1").first.inner_text()
        assert visitor.complaints == [], path
        assert await serious(visitor) == [], path
        for width in (1280, 1024, 360):
            await page.set_viewport_size({"width": width, "height": 740})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        await page.set_viewport_size({"width": 1360, "height": 820})


async def test_a_manager_approves_on_a_small_phone(desk: Desk, phone: Visitor) -> None:
    page = await phone.sign_in("li.ting")
    await phone.open("/approvals")
    await phone.shoot("phone-approvals")
    assert await serious(phone) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await page.tap(f"a[href='/approvals/{desk.big}']")
    await page.wait_for_url(f"**/approvals/{desk.big}")
    await phone.shoot("phone-approval")
    assert await serious(phone) == []
    for verdict in ("approve", "reject"):
        box = await page.locator(f"button[value={verdict}]").bounding_box()
        assert box is not None
        assert box["height"] >= 48
        assert box["x"] + box["width"] <= PHONE["width"]
    await page.tap("button[value=reject]")  # without a word
    await page.wait_for_selector("#notices [role=alert]")
    assert "why you reject" in await page.inner_text("#notices")
    phone.complaints.clear()  # Chromium logs the 422
    await page.fill("#comment", "Budget is there")
    await page.tap("button[value=approve]")
    await page.wait_for_selector(".stages .comment")
    assert "Budget is there" in await page.inner_text(".stages")
    assert await page.locator("button[value=approve]").count() == 0
    await phone.shoot("phone-approval-done")
    await phone.open("/approvals?tab=decided")
    assert await page.locator("tbody tr").count() == 1
    assert phone.complaints == []


async def test_somebody_writes_a_request_and_changes_and_withdraws_it(desk: Desk, visitor: Visitor) -> None:
    page = await visitor.sign_in(desk.stage.users["engineer"])
    await visitor.open("/approvals/new")
    await page.fill("#title", "A ladder")
    await page.fill("#amount", "not a number")
    await page.fill("#text", "The old one is bent.")
    await page.click("text=Submit for approval")
    await page.wait_for_selector("#notices [role=alert]")
    visitor.complaints.clear()
    await page.fill("#amount", "1,280.50")
    await page.click("text=Submit for approval")
    await page.wait_for_selector(".stages")
    assert "1,280.50 CNY" in await page.inner_text(".facts")
    assert "Li Ting" in await page.inner_text(".stages")
    await page.click("text=Change")
    await page.fill("#amount", "6000")
    await page.click("text=Submit as changed")
    await page.wait_for_selector("text=changed 1×")
    page.once("dialog", lambda asked: asked.accept())
    await page.click("text=Withdraw")
    await page.wait_for_selector("dd strong:has-text('Withdrawn')")
    assert visitor.complaints == []


async def test_a_new_version_of_a_flow_walks_from_text_to_force(desk: Desk, visitor: Visitor) -> None:
    page = await visitor.sign_in(desk.stage.users["administrator"])
    await visitor.open("/flows/expense/propose")
    text = await page.input_value("#text")
    await page.fill("#text", text.replace("where: site", "where: nowhere"))
    await page.click("text=Propose for approval")
    await page.wait_for_selector(".problem")
    await visitor.shoot("flow-problems")
    assert "Line 15" in await page.inner_text(".problem")
    visitor.complaints.clear()
    await page.fill("#text", text.replace("2026-01\n", "2099-01\n").replace("2026-01-01", "2099-01-01"))
    await page.click("text=Propose for approval")
    await page.wait_for_selector(".stages")
    number = int(page.url.rsplit("/", 1)[1])
    await visitor.shoot("flow-proposed")
    assert "+  - version: 2099-01" in await page.locator(".said-text").first.inner_text()
    await page.click("text=Sign out")
    await visitor.sign_in("chen.hao")
    await visitor.open(f"/approvals/{number}")
    await page.click("button[value=approve]")
    await page.wait_for_selector("dd strong:has-text('Approved')")
    await page.click("text=Sign out")
    await visitor.sign_in(desk.stage.users["administrator"])
    await visitor.open("/flows/expense?on=2099-02-01")
    await page.click("text=Put in force")
    await visitor.open("/flows/expense?on=2099-02-01")
    assert "2099-01" in await page.inner_text("tr.here")
    assert visitor.complaints == []


async def test_a_deputy_is_named_and_taken_back(desk: Desk, visitor: Visitor) -> None:
    page = await visitor.sign_in("li.ting")
    await visitor.open("/deputies")
    await page.select_option("#deputy", "engineer")
    await page.click("text=Name the deputy")
    await page.wait_for_selector("tbody tr")
    await visitor.shoot("deputies")
    assert "Test engineer" in await page.inner_text("tbody")
    await page.click("text=Sign out")
    await visitor.sign_in(desk.stage.users["engineer"])
    await visitor.open(f"/approvals/{desk.small}")
    assert "on behalf of Li Ting" in await page.inner_text(".decide")
    await page.click("button[value=approve]")
    await page.wait_for_selector("dd strong:has-text('Approved')")
    assert "Test engineer on behalf of Li Ting" in await page.inner_text(".stages")
    assert visitor.complaints == []
