"""``plantroom user``: people who may sign in."""

import asyncio
import secrets
from typing import Annotated

import typer

from deploy.commands.options import Data, Organisation
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import add_user, organisation_id
from deploy.settings import read as read_settings
from hub.access.rights import RIGHTS

app = typer.Typer(help="People who may sign in.", no_args_is_help=True)


@app.command()
def add(
    login: Annotated[str, typer.Argument(help="Sign-in name, lower case.")],
    role: Annotated[str, typer.Option(help="One of: " + ", ".join(RIGHTS))],
    name: Annotated[str | None, typer.Option(help="Name as shown on screens.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Code of the tenant, for the role tenant.")] = None,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Add a user with a random password.  Example: plantroom user add li.wei --role engineer."""
    settings = read_settings(data=data)
    password = secrets.token_urlsafe(12)
    with opened_database(settings) as dsn:
        hub = prepare(settings, dsn)
        asyncio.run(add_user(hub, organisation_id(dsn, organisation), login, name or login, role, password, tenant))
    typer.echo(f"{login} ({role}) may sign in with the password {password}")
