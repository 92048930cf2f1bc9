"""``plantroom user grant`` and ``user revoke``: roles, where and for how long."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy.acts import as_operator, in_organisation
from deploy.commands.options import Data, Organisation, moment
from hub.access import administration, groups
from hub.access.administration import Scope
from hub.access.rights import RIGHTS
from hub.errors import InvalidError
from hub.store.database import Transaction

Login = Annotated[str, typer.Argument(help="Sign-in name.")]
Role = Annotated[str, typer.Argument(help="One of: " + ", ".join(RIGHTS))]
Site = Annotated[str | None, typer.Option(help="Code of a site: the role holds there only.")]
Building = Annotated[str | None, typer.Option(help="Code of a building of that site: the role holds there only.")]
Group = Annotated[str | None, typer.Option(help="Code of the group: the role holds in all its organisations.")]


def grant(
    login: Login,
    role: Role,
    site: Site = None,
    building: Building = None,
    group: Group = None,
    since: Annotated[str | None, typer.Option("--from", help="First moment, ISO 8601; at once by default.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Moment after the last; none by default.")] = None,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Let a user hold a role.  Example: plantroom user grant li.wei engineer --site RIVERSIDE --until 2027-01-01."""
    _check_place(site, building, group)
    begins, ends = (moment(text) if text else None for text in (since, until))
    if group:
        as_operator(data, lambda tx: groups.grant(tx, login, role, group, begins, ends))
    else:

        async def give(tx: Transaction) -> None:
            user, place = await administration.named(tx, login), await _scope(tx, site, building)
            await administration.give(tx, user.id, role, replace(place, since=begins, until=ends))

        in_organisation(data, organisation, give)
    typer.echo(f"{login} holds the role {role}.")


def revoke(
    login: Login,
    role: Role,
    site: Site = None,
    building: Building = None,
    group: Group = None,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Take a role back at once.  Example: plantroom user revoke li.wei engineer --site RIVERSIDE."""
    _check_place(site, building, group)
    if group:
        as_operator(data, lambda tx: groups.revoke(tx, login, role, group, datetime.now(UTC)))
    else:

        async def end(tx: Transaction) -> None:
            user, place = await administration.named(tx, login), await _scope(tx, site, building)
            await administration.end_roles(tx, user, role, place, datetime.now(UTC))

        in_organisation(data, organisation, end)
    typer.echo(f"{login} no longer holds the role {role} there.")


def _check_place(site: str | None, building: str | None, group: str | None) -> None:
    if (building and not site) or (group and site):
        raise InvalidError("A building needs its --site; a role over a --group holds everywhere in it.")


async def _scope(tx: Transaction, site: str | None, building: str | None) -> Scope:
    if site is None:
        return Scope()
    found = await administration.spot(tx, site, building)
    return Scope(found.site_id, found.building_id)
