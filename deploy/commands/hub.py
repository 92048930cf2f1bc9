"""``plantroom hub``: the program that remembers, judges and dispatches."""

import asyncio

import typer

from deploy import authority, foreground
from deploy.anchors import anchor_file
from deploy.commands.options import Data, Rules, SitePath, read_site
from deploy.embedded import broker as opened_broker
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.mail import office
from deploy.register import register
from deploy.settings import read as read_settings
from hub import main

app = typer.Typer(help="The hub: ingest, alarms, work orders, jobs.", no_args_is_help=True)


@app.command()
def run(rules: Rules = None, data: Data = None) -> None:
    """Take in readings and judge them until stopped.  Example: plantroom hub run."""
    settings = read_settings(data=data)
    with opened_database(settings, patient=True) as owner_dsn, opened_broker(settings) as broker:
        dsn = prepare(settings, owner_dsn)
        foreground.run(
            main.run(
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
                )
            )
        )


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database schema up to date.  Example: plantroom hub migrate."""
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        steps: list[str] = []
        prepare(settings, dsn, lambda step: steps.append(f"{step.number:04} {step.name}"))
    typer.echo("\n".join(f"applied {step}" for step in steps) or "The schema is up to date.")


@app.command("register")
def register_site(site: SitePath, data: Data = None) -> None:
    """Enter a site file into the register.  Example: plantroom hub register deploy/sites/riverside.toml."""
    settings = read_settings(data=data)
    file = read_site(site)
    with opened_database(settings) as dsn:
        asyncio.run(register(dsn, prepare(settings, dsn), file))
    typer.echo(f"{file.site.code} is registered: {len(file.device)} devices, {len(file.lease)} leases.")
