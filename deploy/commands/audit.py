"""``plantroom audit``: whether the record of acts is whole."""

import asyncio

import typer

from deploy.commands.options import Data
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import transaction
from deploy.settings import read as read_settings
from hub.audit import service as audit
from hub.store.database import Role

app = typer.Typer(help="The record of every act.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep 'verify' a sub-command while it is the only one."""


@app.command()
def verify(data: Data = None) -> None:
    """Walk the chain of hashes; exit 1 where it breaks.  Example: plantroom audit verify."""
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        held, broken = asyncio.run(_verify(prepare(settings, dsn)))
    typer.echo(f"{held} acts hold." if not broken else f"{held} acts hold. {broken}")
    if broken:
        raise typer.Exit(1)


async def _verify(dsn: str) -> tuple[int, str]:
    async with transaction(dsn, None, Role.SEALER) as tx:
        return await audit.verify(tx)
