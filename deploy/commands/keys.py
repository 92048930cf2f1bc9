"""``plantroom keys``: the keys under which second factors lie in the database."""

import asyncio
from datetime import UTC, datetime

import typer

from deploy import keys, state
from deploy.commands.options import Data
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import transaction
from deploy.settings import read as read_settings
from hub.access import factor, vault
from hub.access.vault import Vault
from hub.store.database import Role

app = typer.Typer(help="The keys of what lies encrypted in the database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep 'rotate' a sub-command while it is the only one."""


@app.command()
def rotate(data: Data = None) -> None:
    """Make a new key and put everything under it; running programs follow.  Example: plantroom keys rotate."""
    settings = read_settings(data=data)
    path = keys.path(settings)
    with opened_database(settings) as dsn:
        hub = prepare(settings, dsn)
        state.write_private(path, vault.add(vault.read(path), datetime.now(UTC)).written())
        kept = Vault.of(path)
        count = asyncio.run(_seal_again(hub, kept))
    typer.echo(
        f"{count} second factors lie under the new key {kept.newest} now. "
        f"The old keys stay in {path}: old backups need them."
    )


async def _seal_again(hub: str, kept: Vault) -> int:
    async with transaction(hub, None, Role.DOOR) as tx:
        return await factor.seal_again(tx, kept)
