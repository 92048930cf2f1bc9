"""``plantroom sim``: the simulated building, for training, demonstrations and tests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from deploy import foreground
from deploy.commands.options import SitePath, read_site
from deploy.settings import MAX_PORT
from simulators import site_run
from simulators.history import write_history
from simulators.world import World

app = typer.Typer(help="The simulated building on loopback.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(help="Same seed, same building.")]
CONTROL_PORT = 15019


@app.command()
def run(
    site: SitePath,
    faults: Annotated[Path | None, typer.Option(help="TOML file of faults and when they start.")] = None,
    seed: Seed = 1,
    control_port: Annotated[
        int, typer.Option(min=1, max=MAX_PORT, help="Loopback port that takes faults while it runs.")
    ] = CONTROL_PORT,
    truth: Annotated[Path | None, typer.Option(help="Log here every counter that a device tells.")] = None,
) -> None:
    """Serve the site's devices until stopped.  Example: plantroom sim run deploy/sites/riverside.toml --seed 7."""
    file = read_site(site)

    def ready() -> None:
        lines = ", ".join(f"{line.code} at {line.place}" for line in file.line)
        typer.echo(f"{len(file.device)} devices answer: {lines}; faults are taken at 127.0.0.1:{control_port}.")

    foreground.run(site_run.run(file, seed=seed, faults=faults, truth=truth, control_port=control_port, ready=ready))


@app.command()
def history(
    site: SitePath,
    out: Annotated[Path, typer.Option(help="CSV file to write, as a data logger would.")],
    days: Annotated[int, typer.Option(min=1, max=1000, help="How many days back.")] = 62,
    seed: Seed = 1,
) -> None:
    """Write what the meters showed until now.  Example: plantroom sim history SITE --out history.csv."""
    file = read_site(site)
    with Progress() as bar:
        task = bar.add_task("history", total=len(file.device))
        rows = write_history(
            World(file, seed),
            file,
            datetime.now(UTC),
            out,
            days=days,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    typer.echo(f"{rows} readings in {out}.")
