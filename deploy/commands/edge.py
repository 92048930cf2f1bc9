"""``plantroom edge``: the gateway's program, and its looks at a site before it runs."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from deploy import foreground
from deploy.commands.options import AsJson, Data, SitePath
from deploy.embedded import broker as opened_broker
from deploy.settings import read as read_settings
from edge_agent import agent, check
from edge_agent.config import load
from edge_agent.publisher import Broker

app = typer.Typer(help="The edge agent: poll devices and publish what they say.", no_args_is_help=True)


@app.command()
def run(
    site: SitePath,
    gateway: Annotated[str | None, typer.Option(help="Which gateway of the site; needed when it has several.")] = None,
    backfill: Annotated[Path | None, typer.Option(help="CSV of a data logger to send first, once.")] = None,
    data: Data = None,
) -> None:
    """Poll the gateway's devices until stopped.  Example: plantroom edge run deploy/sites/riverside.toml."""
    settings = read_settings(data=data)
    config = load(site, gateway)
    with opened_broker(settings) as address:
        who = (address.username, address.password)
        broker = Broker(address.host, address.port, *who, address.ca, address.certificate, address.key)
        foreground.run(agent.run(config, broker, settings.data / "edge", backfill=backfill))


@app.command("check")
def check_site(site: SitePath) -> None:
    """Check a site file and try each device once.  Example: plantroom edge check deploy/sites/riverside.toml."""
    report = asyncio.run(check.check(site))
    for line in report.lines:
        typer.echo(line)
    for problem in report.problems:
        typer.echo(problem, err=True)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def read(site: SitePath, as_json: AsJson = False) -> None:
    """Read every point once.  Example: plantroom edge read deploy/sites/riverside.toml --json."""
    rows = asyncio.run(check.read(site))
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        shown = row["error"] or f"{row['value']} {row['unit']}"
        typer.echo(f"{row['point']:<32} {shown:<40} {row['quality']}")
