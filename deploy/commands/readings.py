"""``plantroom readings``: stored readings with their quality."""

import asyncio
from typing import Annotated, Literal
from uuid import UUID

import typer

from deploy.commands.options import Data, Organisation, TimeError, moment
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.register import organisation_id, transaction
from deploy.settings import read as read_settings
from hub.readings import service as stored
from hub.readings.export import csv_text, json_text
from hub.readings.rows import Exported
from rules.model.period import Period


def readings(
    point: Annotated[str, typer.Option(help="Code of the point, e.g. EM-A-MAIN.energy.")],
    start: Annotated[str, typer.Option("--from", help="First moment, ISO 8601, UTC unless it says otherwise.")],
    end: Annotated[str, typer.Option("--to", help="Moment after the last.")],
    organisation: Organisation = None,
    form: Annotated[Literal["json", "csv"], typer.Option("--format", help="json or csv.")] = "csv",
    data: Data = None,
) -> None:
    """Print stored readings.  Example: plantroom readings --point EM-A-101.energy --from 2026-11-01 --to 2026-11-02."""
    settings = read_settings(data=data)
    period = _period(start, end)
    with opened_database(settings) as dsn:
        rows = asyncio.run(_rows(prepare(settings, dsn), organisation_id(dsn, organisation), point, period))
    typer.echo((json_text if form == "json" else csv_text)(rows), nl=form == "json")


async def _rows(hub: str, organisation: UUID, point: str, period: Period) -> list[Exported]:
    async with transaction(hub, organisation) as tx:
        return await stored.exported(tx, point, period)


def _period(start: str, end: str) -> Period:
    first, past = moment(start), moment(end)
    if past < first:
        raise TimeError(f"--to {end} lies before --from {start}; give the earlier time first.")
    return Period(first, past)
