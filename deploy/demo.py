"""One building on one machine: database, broker, simulated park, gateway, hub and web, and the story that they tell.

At the first start the park's last 62 days travel through spool, wire and ingest, and last month is billed from them.
Then a fault is put on the air handling unit; an alarm, a work order, a repair and the proof of it follow.
"""

import asyncio
import os
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy import logins, park
from deploy.commands.options import read_site
from deploy.embedded import Servers
from deploy.processes import Supervisor
from deploy.register import ACTOR, register
from deploy.settings import PREFIX, Settings
from hub.assets import service as assets
from hub.billing import service as billing
from hub.store.database import Database, Role
from rules.model.site import SiteFile
from simulators import control
from simulators.history import write_history
from simulators.world import World

HISTORY_DAYS = 62
READY_TIMEOUT_S = 60.0
HISTORY_TIMEOUT_S = 600.0
POLL_S = 0.2


class DemoFailedError(RuntimeError):
    """The demo did not come up in time: the sentence says which part, and where its log is."""


@dataclass(frozen=True)
class Running:
    """What the story needs to know of a running demo."""

    database: Database
    organisation: UUID
    site: UUID
    file: SiteFile
    control_port: int
    page_port: int
    history: Path
    truth: Path
    console: Console


async def up(
    settings: Settings,
    servers: Servers,
    supervisor: Supervisor,
    console: Console,
    *,
    seed: int,
    days: int = HISTORY_DAYS,
    edge_broker: str = "",
    hubs: int = 1,
) -> Running:
    """Start everything and bring the history in; gives when the park is live.

    ``edge_broker`` is where the gateway finds the broker, if not where it is; ``hubs`` processes split the sites.
    """
    data = settings.data
    if settings.broker_ca:
        raise DemoFailedError("The demo has a broker of its own on this machine; clear the PLANTROOM_BROKER settings.")
    (data / "logs").mkdir(parents=True, exist_ok=True)
    for server in servers.owned:
        supervisor.adopt(server)
    hub_dsn = logins.prepare(settings, servers.dsn)
    site_path = data / "site.toml"
    source = read_site(park.SITE)
    *line_ports, control_port, page_port = park.free_ports(len(source.line) + 2)
    park.place(park.SITE, site_path, line_ports)
    file = read_site(site_path)
    organisation = await register(servers.dsn, hub_dsn, file)
    history = data / "history.csv"
    if not history.exists():
        await asyncio.to_thread(_write_history, file, history, days, seed, console)
    database = Database(hub_dsn, pool_max=2)
    await database.open()
    async with database.transaction(organisation, ACTOR) as tx:
        site = (await assets.site(tx, file.site.code)).id
    running = Running(
        database, organisation, site, file, control_port, page_port, history, data / "truth.jsonl", console
    )
    programs = _programs(settings, site_path, running, seed, hubs)
    for name, words in programs.items():
        own = _secrets(servers, hub_dsn) | {f"{PREFIX}SECOND_FACTOR": "offered"}
        if name == "edge" and edge_broker:
            own[f"{PREFIX}BROKER_ADDRESS"] = edge_broker
        argv = ["python", "-m", "deploy", *words]
        supervisor.start(name, argv, data / "logs" / f"{name}.log", env=_environment(own if name != "sim" else {}))
    await _until(
        _answers(control_port), READY_TIMEOUT_S, f"The simulated park does not answer; see {data}/logs/sim.log."
    )
    await _history_in(running, data)
    return running


def _write_history(file: SiteFile, path: Path, days: int, seed: int, console: Console) -> None:
    console.print(f"Writing what the meters showed in the last {days} days ...")
    write_history(World(file, seed), file, datetime.now(UTC), path, days=days)


def _programs(settings: Settings, site: Path, running: Running, seed: int, hubs: int) -> dict[str, list[str]]:
    data = ["--data", str(settings.data)]
    hub = ["hub", "run", "--rules", str(park.RULES), *data]
    return {
        "sim": ["sim", "run", str(site), "--seed", str(seed), "--control-port", str(running.control_port),
                "--page-port", str(running.page_port),
                "--truth", str(running.truth)],
        "hub": hub,
        **{f"hub-{number}": hub for number in range(2, hubs + 1)},
        "edge": ["edge", "run", str(site), "--backfill", str(running.history), *data],
        "web": ["web", "run", "--host", settings.web_host, "--port", str(settings.web_port), "--rules",
                str(park.RULES), *data],
    }  # fmt: skip


def _secrets(servers: Servers, hub_dsn: str) -> dict[str, str]:
    """Give what the programs need to get in; it goes by environment, never on a command line."""
    broker = servers.broker
    return {
        f"{PREFIX}DATABASE_DSN": make_conninfo(hub_dsn, application_name="plantroom"),
        f"{PREFIX}BROKER_ADDRESS": f"{broker.host}:{broker.port}",
        f"{PREFIX}BROKER_USERNAME": broker.username,
        f"{PREFIX}BROKER_PASSWORD": broker.password,
    }


def _environment(own: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | own


def _answers(control_port: int) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        try:
            return bool((await control.ask_async(control_port, {"do": "list"}))["ok"])
        except control.NoAnswerError:
            return False

    return answers


async def _until(holds: Callable[[], Awaitable[bool]], timeout_s: float, otherwise: str) -> None:
    give_up = time.monotonic() + timeout_s
    while not await holds():
        if time.monotonic() > give_up:
            raise DemoFailedError(otherwise)
        await asyncio.sleep(POLL_S)


async def _history_in(running: Running, data: Path) -> None:
    """Watch the history arrive in the database, with a bar."""
    with running.history.open("rb") as file:
        wanted = sum(1 for _ in file) - 1
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=running.console) as bar:
        task = bar.add_task("Readings of the last 62 days", total=wanted)

        async def whole() -> bool:
            stored = await count_stored(running)
            bar.update(task, completed=min(stored, wanted))
            return stored >= wanted

        await _until(whole, HISTORY_TIMEOUT_S, f"The history did not arrive; see {data}/logs/edge.log and hub.log.")


async def count_stored(running: Running) -> int:
    """Give how many readings the database holds."""
    async with running.database.transaction(None, role=Role.INGEST) as tx:
        return int(await tx.value(b"SELECT count(*) FROM samples"))


async def bill_last_month(running: Running) -> None:
    """Run last month's bills; a month that is billed already stays as it is."""
    now = datetime.now(UTC)
    async with running.database.transaction(running.organisation, ACTOR) as tx:
        site = await assets.site(tx, running.file.site.code)
        last = now.astimezone(site.zone).replace(day=1) - timedelta(days=1)
        run = await billing.run_month(tx, site, last.year, last.month, now)
    running.console.print(
        f"{last:%Y-%m} is billed: {len(run.issued)} new invoices, {len(run.kept)} kept, "
        f"{len(run.parked)} leases parked."
    )


async def web_answers(settings: Settings) -> None:
    """Wait until the web server answers."""
    address = f"http://{settings.web_host}:{settings.web_port}/api/health"

    def ask() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004  OK
        except OSError:
            return False

    await _until(lambda: asyncio.to_thread(ask), READY_TIMEOUT_S, f"No page comes from {address}; see logs/web.log.")


def say_ready(
    settings: Settings, running: Running, people: list[park.LogIn], started: dict[str, float], console: Console
) -> None:
    """Print the address and who may sign in."""
    ready_s, rss_mb = started["ready_s"], started["rss_mb"]
    console.print(f"\n[bold]Plantroom is ready[/] after {ready_s:.0f} s, {rss_mb:.0f} MB in all processes.")
    console.print(f"Open http://{settings.web_host}:{settings.web_port}/ and sign in as one of:")
    for person in people:
        console.print(f"  {person.login:<14} {person.password:<20} {person.role:<14} {person.name}", highlight=False)
    console.print(f"Make something go wrong in the simulated park: http://127.0.0.1:{running.page_port}/")
    console.print("A second factor is offered here, not required; elsewhere the staff cannot go without one.")
    console.print(
        "The broker is on this machine only and knows no rights per gateway: for a building use Mosquitto.",
        soft_wrap=True,
    )
    console.print(f"Data and logs are in {settings.data}. Ctrl-C stops everything.\n", soft_wrap=True)
