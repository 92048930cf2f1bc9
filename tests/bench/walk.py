"""From a fault at the device to the alarm on a page that is open in a real browser."""

import asyncio
import time
from pathlib import Path

from playwright.async_api import Page, async_playwright
from rich.console import Console

from deploy import demo, park
from deploy.demo import Running
from deploy.embedded import Servers
from deploy.processes import Supervisor
from deploy.settings import Settings, read
from simulators import control
from tests.bench.row import Row, at_most, percentile
from tests.e2e.conftest import CHROMIUM, FLAGS

TIMES = 20
BEYOND_POLL_S = 2.0
HISTORY_DAYS = 1
DEVICE = "AHU-A"
TRIP = {"do": "inject", "kind": "offset", "device": DEVICE, "measure": "freeze_trip", "amount": 1}
ROW = "tr[data-rule='freeze-protection-trip'], tr:has-text('Freeze protection'), tr:has-text('防冻')"
PATIENCE_MS = 30_000


async def measure(folder: Path) -> list[Row]:
    settings = read(data=folder / "data", web_port=park.free_ports(1)[0])
    console = Console(stderr=True, quiet=True)
    with Servers(settings) as servers:
        async with Supervisor(console.print) as supervisor:
            running = await demo.up(settings, servers, supervisor, console, seed=1, days=HISTORY_DAYS)
            try:
                people = await park.people(
                    running.database, running.organisation, running.file, settings.data / "log-ins.json"
                )
                await demo.web_answers(settings)
                engineer = next(person for person in people if person.role == "engineer")
                times = await _watch(running, settings, engineer)
            finally:
                await running.database.close()
    line = next(device.line for device in running.file.device if device.code == DEVICE)
    poll_s = next(one.poll_s for one in running.file.line if one.code == line)
    return [
        at_most(
            f"fault to alarm on an open page, 95th of {TIMES}", percentile(times, 0.95), poll_s + BEYOND_POLL_S, "s"
        )
    ]


async def _watch(running: Running, settings: Settings, engineer: park.LogIn) -> list[float]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        address = f"http://{settings.web_host}:{settings.web_port}"
        await page.goto(f"{address}/sign-in")
        await page.fill("#login", engineer.login)
        await page.fill("#password", engineer.password)
        await page.click("form button.btn-primary")
        await page.wait_for_load_state("load")
        await page.goto(f"{address}/alarms")
        times = [await _once(running, page) for _ in range(TIMES)]
        await browser.close()
        return times


async def _once(running: Running, page: Page) -> float:
    begun = time.monotonic()
    injected = await control.ask_async(running.control_port, TRIP)
    await page.wait_for_selector(ROW, timeout=PATIENCE_MS)
    took_s = time.monotonic() - begun
    await control.ask_async(running.control_port, {"do": "clear", "id": injected["id"]})
    await page.locator(ROW).locator("button").first.click()  # acknowledged and cleared, it leaves the list
    await page.mouse.move(0, 0)  # no row leaves under the pointer
    await page.wait_for_selector(ROW, state="detached", timeout=PATIENCE_MS)
    await asyncio.sleep(0.3)  # not in step with the polls
    return took_s
