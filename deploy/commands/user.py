"""``plantroom user``: people who may sign in."""

import asyncio
import secrets
from typing import Annotated

import typer

from deploy.commands.options import Data
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import add_user
from deploy.settings import read as read_settings
from hub.access.rights import RIGHTS

app = typer.Typer(help="People who may sign in.", no_args_is_help=True)


@app.command()
def add(
    login: Annotated[str, typer.Argument(help="Sign-in name, lower case.")],
    role: Annotated[str, typer.Option(help="One of: " + ", ".join(RIGHTS))],
    organisation: Annotated[str, typer.Option(help="Code of the organisation, e.g. RIVERSIDE-GROUP.")],
    name: Annotated[str | None, typer.Option(help="Name as shown on screens.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Code of the tenant, for the role tenant.")] = None,
    data: Data = None,
) -> None:
    """Add a user with a random password.

    Example: plantroom user add li.wei --role engineer --organisation RIVERSIDE-GROUP.
    """
    settings = read_settings(data=data)
    password = secrets.token_urlsafe(12)
    with opened_database(settings) as dsn:
        prepare(settings, dsn)
        asyncio.run(add_user(settings, dsn, organisation, login, name or login, role, password, tenant))
    typer.echo(f"{login} ({role}) may sign in with the password {password}")
