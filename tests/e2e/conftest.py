"""A browser, and pages that complain about every console error and every breach of the content policy."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright
from psycopg.conninfo import conninfo_to_dict

from hub.store.database import Database
from tests.builders import Dsns, Park, register_park, site_file
from tests.conftest import PostgresForTests, fresh_dsns
from tests.e2e.stage import PASSWORD, Stage, pages, populate

CHROMIUM = Path("/usr/bin/chromium")
HERE = CHROMIUM.exists()
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
OUT = Path(__file__).parent / "out"
PICTURES = Path(__file__).parents[2] / "web" / "pictures"
PICTURE_BYTES_MAX = 150_000
DESKTOP = {"width": 1360, "height": 820}
PHONE = {"width": 360, "height": 740}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest tests/e2e --pictures`` makes the pictures of the README anew."""
    parser.addoption("--pictures", action="store_true", help="write web/pictures/*.png")


@dataclass(frozen=True)
class Staged:
    """A populated park that is copied for every test."""

    template: str
    park: Park
    users: dict[str, str]


async def _populated(dsns: Dsns) -> Staged:
    database = Database(dsns.hub)
    await database.open()
    park = await register_park(database, dsns, site_file())
    users = await populate(database, park)
    await database.close()
    return Staged(conninfo_to_dict(dsns.owner)["dbname"], park, users)


@pytest.fixture(scope="session")
def staged(postgres: PostgresForTests, migrated: str) -> Staged:
    """The park, populated once."""
    with ThreadPoolExecutor(1) as apart:  # a loop of its own, beside those of the tests
        return apart.submit(lambda: asyncio.run(_populated(fresh_dsns(postgres, migrated)))).result()


@pytest.fixture
async def stage(postgres: PostgresForTests, staged: Staged) -> AsyncIterator[Stage]:
    """A copy of the populated park, served."""
    dsns = fresh_dsns(postgres, staged.template)
    database = Database(dsns.hub)
    await database.open()
    async with pages(database, replace(staged.park, dsns=dsns), staged.users) as running:
        yield running
    await database.close()
    postgres.drop(dsns.owner)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    if not HERE:
        pytest.skip("no browser here; install it with: apt-get install chromium fonts-noto-cjk")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        await running.close()


class Visitor:
    """One browser context, signed in as a role; ``complaints`` is what its pages said that they should not."""

    def __init__(self, page: Page, url: str, *, pictures: bool = False) -> None:
        self.page = page
        self.url = url
        self.pictures = pictures
        self.complaints: list[str] = []
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def open(self, path: str) -> Page:
        """Go to a page and wait until it is all there."""
        await self.page.goto(self.url + path, wait_until="load")
        return self.page

    async def sign_in(self, login: str, password: str = PASSWORD) -> Page:
        """Sign in by the form."""
        await self.open("/sign-in")
        await self.page.fill("#login", login)
        await self.page.fill("#password", password)
        await self.page.click("form button.btn-primary")
        await self.page.wait_for_load_state("load")
        return self.page

    async def shoot(self, name: str, *, full: bool = True) -> None:
        """Keep a picture for people to look at."""
        OUT.mkdir(exist_ok=True)
        await self.page.screenshot(path=OUT / f"{name}.png", full_page=full)

    async def picture(self, name: str, width: int, height: int) -> None:
        """Make a picture for the README, where that is asked for."""
        if not self.pictures:
            return
        PICTURES.mkdir(exist_ok=True)
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.page.mouse.move(0, 0)
        await self.page.wait_for_timeout(300)
        made = await self.page.screenshot(path=PICTURES / f"{name}.png")
        assert len(made) < PICTURE_BYTES_MAX


def _pictures(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--pictures", default=False))


@pytest.fixture
async def visitor(browser: Browser, stage: Stage, request: pytest.FixtureRequest) -> Visitor:
    """A desktop visitor who has not signed in."""
    context = await browser.new_context(viewport=DESKTOP, locale="en-GB")  # type: ignore[arg-type]
    page = await context.new_page()
    return Visitor(page, stage.url, pictures=_pictures(request))


@pytest.fixture
async def phone(browser: Browser, stage: Stage, request: pytest.FixtureRequest) -> Visitor:
    """A visitor with a small phone."""
    context = await browser.new_context(viewport=PHONE, locale="en-GB", has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    page = await context.new_page()
    return Visitor(page, stage.url, pictures=_pictures(request))
