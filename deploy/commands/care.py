"""``plantroom backup`` and ``plantroom restore``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.care import backup as backups
from deploy.care import restore as restores
from deploy.commands.options import Data
from deploy.embedded import database as opened_database
from deploy.settings import read as read_settings
from deploy.settings import secret_of

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File with the passphrase of the archive.", exists=True, dir_okay=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


class MisuseError(Exception):
    """Options that do not go together: the sentence says what to give."""


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, a folder for files by time, or -.")],
    passphrase_file: Passphrase = None,
    keep: Annotated[int, typer.Option(min=1, help="In a folder: how many backups stay, the newest.")] = 14,
    quiet: Quiet = False,
    data: Data = None,
) -> None:
    """Copy everything into one file, while Plantroom runs.  Example: plantroom backup plantroom.backup."""
    settings = read_settings(data=data)
    file = None if str(target) == "-" else backups.named(target, datetime.now(UTC)) if target.is_dir() else target
    if file is None and sys.stdout.isatty():
        raise MisuseError("A backup is no text for a terminal; name a file, or send it on with a pipe.")
    passphrase = secret_of(passphrase_file) if passphrase_file else ""
    with opened_database(settings) as dsn, progress(quiet=quiet) as tell:
        made = backups.make(settings, dsn, file, sys.stdout.buffer, passphrase, tell)
    if target.is_dir():
        backups.drop_old(target, keep)
    tables = sum(bool(part.columns) for part in made.manifest.parts.values())
    whole = "read again and whole" if made.verified else "check it where it is kept: plantroom restore --check FILE"
    figures = f"{made.rows} rows of {tables} tables, schema {made.schema:04}, {made.size} bytes in {made.took_s:.1f} s"
    said = [f"{figures}: {whole}."]
    if made.missing:
        said.append(
            "Not in it, for whoever finds it could open the database's secrets: "
            f"{', '.join(map(str, made.missing))}. Keep copies elsewhere, or encrypt the backup with --passphrase-file."
        )
    typer.echo("\n".join(said), err=file is None)


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.", exists=True, dir_okay=False)],
    passphrase_file: Passphrase = None,
    check: Annotated[bool, typer.Option("--check", help="Only read it and say whether it is whole.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of what the database holds.")] = False,
    quiet: Quiet = False,
    data: Data = None,
) -> None:
    """Bring a backup back into an empty database.  Example: plantroom restore plantroom.backup --data DIR."""
    passphrase = secret_of(passphrase_file) if passphrase_file else ""
    if check:
        with progress(quiet=quiet) as tell:
            manifest = backups.verify(source, passphrase, tell)
        rows = sum(part.rows for part in manifest.parts.values())
        typer.echo(f"{source} is whole: {rows} rows in {len(manifest.parts)} parts.")
        return
    settings = read_settings(data=data)
    with opened_database(settings) as dsn, progress(quiet=quiet) as tell:
        made = restores.restore(settings, dsn, source, passphrase, tell, replace=replace)
    typer.echo(f"{sum(made.rows.values())} rows of {len(made.rows)} tables came back, as of {made.made_at}.")
    for sentence in made.files:
        typer.echo(sentence)
    typer.echo("Hold it against the anchors now: plantroom audit verify.")


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told how far it is: which part, how much of it, of about how much."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=None)

        def tell(name: str, done: int, of: int) -> None:
            bar.update(task, description=name, completed=done, total=max(of, done) or None)

        yield tell
