"""``plantroom export``: what belongs to one site, to take along."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from deploy.care import site as sites
from deploy.commands.care import Quiet, progress
from deploy.commands.options import Data, Organisation
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import organisation_id, transaction
from deploy.settings import read as read_settings
from hub.assets import service as assets
from hub.audit import service as audit

app = typer.Typer(help="Data to take along, in open formats.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep 'site' a sub-command while it is the only one."""


@app.command()
def site(
    code: Annotated[str, typer.Argument(metavar="SITE", help="Code of the site, e.g. RIVERSIDE.")],
    out: Annotated[Path, typer.Option(help="Folder to make; it must not be there yet.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    organisation: Organisation = None,
    quiet: Quiet = False,
    data: Data = None,
) -> None:
    """Write all of one site as CSV files.  Example: plantroom export site RIVERSIDE --out riverside-export."""
    settings = read_settings(data=data)
    with opened_database(settings) as dsn, progress(quiet=quiet) as tell:
        hub, owner = prepare(settings, dsn), organisation_id(dsn, organisation)
        found = asyncio.run(_recorded(hub, owner, code, reason))
        made = sites.export(hub, owner, found, code, out, tell)
    typer.echo(
        f"{made.rows} rows of tables and {made.readings} readings of {made.points} points are in {out}; "
        "manifest.json names each file with its hash."
    )


async def _recorded(hub: str, organisation: UUID, code: str, reason: str) -> UUID:
    """Record the export before the first row is read, and give the site; raises NotFoundError."""
    async with transaction(hub, organisation) as tx:
        found = await assets.site(tx, code)
        await audit.record(tx, "exported", "site", found.id, {"site": code}, reason=reason)
        return found.id
