"""``plantroom demo``: one building, live, on this machine."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy import demo as building
from deploy import foreground, park, story
from deploy.commands.options import Data, check_address
from deploy.embedded import Servers
from deploy.processes import Supervisor
from deploy.seen import seen
from deploy.settings import Settings
from deploy.settings import read as read_settings
from deploy.state import AlreadyHeldError


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Ask for nothing, open nothing.")] = False,
    until_story: Annotated[bool, typer.Option("--until-story", help="Play the technician too, then stop.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures of the story here.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the web pages; 8080 by default.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same building.")] = 1,
    data: Data = None,
) -> None:
    """Run a whole park on this machine.  Example: plantroom demo --headless --until-story --json story.json."""
    logging.getLogger().setLevel(logging.WARNING)
    settings = read_settings(data=data, web_port=port or (park.free_ports(1)[0] if headless else None))
    if json is not None and not json.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder {json.parent} does not exist", param_hint="--json")
    check_address(settings.web_host, settings.web_port)
    console = Console(stderr=True, soft_wrap=True)
    well = foreground.run(_run(settings, console, seed=seed, until_story=until_story, out=json))
    if well is None:
        console.print("Everything is stopped; the data is kept.")
    elif not well:
        raise typer.Exit(1)


async def _run(settings: Settings, console: Console, *, seed: int, until_story: bool, out: Path | None) -> bool:
    begun = time.monotonic()
    console.print("Starting database and broker ...")
    with Servers(settings) as servers:
        if servers.shared:
            raise AlreadyHeldError(
                f"Another Plantroom runs with the data directory {settings.data}: stop it, or give another --data."
            )
        async with Supervisor(console.print) as supervisor:
            return await _tell(settings, servers, supervisor, console, begun, seed, until_story, out)


async def _tell(
    settings: Settings,
    servers: Servers,
    supervisor: Supervisor,
    console: Console,
    begun: float,
    seed: int,
    until_story: bool,
    out: Path | None,
) -> bool:
    running = await building.up(settings, servers, supervisor, console, seed=seed)
    try:
        await building.bill_last_month(running)
        log_ins = settings.data / "log-ins.json"
        await seen(running.database, running.organisation, running.file, datetime.now(UTC))
        people = await park.people(running.database, running.organisation, running.file, log_ins)
        await building.web_answers(settings)
        started = {"ready_s": round(time.monotonic() - begun, 1), "rss_mb": round(supervisor.rss_bytes() / 2**20)}
        building.say_ready(settings, running, people, started, console)
        if until_story:
            return await story.until_told(running, out, started)
        await story.play_live(running)
        await asyncio.Event().wait()
        return True
    finally:
        await running.database.close()
