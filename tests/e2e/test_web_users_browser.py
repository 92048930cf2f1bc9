"""Users, roles, tokens, the choice of a site and another sign-in, in a browser, in both languages and on a phone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from playwright.async_api import expect

from hub.access import administration, tokens
from hub.access import service as access
from hub.access.issuer import Provider
from hub.access.rights import Right
from hub.access.tokens import Reach
from hub.assets import service as assets
from hub.leases import service as leases
from hub.outbound import Allowed
from tests.builders import acting
from tests.e2e.conftest import DESKTOP, Visitor
from tests.e2e.stage import ADMINISTRATOR, Stage
from tests.e2e.test_web_pages import serious, speak
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, running
from tests.integration.test_scopes import second_site
from web.main import server
from web.settings import WebSettings

pytestmark = pytest.mark.browser
WIDTHS = (DESKTOP["width"], 1024, 360)


async def _people(stage: Stage) -> UUID:
    """A contractor for a month at one site, a service account with tokens; gives the engineer."""
    now, organisation = datetime.now(UTC), stage.park.organisation
    async with stage.database.transaction(organisation, ADMINISTRATOR) as tx:
        zhang = await access.add_user(tx, "zhang.wei", "张伟", "contractor", everywhere=False)
        until = now + timedelta(days=30)
        await access.grant(tx, zhang, "contractor", site_id=stage.park.site, until=until)
        robot = await administration.add_service_account(tx, "bms-export", "楼宇数据导出")
        engineer = (await administration.named(tx, "engineer")).id
        await access.grant(tx, engineer, "auditor", site_id=stage.park.site, since=now + timedelta(days=3))
    boss = replace(acting("administrator", "administrator"), user_id=engineer)
    async with stage.database.transaction(organisation, boss) as tx:
        reads = Reach(frozenset({Right.SEE_POINTS, Right.SEE_CONSOLE}))
        await tokens.create(tx, robot, "nightly", reads, now + timedelta(days=5), now)
        old, _ = await tokens.create(tx, robot, "old", reads, now + timedelta(days=90), now)
        await tokens.revoke(tx, old, now)
    with psycopg.connect(stage.park.dsns.owner) as owner:
        owner.execute("UPDATE api_tokens SET refused_at = now() WHERE name = 'old'")
    return engineer


async def fits(visitor: Visitor, name: str) -> None:
    """The page has no complaint, fits every width and is there for people who do not see or point."""
    page = visitor.page
    await page.wait_for_timeout(150)
    assert visitor.complaints == [], name
    assert await serious(visitor) == [], name
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 820})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        await visitor.shoot(f"users-{name}-{width}")
    await page.set_viewport_size({"width": DESKTOP["width"], "height": 820})


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_users_roles_and_tokens_are_looked_after_in_both_languages(
    stage: Stage, visitor: Visitor, language: str
) -> None:
    engineer = await _people(stage)
    page = await visitor.sign_in(stage.users["administrator"])
    await speak(visitor, language)
    for name, path in {"list": "/users", "nobody": "/users?q=nobody", "one": f"/users/{engineer}",
                       "invite": "/users/invite", "tokens": "/tokens"}.items():  # fmt: skip
        await visitor.open(path)
        await fits(visitor, f"{language}-{name}")
    await page.fill("#name", "meters")
    await page.check("input[value=see_points]")
    await page.click("main .btn-primary")
    await expect(page.locator("code.secret")).to_contain_text("plantroom_")
    await fits(visitor, f"{language}-made")
    await visitor.open("/users/invite")
    await page.fill("#login", "wang.fang")
    await page.fill("#name", "王芳")
    await page.select_option("#role", "manager")
    await page.click("main .btn-primary")
    await expect(page.locator("code.secret")).to_contain_text("/welcome#")
    await fits(visitor, f"{language}-link")


async def test_a_role_is_given_and_taken_back_by_hand(stage: Stage, visitor: Visitor) -> None:
    engineer = await _people(stage)
    page = await visitor.sign_in(stage.users["administrator"])
    await visitor.open(f"/users/{engineer}")
    await page.select_option("#role", "technician")
    await page.select_option("#site_id", index=1)
    await page.click("text=Give the role")
    row = page.locator("table[aria-label=Roles] tr", has_text="Technician")
    await expect(row).to_contain_text("Riverside")
    over = page.locator("table[aria-label=Roles] tr.over", has_text="Technician")
    page.once("dialog", lambda asked: asked.dismiss())
    await row.locator("button").click()
    await page.wait_for_timeout(200)
    await expect(over).to_have_count(0)
    page.once("dialog", lambda asked: asked.accept())
    await row.locator("button").click()
    await expect(over).to_have_count(1)


async def test_a_form_that_is_refused_keeps_what_was_typed(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.sign_in(stage.users["administrator"])
    await visitor.open("/users/invite")
    await page.fill("#login", "engineer")
    await page.fill("#name", "Somebody else")
    await page.select_option("#role", "manager")
    await page.click("main .btn-primary")
    await expect(page.locator("#notices [role=alert]")).to_be_visible()
    assert await page.input_value("#name") == "Somebody else"
    await page.fill("#login", "somebody.else")
    await page.click("main .btn-primary")
    await expect(page.locator("code.secret")).to_contain_text("/welcome#")
    await visitor.open("/tokens")
    await page.fill("#login", "engineer")
    await page.fill("#account-name", "Export")
    await page.click("text=Add it")
    await expect(page.locator("#notices [role=alert]")).to_be_visible()
    assert await page.input_value("#account-name") == "Export"


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_one_of_several_sites_is_chosen_in_the_header(stage: Stage, visitor: Visitor, language: str) -> None:
    other = second_site(stage.park.file)
    async with stage.database.transaction(stage.park.organisation, ADMINISTRATOR) as tx:
        site = await assets.register(tx, other)
        await leases.register(tx, site, other)
    with psycopg.connect(stage.park.dsns.owner) as owner:
        owner.execute("UPDATE sites SET name_zh = '北园', name_en = 'North Park' WHERE id = %s", [site])
    page = await visitor.sign_in(stage.users["administrator"])
    await speak(visitor, language)
    await visitor.open("/leases")
    both = await page.locator("main tbody tr").count()
    await page.click("details.menu summary")
    await fits(visitor, f"{language}-choice")
    await page.click("details.menu summary")
    await page.click("details.menu summary")
    await page.click(f"details.menu button[value='{site}']")
    await page.wait_for_load_state("load")
    assert await page.locator("main tbody tr").count() * 2 == both
    await fits(visitor, f"{language}-chosen")


@pytest.fixture
async def elsewhere(stage: Stage) -> AsyncIterator[tuple[str, IdentityProvider]]:
    """The same park's pages with another sign-in beside the password, and the provider, who knows the engineer."""
    async with running() as provider:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            provider.redirect_uris = {f"{address}/oidc/corp/callback"}
            corp = Provider(
                "corp", stage.park.file.organisation.code, provider.issuer, CLIENT_ID, CLIENT_SECRET, "集团账号",
                "Group account", trusted_amr=frozenset({"otp"}),
            )  # fmt: skip
            settings = WebSettings(
                stage.park.dsns.hub, public_address=address, outbound=Allowed.parse(["127.0.0.1"]), providers=(corp,)
            )
            web = server(stage.database, settings, "127.0.0.1", 0)
            task = asyncio.create_task(web.serve(sockets=[listener]))
            while not web.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.02)
            provider.claims = {"amr": ["otp"]}
            with psycopg.connect(stage.park.dsns.owner) as owner:
                owner.execute(
                    "INSERT INTO identities (organisation_id, user_id, issuer, subject, linked_at, linked_by)"
                    " SELECT organisation_id, id, %s, %s, now(), 'test' FROM users WHERE login = 'engineer'",
                    [provider.issuer, provider.subject],
                )
            yield address, provider
            web.should_exit = True
            await task


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_somebody_goes_to_another_sign_in_and_comes_back_to_the_page_that_he_wanted(
    elsewhere: tuple[str, IdentityProvider], visitor: Visitor, language: str
) -> None:
    visitor.url = elsewhere[0]
    page = await visitor.open(f"/sign-in?language={language}&next=/orders")
    await fits(visitor, f"{language}-door")
    await page.click("form[action='/sign-in/with/corp'] button")
    await page.wait_for_url(f"{visitor.url}/orders")
    await page.wait_for_load_state("load")
    assert visitor.complaints == []
    assert await page.locator("main tbody tr").count()
    await visitor.open("/account")
    await fits(visitor, f"{language}-account")
