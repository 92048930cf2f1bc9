"""``plantroom organisation`` and ``plantroom group``: whose buildings these are."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy.acts import as_operator
from deploy.commands.options import Data
from hub.access import groups

app = typer.Typer(help="Organisations: who owns sites, people and papers.", no_args_is_help=True)
group_app = typer.Typer(help="Groups of organisations of one owner.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="Code, e.g. RIVERSIDE.")]
NameZh = Annotated[str, typer.Option("--name-zh", help="Name in Chinese.")]
NameEn = Annotated[str, typer.Option("--name-en", help="Name in English.")]


@app.command("open")
def open_(
    code: Code,
    name_zh: NameZh,
    name_en: NameEn,
    group: Annotated[str | None, typer.Option(help="Code of the group that it belongs to.")] = None,
    data: Data = None,
) -> None:
    """Open an organisation or rename it.  Example: plantroom organisation open NORTH --name-zh 北园 --name-en North."""
    as_operator(data, lambda tx: groups.open_organisation(tx, code, name_zh, name_en, group))
    typer.echo(f"Organisation {code} is open.")


@app.command()
def close(code: Code, because: Annotated[str, typer.Option(help="Why, for the record.")], data: Data = None) -> None:
    """Let nobody of it sign in any more.  Example: plantroom organisation close NORTH --because "sold on 1 May"."""
    as_operator(data, lambda tx: groups.close_organisation(tx, code, datetime.now(UTC), reason=because))
    typer.echo(f"Organisation {code} is closed; its records stay. Open it again: plantroom organisation reopen {code}")


@app.command()
def reopen(code: Code, data: Data = None) -> None:
    """Let its people sign in again.  Example: plantroom organisation reopen NORTH."""
    as_operator(data, lambda tx: groups.reopen_organisation(tx, code))
    typer.echo(f"Organisation {code} is open again.")


@app.command("list")
def list_(data: Data = None) -> None:
    """List the organisations.  Example: plantroom organisation list."""
    for one in as_operator(data, groups.organisations):
        state = f"closed {one.closed_at:%Y-%m-%d}" if one.closed_at else "open"
        typer.echo(
            f"{one.code}  {one.name_en} · {one.name_zh}  group {one.group_code or '–'}  {one.users} users  {state}"
        )


@group_app.command("open")
def open_group(code: Code, name_zh: NameZh, name_en: NameEn, data: Data = None) -> None:
    """Open a group or rename it.  Example: plantroom group open RIVER --name-zh 河畔集团 --name-en "River Group"."""
    as_operator(data, lambda tx: groups.open_group(tx, code, name_zh, name_en))
    typer.echo(f"Group {code} is open.")
