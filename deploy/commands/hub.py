"""``plantroom hub``: the program that remembers, judges and dispatches."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import Progress

from deploy import authority, foreground, metrics
from deploy.anchors import anchor_file
from deploy.commands.options import Data, Organisation, Rules, SitePath, read_site
from deploy.embedded import broker as opened_broker
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.mail import office
from deploy.processes import Supervisor
from deploy.register import organisation_id, register, transaction
from deploy.settings import PREFIX
from deploy.settings import read as read_settings
from hub import main
from hub.assets import commission
from hub.store import citus, migrate
from rules.meter.look import RECORD_BYTES_MAX

WORKERS_MAX = 32
METRICS_PORT = f"{PREFIX}METRICS_PORT"

app = typer.Typer(help="The hub: ingest, alarms, work orders, jobs.", no_args_is_help=True)


Workers = Annotated[
    int, typer.Option("--workers", min=1, max=WORKERS_MAX, help="Processes that split the sites between them.")
]


@app.command()
def run(rules: Rules = None, data: Data = None, workers: Workers = 1) -> None:
    """Take in readings and judge them until stopped.  Example: plantroom hub run --workers 2."""
    settings = read_settings(data=data)
    with opened_database(settings, patient=True) as owner_dsn, opened_broker(settings) as broker:
        dsn = prepare(settings, owner_dsn)
        logs = settings.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        again = ["python", "-m", "deploy", "hub", "run", "--data", str(settings.data)]
        again += [word for path in rules or () for word in ("--rules", str(path))]
        foreground.run(
            _with_others(
                workers - 1,
                again,
                logs,
                main.HubSettings(
                    dsn=dsn,
                    broker_host=broker.host,
                    broker_port=broker.port,
                    broker_username=broker.username,
                    broker_password=broker.password,
                    rules_files=tuple(rules or ()),
                    anchors=anchor_file(settings),
                    office=office(settings),
                    broker_ca=broker.ca,
                    broker_certificate=broker.certificate,
                    broker_key=broker.key,
                    authority=authority.given(settings),
                ),
                metrics.served(settings),
            )
        )


async def _with_others(
    others: int, words: list[str], logs: Path, settings: main.HubSettings, figures: CollectorRegistry | None
) -> None:
    """Be a hub, and keep as many more running; each claims its share of the sites.  Figures are the first one's."""
    environment = {name: value for name, value in os.environ.items() if name != METRICS_PORT}
    async with Supervisor() as supervisor:
        for number in range(2, others + 2):
            supervisor.start(f"hub-{number}", words, logs / f"hub-{number}.log", env=environment)
        await main.run(settings, figures)


@app.command("migrate")
def migrate_schema(data: Data = None) -> None:
    """Bring the database schema up to date.  Example: plantroom hub migrate."""
    settings = read_settings(data=data)
    steps: list[str] = []
    with opened_database(settings) as dsn, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("migrations", total=None)

        def tell(at: migrate.Progress) -> None:
            name = f"{at.migration.number:04} {at.migration.name}"
            moved = f", {at.moved} rows moved" if at.moved else ""
            bar.update(task, completed=at.position - 1, total=at.steps, description=f"{name}{moved}")
            if not at.moved:
                steps.append(name)

        prepare(settings, dsn, tell)
    typer.echo("\n".join(f"applied {step}" for step in steps) or "The schema is up to date.")


@app.command()
def distribute(
    shards: Annotated[
        int,
        typer.Option(
            min=1, max=citus.SHARDS_MOST, help="Parts of each series table; at most as many workers share it."
        ),
    ] = citus.SHARDS,
    data: Data = None,
) -> None:
    """Spread the series over the workers of Citus; again after one was added.  Example: plantroom hub distribute."""
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        hub = prepare(settings, dsn)
        if hub == dsn:
            raise citus.SpreadError("Spreading needs the owner of the schema; give his PLANTROOM_DATABASE_DSN.")
        moved = citus.distribute(dsn, typer.echo, shards)
        citus.prove(hub)
    typer.echo(f"Spread now: {', '.join(moved)}." if moved else "Everything was spread before.")


@app.command("register")
def register_site(site: SitePath, data: Data = None) -> None:
    """Enter a site file into the register.  Example: plantroom hub register deploy/sites/riverside.toml."""
    settings = read_settings(data=data)
    file = read_site(site)
    with opened_database(settings) as dsn:
        asyncio.run(register(dsn, prepare(settings, dsn), file))
    typer.echo(f"{file.site.code} is registered: {len(file.device)} devices, {len(file.lease)} leases.")


@app.command("commission")
def take_record(
    record: Annotated[Path, typer.Argument(help="The file that 'edge commission' wrote.", exists=True, dir_okay=False)],
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Take in looks at meter faces from site.  Example: plantroom hub commission commission-RIVERSIDE.json."""
    settings = read_settings(data=data)
    with record.open("rb") as file:
        text = file.read(RECORD_BYTES_MAX + 1).decode(errors="replace")
    with opened_database(settings) as dsn:
        taken = asyncio.run(_take(prepare(settings, dsn), organisation_id(dsn, organisation), text))
    typer.echo(f"{taken.new} new looks, {taken.known} known before.")
    if taken.strangers:
        typer.echo(f"Not registered here: {', '.join(taken.strangers)}.", err=True)


async def _take(hub: str, organisation: UUID, text: str) -> commission.Taken:
    async with transaction(hub, organisation) as tx:
        return await commission.take_record(tx, text, datetime.now(UTC))
