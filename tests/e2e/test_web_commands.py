"""A point is set from its page, and what becomes of it appears there by itself."""

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from playwright.async_api import expect

from hub.commands import outbox
from hub.store.database import Actor, Role
from rules.control.command import Answer, Outcome
from tests.e2e.conftest import DESKTOP, Visitor
from tests.e2e.stage import AHU, Stage
from tests.e2e.test_web_pages import serious, speak

pytestmark = pytest.mark.browser
PAGE = f"/points/{AHU}.supply_setpoint"


async def answered(stage: Stage, outcome: Outcome, shown: float | None, reason: str = "") -> None:
    """What the gateway would say to what is under way."""
    now = datetime.now(UTC)
    async with stage.database.transaction(None, Actor("plantroom/ingest"), Role.INGEST) as tx:
        (due,) = await outbox.send(tx, now)
    async with stage.database.transaction(None, Actor("plantroom/ingest"), Role.INGEST) as tx:
        await outbox.close(tx, due.site, due.gateway, Answer(str(due.id), outcome, now, shown, reason), now)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_point_is_set_and_its_outcome_appears_without_a_reload(
    stage: Stage, visitor: Visitor, language: str
) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    page.on("dialog", lambda dialog: dialog.accept())
    await speak(visitor, language)
    await visitor.open(PAGE)
    await page.wait_for_selector("body[data-link=up]")
    await expect(page.locator("#commands tr")).to_have_count(0)
    await page.fill("#value", "20.5")
    await page.fill("#reason", "会议室偏热" if language == "zh" else "Meeting room too warm")
    async with page.expect_navigation():
        await page.click(".setting button.btn-primary")
    row = page.locator("#commands tr")
    await expect(row).to_contain_text({"zh": "已下达", "en": "given"}[language])
    await expect(row).to_contain_text("engineer")
    await page.wait_for_selector("body[data-link=up]")
    await page.evaluate("window.mark = 'still the same page'")
    await answered(stage, Outcome.DONE, 20.5)
    await expect(row).to_contain_text({"zh": "已设定", "en": "set"}[language], timeout=2_000)
    assert await page.evaluate("window.mark") == "still the same page"
    assert await page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    assert await serious(visitor) == []
    assert visitor.complaints == []
    await visitor.shoot(f"{language}-setting", full=False)


async def test_the_form_sent_twice_is_one_command_and_limits_are_said(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    page.on("dialog", lambda dialog: dialog.accept())
    await visitor.open(PAGE)
    assert (await page.get_attribute("#value", "min"), await page.get_attribute("#value", "max")) == ("16.0", "26.0")
    form = {name: await page.get_attribute(f".setting input[name={name}]", "value") or "" for name in ("csrf", "id")}
    for _ in range(2):
        answer = await page.request.post(stage.url + PAGE + "/commands", form={**form, "value": "21", "reason": ""})
        assert answer.ok
    for value, says in (
        ("27", "from 16 to 26 °C"),
        ("warm", "as a number"),
        ("nan", "from 16 to 26 °C"),
        ("", "number"),
    ):
        answer = await page.request.post(
            stage.url + PAGE + "/commands", form={**form, "id": str(uuid4()), "value": value}
        )
        assert answer.status == 422
        assert says in await answer.text()
    with psycopg.connect(stage.park.dsns.owner) as owner:
        assert owner.execute("SELECT value FROM commands").fetchall() == [(21.0,)]


async def test_who_may_not_set_sees_what_was_set_and_no_form(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["administrator"])
    await visitor.open(PAGE)
    await expect(page.locator(".setting")).to_contain_text("May be set by engineers")
    await expect(page.locator(".setting form")).to_have_count(0)
    await visitor.open(f"/points/{AHU}.supply_temp")
    await expect(page.locator(".setting")).to_have_count(0)


async def test_a_critical_point_is_set_after_a_second_person_has_agreed(stage: Stage, visitor: Visitor) -> None:
    with psycopg.connect(stage.park.dsns.owner) as owner:
        owner.execute("UPDATE allowances SET critical = true")
    page = await visitor.sign_in(stage.users["engineer"])
    page.on("dialog", lambda dialog: dialog.accept())
    await visitor.open(PAGE)
    await page.fill("#value", "19")
    await page.fill("#reason", "pump is changed")
    async with page.expect_navigation():
        await page.click(".setting button.btn-primary")
    await expect(page.locator("#commands tr")).to_contain_text("waits for a second person")
    with psycopg.connect(stage.park.dsns.owner) as owner:  # as the second person's decision leaves it
        owner.execute(
            """INSERT INTO approval_decisions (organisation_id, request_id, submission_id, round, step, content_hash,
                                               login, verdict, comment, at, submitted_by)
               SELECT organisation_id, id, gen_random_uuid(), round, step, content_hash, 'second', 'approve', '', now(),
                      submitted_by FROM approval_requests WHERE kind = 'command'"""
        )
        owner.execute(
            """UPDATE approval_requests
               SET state = 'approved', usable_until = now() + interval '1 day', ended_at = now()
               WHERE kind = 'command'"""
        )
    await visitor.open(PAGE)
    await visitor.shoot("en-setting-agreed", full=False)
    async with page.expect_navigation():
        await page.click(".setting button:has-text('Set now')")
    await expect(page.locator("#commands tr")).to_contain_text("engineer + second")
    await answered(stage, Outcome.FAILED, 18.0, "it holds 18")
    await expect(page.locator("#commands tr")).to_contain_text("not taken by the device", timeout=2_000)
    assert visitor.complaints == []
    await visitor.shoot("en-setting-failed", full=False)
