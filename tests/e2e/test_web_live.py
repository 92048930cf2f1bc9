"""What changes in the building appears on open pages without a reload."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest
from playwright.async_api import expect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.conftest import Visitor
from tests.e2e.stage import AHU, Stage, raise_alarm
from web import live

pytestmark = pytest.mark.browser


async def marked(visitor: Visitor, path: str) -> None:
    """Open a live page, wait for its socket, and leave a mark that a reload would wipe away."""
    page = await visitor.open(path)
    await page.wait_for_selector("body[data-link=up]")
    await page.evaluate("window.mark = 'still the same page'")


async def test_an_alarm_appears_without_a_reload_and_its_order_too(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await marked(visitor, "/alarms")
    await expect(page.locator("#alarms tr")).to_have_count(2)
    await raise_alarm(stage.database, stage.park, AHU, "freeze-protection-trip", datetime.now(UTC))
    first = page.locator("#alarms tr").first
    await expect(first).to_contain_text("Freeze protection tripped", timeout=2_000)
    await expect(first).to_contain_text("Critical")
    await expect(first.locator("a[href^='/orders/']")).to_have_count(1, timeout=2_000)
    await expect(page.locator("#chips")).to_contain_text("Critical 1")
    assert await page.evaluate("window.mark") == "still the same page"
    assert visitor.complaints == []
    await visitor.picture("alarms", 1280, 640)


async def test_acknowledging_shows_on_another_console_at_once(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await marked(visitor, "/alarms")
    other = await page.context.new_page()
    await other.goto(f"{stage.url}/alarms")
    row = page.locator("#alarms tr", has_text="Supply air temperature")
    await row.locator("button").click()
    await expect(row).to_have_class("alarm high acknowledged")
    await expect(row.locator("button")).to_have_count(0)
    await expect(other.locator("#alarms tr.acknowledged")).to_have_count(1, timeout=2_000)
    await expect(other.locator("#alarms tr.acknowledged")).to_contain_text("engineer")
    assert visitor.complaints == []


async def test_no_row_moves_under_the_pointer(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await marked(visitor, "/alarms")
    await page.hover("#alarms tr:last-child .state")
    await raise_alarm(stage.database, stage.park, AHU, "freeze-protection-trip", datetime.now(UTC))
    pill = page.locator("[data-pill=alarms]")
    await expect(pill).to_be_visible(timeout=2_000)
    await expect(pill).to_contain_text("1 new")
    await expect(page.locator("#alarms tr")).to_have_count(2)
    await page.mouse.move(700, 5)
    await expect(page.locator("#alarms tr")).to_have_count(3)


async def test_a_changed_row_keeps_the_focus_in_it(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await marked(visitor, "/alarms")
    button = page.locator("#alarms tr", has_text="Night base load").locator("button")
    await button.focus()
    with psycopg.connect(stage.park.dsns.owner) as connection:
        connection.execute("UPDATE alarms SET value = 33.3 WHERE rule = 'night-base-load-high'")
        stage.announce(connection, "alarm")
    await expect(page.locator("#alarms tr", has_text="33.3")).to_have_count(1, timeout=2_000)
    await expect(button).to_be_focused()


async def test_values_states_and_orders_move_on_open_pages(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await marked(visitor, f"/points/{AHU}.supply_temp")
    with psycopg.connect(stage.park.dsns.owner) as connection:
        connection.execute(
            "UPDATE latest SET value = 27.3, at = now() WHERE point_id = %s",
            [stage.park.points[f"{AHU}.supply_temp"]],
        )
        stage.announce(connection, "latest")
    await expect(page.locator("#point .value")).to_have_text("27.3", timeout=2_000)
    await marked(visitor, "/gateways")
    with psycopg.connect(stage.park.dsns.owner) as connection:
        connection.execute("UPDATE gateways SET online = false, depth = 4321")
        stage.announce(connection, "gateway")
    await expect(page.locator("#gateways tr")).to_contain_text("offline", timeout=2_000)
    await expect(page.locator("#gateways tr")).to_contain_text("4,321")
    assert visitor.complaints == []


async def test_a_cut_connection_is_said_at_once_and_heals_by_itself(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["engineer"])
    await marked(visitor, "/alarms")
    await page.context.set_offline(True)
    await expect(page.locator("#lost")).to_be_visible(timeout=2_000)
    assert await page.inner_text("#lost time")
    await page.locator("#alarms button").first.click()
    await expect(page.locator("#notices [role=alert]")).to_contain_text("could not be sent")
    await expect(page.locator("#alarms tr.unacknowledged")).to_have_count(2)
    await page.context.set_offline(False)
    await expect(page.locator("#lost")).to_be_hidden(timeout=10_000)


async def test_the_socket_is_closed_to_strangers_and_to_other_roles(stage: Stage, visitor: Visitor) -> None:
    address = stage.url.replace("http", "ws") + "/live?list=alarms"
    with pytest.raises(InvalidStatus, match="403"):
        await connect(address, origin="https://elsewhere.example")
    assert await closed_with(address, stage.url, "") == 4401
    await visitor.sign_in(stage.users["technician"])
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in await visitor.page.context.cookies())
    assert await closed_with(address, stage.url, cookies) == 4403
    assert await closed_with(address.replace("alarms", "jobs"), stage.url, cookies) is None


async def test_a_socket_ends_when_its_visitor_becomes_somebody_else(
    stage: Stage, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_SESSION_EVERY_S", 0.1)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.1)
    page = await visitor.sign_in(stage.users["engineer"])
    cookies = "; ".join(f"{held['name']}={held['value']}" for held in await page.context.cookies())
    address = f"{stage.url.replace('http', 'ws')}/live?list=alarms"
    async with connect(address, origin=stage.url, additional_headers={"Cookie": cookies}) as socket:
        await socket.recv()
        with psycopg.connect(stage.park.dsns.owner) as connection:
            connection.execute(
                "UPDATE grants SET role = 'billing' FROM users u WHERE u.id = user_id AND u.login = %s",
                [stage.users["engineer"]],
            )
        with suppress(ConnectionClosed):
            async with asyncio.timeout(5):
                async for _ in socket:
                    pass
        assert socket.close_code == live.RIGHTS_CHANGED


async def closed_with(address: str, origin: str, cookies: str) -> int | None:
    """Give the code with which the server closes a socket; None when it sends rows."""
    async with connect(address, origin=origin, additional_headers={"Cookie": cookies}) as socket:
        with suppress(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 3)
        return socket.close_code
