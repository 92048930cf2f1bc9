"""``plantroom readings``: stored readings with their quality; history from files."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import typer

from deploy.commands.options import Data, Organisation, TimeError, moment
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import ACTOR, organisation_id, transaction
from deploy.settings import read as read_settings
from hub.ingest import history
from hub.ingest.rows import Import
from hub.readings import service as stored
from hub.readings.export import csv_text, json_text
from hub.readings.history_cells import FILE_BYTES_MAX
from hub.readings.rows import Exported
from hub.store.database import Database, Transaction
from rules.model.period import Period

app = typer.Typer(help="Stored readings: print them, bring history.", invoke_without_command=True)
NEEDED = (
    "Give --point, --from and --to, e.g. plantroom readings --point EM-A-101.energy --from 2026-11-01 --to 2026-11-02."
)
PROBLEMS_SHOWN = 20


@app.callback()
def readings(
    context: typer.Context,
    point: Annotated[str | None, typer.Option(help="Code of the point, e.g. EM-A-MAIN.energy.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First moment, ISO 8601, UTC unless it says so.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Moment after the last.")] = None,
    organisation: Organisation = None,
    form: Annotated[Literal["json", "csv"], typer.Option("--format", help="json or csv.")] = "csv",
    data: Data = None,
) -> None:
    """Print stored readings.  Example: plantroom readings --point EM-A-101.energy --from 2026-11-01 --to 2026-11-02."""
    if context.invoked_subcommand is not None:
        return
    if point is None or start is None or end is None:
        raise TimeError(NEEDED)
    settings = read_settings(data=data)
    period = _period(start, end)
    with opened_database(settings) as dsn:
        rows = asyncio.run(_rows(prepare(settings, dsn), organisation_id(dsn, organisation), point, period))
    typer.echo((json_text if form == "json" else csv_text)(rows), nl=form == "json")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX file.", exists=True, dir_okay=False)],
    site: Annotated[str, typer.Option(help="Code of the site.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of it.")] = False,
    problems: Annotated[Path | None, typer.Option(help="Write every row with a problem to this CSV file.")] = None,
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Bring history from a file.  Example: plantroom readings import old-meters.csv --site RIVERSIDE --dry-run."""
    settings = read_settings(data=data)
    with file.open("rb") as opened_file:
        body = opened_file.read(FILE_BYTES_MAX + 1)
    with opened_database(settings) as dsn:
        hub, owner = prepare(settings, dsn), organisation_id(dsn, organisation)
        found, report = asyncio.run(_bring(hub, owner, site, file.name, body, dry_run=dry_run))
    typer.echo(
        f"{file.name}: {found.readings} readings, {found.good} {'would be stored' if dry_run else 'stored'}, "
        f"{found.duplicates} known already, {found.conflicts} contradicted by what is stored, {found.refused} refused."
    )
    lines = report.decode().splitlines()
    typer.echo("\n".join(lines[1 : PROBLEMS_SHOWN + 1]), nl=len(lines) > 1)
    if problems is not None:
        problems.write_bytes(report)


async def _bring(
    hub: str, organisation: UUID, site: str, name: str, body: bytes, *, dry_run: bool
) -> tuple[Import, bytes]:
    database = Database(hub, pool_max=1)
    await database.open()
    now = datetime.now(UTC)

    def opened() -> AbstractAsyncContextManager[Transaction]:
        return database.transaction(organisation, ACTOR)

    try:
        number = await history.check(opened, site, name, body, now)
        if not dry_run:
            await history.store(opened, number, now)
        async with opened() as tx:
            return await history.imported(tx, number), await history.report(tx, number)
    finally:
        await database.close()


async def _rows(hub: str, organisation: UUID, point: str, period: Period) -> list[Exported]:
    async with transaction(hub, organisation) as tx:
        return await stored.exported(tx, point, period)


def _period(start: str, end: str) -> Period:
    first, past = moment(start), moment(end)
    if past < first:
        raise TimeError(f"--to {end} lies before --from {start}; give the earlier time first.")
    return Period(first, past)
