"""``plantroom audit``: whether the record of acts is whole, and what it says."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from deploy.acts import in_organisation
from deploy.anchors import anchor_file
from deploy.commands.options import AsJson, Data, Organisation, moment
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import ACTOR
from deploy.settings import Settings
from deploy.settings import read as read_settings
from hub.audit import chain
from hub.audit import service as audit
from hub.audit.anchor import AnchorFile
from hub.audit.export import exported
from hub.audit.rows import Entry, Sought
from hub.store.database import Database, Role, Transaction
from web.export import text as csv_text

Result = TypeVar("Result")

app = typer.Typer(help="The record of every act.", no_args_is_help=True)

From = Annotated[str | None, typer.Option("--from", help="First moment, ISO 8601, UTC unless it says otherwise.")]
To = Annotated[str | None, typer.Option("--to", help="Moment after the last.")]


@app.command()
def verify(
    as_json: AsJson = False,
    anchors: Annotated[Path | None, typer.Option(help="A copy of the anchors that was kept elsewhere.")] = None,
    data: Data = None,
) -> None:
    """Hold the chain of hashes against the anchors; exit 1 where it breaks.  Example: plantroom audit verify."""
    settings = read_settings(data=data, anchor_file=anchors)
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task("acts", total=None)
        found = _run(settings, lambda database: _verified(database, anchor_file(settings), _mover(bar, task)))
    typer.echo(json.dumps(_told(found), ensure_ascii=False) if as_json else "\n".join(_sentences(found)))
    if not found.holds:
        raise typer.Exit(1)


def _mover(bar: Progress, task: TaskID) -> Callable[[int, int], None]:
    return lambda done, of: bar.update(task, completed=done, total=of)


async def _verified(database: Database, file: AnchorFile, progress: Callable[[int, int], None]) -> chain.Verdict:
    anchors = await asyncio.to_thread(file.read)
    async with database.transaction(None, ACTOR, Role.SEALER) as tx:
        return await chain.verify(tx, anchors, datetime.now(UTC).date(), progress)


def _run(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, Result]]) -> Result:
    """Do a piece of work on the hub's database."""

    async def run(dsn: str) -> Result:
        database = Database(dsn, pool_max=1)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    with opened_database(settings) as dsn:
        return asyncio.run(run(prepare(settings, dsn)))


def _sentences(found: chain.Verdict) -> list[str]:
    said = f"{found.held} acts hold, {found.anchored} of them up to an anchor."
    return [said, *([found.broken.sentence] if found.broken else []), *found.problems]


def _told(found: chain.Verdict) -> dict[str, Any]:
    broken = found.broken
    return {
        "holds": found.holds,
        "held": found.held,
        "anchored": found.anchored,
        "broken": {"number": broken.number, "day": str(broken.day), "sentence": broken.sentence} if broken else None,
        "problems": list(found.problems),
    }


@app.command()
def anchor(data: Data = None) -> None:
    """Write the end of the chain into the file of anchors now.  Example: plantroom audit anchor."""
    settings = read_settings(data=data)
    file = anchor_file(settings)
    made = _run(settings, lambda database: chain.anchor(database, file, datetime.now(UTC)))
    typer.echo(f"No. {made.sealed_number} is anchored in {file.path}; keep a copy of the line elsewhere:")
    typer.echo(made.line().decode())


@app.command()
def search(
    *,
    actor: Annotated[str, typer.Option(help="Who did it: a login, or plantroom/jobs.")] = "",
    entity: Annotated[str, typer.Option(help="What it was done to: user, lease, work order ...")] = "",
    entity_id: Annotated[str, typer.Option("--id", help="Its id.")] = "",
    action: Annotated[str, typer.Option(help="What was done, as the record says it.")] = "",
    start: From = None,
    end: To = None,
    request: Annotated[str, typer.Option(help="Number of the request.")] = "",
    text: Annotated[str, typer.Option(help="A text of the details or the reason.")] = "",
    most: Annotated[int, typer.Option(min=1, max=audit.EXPORT_MAX, help="How many at most.")] = audit.PAGE,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of words.")] = False,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Print acts, newest first.  Example: plantroom audit search --actor li.wei --from 2026-11-01 --csv."""
    sought = Sought(actor, entity, entity_id, action, request, text, _moment(start), _moment(end))

    async def find(tx: Transaction) -> list[Entry]:
        return await audit.search(tx, sought, datetime.now(UTC), most=most)

    found = in_organisation(data, organisation, find)
    if as_json:
        typer.echo(json.dumps([{**asdict(one), "at": one.at.isoformat()} for one in found], ensure_ascii=False))
    elif as_csv:
        typer.echo(csv_text([audit.cells(one) for one in found]), nl=False)
    else:
        typer.echo("\n".join(map(_line, found)) or "Nothing of the kind was recorded.")


def _line(one: Entry) -> str:
    behalf = f" for {one.on_behalf_of}" if one.on_behalf_of else ""
    details = json.dumps(one.details, ensure_ascii=False) if one.details else ""
    said = f"{one.at:%Y-%m-%dT%H:%M:%S%z} {one.actor}{behalf}: {one.action} {one.entity} {one.entity_id} {details}"
    return f"{said.rstrip()}{f' because: {one.reason}' if one.reason else ''}"


def _moment(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


@app.command()
def export(
    start: Annotated[str, typer.Option("--from", help="First moment, ISO 8601, UTC unless it says otherwise.")],
    end: Annotated[str, typer.Option("--to", help="Moment after the last.")],
    out: Annotated[Path, typer.Option(help="File to write; it must not be there yet.")],
    data: Data = None,
) -> None:
    """Write the chain for an auditor.  Example: plantroom audit export --from 2026-11-01 --to 2026-12-01 --out F."""
    settings = read_settings(data=data)
    file = anchor_file(settings)
    lines = _run(settings, lambda database: _written(database, moment(start), moment(end), file, out))
    typer.echo(f"{lines} lines in {out}; deploy/security/audit.md says how to compute the chain again.")


async def _written(database: Database, since: datetime, until: datetime, file: AnchorFile, out: Path) -> int:
    count = 0
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        async for line in exported(database, ACTOR, since, until, file):
            target.write(f"{line}\n")
            count += 1
    return count
