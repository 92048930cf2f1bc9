"""``plantroom store``: where readings lie, how long they stay, and the move into a hypertable."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import typer

from deploy.commands.options import AsJson, Data
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.settings import read as read_settings
from hub.keeping import service as keeping
from hub.keeping.service import Overview, Stay
from hub.store.backend import detect
from hub.store.convert import convert as move
from hub.store.database import Database

app = typer.Typer(help="The store of readings: back end, size, how long what stays.", no_args_is_help=True)


@app.command()
def show(as_json: AsJson = False, data: Data = None) -> None:
    """Say where readings lie and how long they stay.  Example: plantroom store show."""
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        hub = prepare(settings, dsn)
        with psycopg.connect(hub) as connection:
            named = detect(connection).sentence()
        found = asyncio.run(_overview(hub))
    if as_json:
        typer.echo(json.dumps(_plain(named, found), ensure_ascii=False, indent=1))
        return
    typer.echo(f"Store: {named}.")
    span = f", {found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}" if found.since and found.until else ""
    typer.echo(f"Parts: {found.parts}, {found.compacted} of them compacted, {found.bytes / 1e6:.1f} MB{span}.")
    for stay in found.stays:
        typer.echo(_sentence(stay))


@app.command()
def convert(data: Data = None) -> None:
    """Move the readings of a plain database into a hypertable of TimescaleDB.  Example: plantroom store convert.

    The hub may go on meanwhile; it needs as much free space again as the readings take.  A run that was cut off is
    taken up by the next.
    """
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        prepare(settings, dsn)
        found = move(dsn, lambda part, rows: typer.echo(f"{part}: {rows} readings"))
    typer.echo(f"Store: {found.sentence()}.")


async def _overview(hub: str) -> Overview:
    database = Database(hub, pool_max=1)
    await database.open()
    try:
        return await keeping.overview(database, datetime.now(UTC))
    finally:
        await database.close()


def _sentence(stay: Stay) -> str:
    kept = stay.kept
    bound = f"; {stay.bound} of them serve bills and stay with their papers" if stay.bound else ""
    return (
        f"{kept.name_en}: {kept.raw} days, hours {kept.hourly}, days {kept.daily} "
        f"({stay.points} points{bound}). {kept.why}"
    )


def _plain(named: str, found: Overview) -> dict[str, Any]:
    return {
        "store": named,
        "parts": found.parts,
        "compacted": found.compacted,
        "bytes": found.bytes,
        "since": found.since.isoformat() if found.since else None,
        "until": found.until.isoformat() if found.until else None,
        "retention": [
            {
                "class": stay.kept.code,
                "raw_days": stay.kept.raw,
                "hourly_days": stay.kept.hourly,
                "daily_days": stay.kept.daily,
                "points": stay.points,
                "bound": stay.bound,
            }
            for stay in found.stays
        ],
    }
