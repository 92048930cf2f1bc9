"""``plantroom user``: people who may sign in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from deploy.acts import in_organisation
from deploy.commands.options import Data, Organisation
from deploy.settings import read, secret_of
from hub.access import administration, factor, invitation
from hub.access import service as access
from hub.access.rights import RIGHTS
from hub.access.rows import Invitation
from hub.errors import NotFoundError
from hub.leases import service as leases
from hub.store.database import Transaction
from web.welcome import send

app = typer.Typer(help="People who may sign in.", no_args_is_help=True)

Login = Annotated[str, typer.Argument(help="Sign-in name.")]


@app.command()
def add(
    login: Annotated[str, typer.Argument(help="Sign-in name: a-z 0-9 . _ -")],
    role: Annotated[str, typer.Option(help="One of: " + ", ".join(RIGHTS))],
    name: Annotated[str | None, typer.Option(help="Name as shown on screens.")] = None,
    email: Annotated[str | None, typer.Option(help="Mail address; the invitation goes there too.")] = None,
    language: Annotated[str, typer.Option(help="Language of screens and mails: zh or en.")] = "zh",
    tenant: Annotated[str | None, typer.Option(help="Code of the tenant, for the role tenant.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File that holds the password, for scripts; nobody is invited then.")
    ] = None,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Add a user; prints the link by which he chooses a password.

    Example: plantroom user add li.wei --role engineer --email li.wei@example.com.
    """
    secret = secret_of(password_file) if password_file else None

    async def act(tx: Transaction) -> Invitation | None:
        tenant_id = await _tenant(tx, tenant) if tenant else None
        user_id = await access.add_user(
            tx, login, name or login, role, secret, tenant_id=tenant_id, email=email, language=language
        )
        return None if secret or role == "integration" else await _invite(tx, user_id)

    made = in_organisation(data, organisation, act)
    typer.echo(f"{login} ({role}) is added.")
    if made is not None:
        _say(made, data)


@app.command()
def invite(login: Login, organisation: Organisation = None, data: Data = None) -> None:
    """Print another link by which a user chooses a password; older ones end.  Example: plantroom user invite li.wei."""

    async def act(tx: Transaction) -> Invitation:
        return await _invite(tx, (await administration.named(tx, login)).id)

    _say(in_organisation(data, organisation, act), data)


@app.command()
def reset_factor(
    login: Login,
    reason: Annotated[str, typer.Option(help="Why, and how you made sure who asks; it is kept in the record.")],
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Let a user start anew whose phone is lost: his factor, password and sessions end, a link is printed.

    Example: plantroom user reset-factor li.wei --reason "phone lost, came in person with his badge".
    """

    async def act(tx: Transaction) -> Invitation:
        user = await administration.named(tx, login)
        made = await factor.remove(tx, user.id, reason, datetime.now(UTC))
        await send(tx, made, datetime.now(UTC))
        return made

    _say(in_organisation(data, organisation, act), data)


async def _invite(tx: Transaction, user_id: UUID) -> Invitation:
    made = await invitation.make(tx, user_id, "invitation", datetime.now(UTC))
    await send(tx, made, datetime.now(UTC))
    return made


async def _tenant(tx: Transaction, code: str) -> UUID:
    for tenant in await leases.tenants(tx):
        if tenant.code == code:
            return tenant.id
    raise NotFoundError(f"There is no tenant '{code}'.")


def _say(made: Invitation, data: Path | None) -> None:
    settings = read(data=data)
    begin = settings.public_address or f"http://{settings.web_host}:{settings.web_port}"
    typer.echo(
        f"{made.login} chooses a password within {invitation.LIFE[made.purpose].days} days at {begin}{made.path}"
    )
    if made.email:
        typer.echo(f"The link also goes to {made.email}.")
