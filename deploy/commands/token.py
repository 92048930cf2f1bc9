"""``plantroom token``: keys with which other programs ask the API."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from deploy.acts import in_organisation
from deploy.commands.options import Data, Organisation
from hub.access import administration, tokens
from hub.access.rights import Right
from hub.access.tokens import RIGHTS, Reach
from hub.errors import InvalidError, NotFoundError
from hub.store.database import Transaction

DAYS = 90

app = typer.Typer(help="Keys with which other programs ask the API.", no_args_is_help=True)


@app.command()
def create(
    account: Annotated[str, typer.Argument(help="Login of the service account; it is made if there is none.")],
    name: Annotated[str, typer.Option(help="What the token is for; stands in the record of acts.")],
    right: Annotated[list[str], typer.Option(help="Repeat it; any of: " + ", ".join(RIGHTS))],
    site: Annotated[str | None, typer.Option(help="Code of a site: the token reaches no other.")] = None,
    days: Annotated[int, typer.Option(min=1, max=tokens.LIFE_MAX.days, help="How long it lasts.")] = DAYS,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Make a token and print it, once.  Example: plantroom token create bms --name nightly --right see_points."""
    unknown = sorted(set(right) - set(RIGHTS))
    if unknown:
        raise InvalidError(f"'{unknown[0]}' is no right of a token; choose among {', '.join(RIGHTS)}.")
    now = datetime.now(UTC)

    async def make(tx: Transaction) -> str:
        known = {one.login: one.id for one in await tokens.service_accounts(tx)}
        owner = known.get(account) or await administration.add_service_account(tx, account, account)
        place = (await administration.spot(tx, site)).site_id if site else None
        reach = Reach(frozenset(map(Right, right)), place)
        return (await tokens.create(tx, owner, name, reach, now + timedelta(days=days), now))[1]

    typer.echo(in_organisation(data, organisation, make))


@app.command("list")
def list_(organisation: Organisation = None, data: Data = None) -> None:
    """List the tokens: whose, what for, until when, used when.  Example: plantroom token list."""
    for one in in_organisation(data, organisation, tokens.tokens):
        used = f"{one.last_used_at:%Y-%m-%d %H:%M}Z" if one.last_used_at else "never"
        state = "revoked" if one.revoked_at else f"until {one.expires_at:%Y-%m-%d}"
        rights = ",".join(one.rights)
        typer.echo(f"{one.id}  {one.login}/{one.name}  {one.prefix}…  {rights}  {state}  used {used}")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its id, or its account and name like bms/nightly.")],
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """End a token at once.  Example: plantroom token revoke bms/nightly."""

    async def end(tx: Transaction) -> None:
        await tokens.revoke(tx, await _found(tx, token), datetime.now(UTC))

    in_organisation(data, organisation, end)
    typer.echo(f"{token} opens nothing any more.")


async def _found(tx: Transaction, token: str) -> UUID:
    for one in await tokens.tokens(tx):
        if token in (str(one.id), f"{one.login}/{one.name}"):
            return one.id
    raise NotFoundError(f"There is no API token '{token}'; 'plantroom token list' shows them.")
