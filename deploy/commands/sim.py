"""``plantroom sim``: the simulated building, for training, demonstrations and tests."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from deploy import credentials, foreground
from deploy.commands.options import SitePath, read_site
from deploy.settings import MAX_PORT
from drivers.credentials import credential
from simulators import site_run
from simulators.history import write_history
from simulators.link import HOST, Link
from simulators.world import World

app = typer.Typer(help="The simulated building on loopback.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(help="Same seed, same building.")]
CONTROL_PORT = 15019
FOREVER_S = 86_400.0


@app.command()
def run(
    site: SitePath,
    faults: Annotated[Path | None, typer.Option(help="TOML file of faults and when they start.")] = None,
    seed: Seed = 1,
    control_port: Annotated[
        int, typer.Option(min=1, max=MAX_PORT, help="Loopback port that takes faults while it runs.")
    ] = CONTROL_PORT,
    page_port: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_PORT, help="Loopback port of a page that does the same; else there is none."),
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="Log here every counter that a device tells.")] = None,
) -> None:
    """Serve the site's devices until stopped.  Example: plantroom sim run deploy/sites/riverside.toml --seed 7."""
    file = read_site(site)

    def ready() -> None:
        lines = ", ".join(f"{line.code} at {line.place}" for line in file.line)
        typer.echo(f"{len(file.device)} devices answer: {lines}; faults are taken at 127.0.0.1:{control_port}.")
        if page_port:
            typer.echo(f"Make something go wrong: http://127.0.0.1:{page_port}/")

    foreground.run(
        site_run.run(
            file,
            seed=seed,
            faults=faults,
            truth=truth,
            control_port=control_port,
            page_port=page_port,
            ready=ready,
            credential=credential,
        )
    )


@app.command("credentials")
def make_credentials(
    site: SitePath,
    out: Annotated[Path, typer.Option(help="Folder for the files; what is there already stays.")],
) -> None:
    """Make simulated devices' passwords and keys.  Example: plantroom sim credentials SITE --out field-credentials."""
    made = credentials.make(read_site(site), out)
    typer.echo(f"{len(made)} made in {out}{': ' if made else ''}{', '.join(made)}.")
    typer.echo(f"Simulator and gateway both find them by: export PLANTROOM_CREDENTIALS={out.absolute()}")


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


@app.command()
def link(
    target: Annotated[str, typer.Argument(help="Where it leads: PORT on this machine, or HOST:PORT.")],
    listen: Annotated[int, typer.Option(min=1, max=MAX_PORT, help="Loopback port to put into the site file.")],
    delay_ms: Annotated[float, typer.Option(min=0, max=60_000, help="Holds everything back, both ways.")] = 0.0,
    loss: Annotated[float, typer.Option(min=0, max=1, help="Share of what is sent that vanishes.")] = 0.0,
    cut_every_s: Annotated[float, typer.Option(min=0, help="Cuts the link so often; 0: never.")] = 0.0,
    cut_for_s: Annotated[float, typer.Option(min=0.1, help="How long a cut lasts.")] = 5.0,
    half_open: Annotated[bool, typer.Option(help="Cuts tell nobody: connections stay, nothing passes.")] = False,
    seed: Seed = 1,
) -> None:
    """Be a bad link between a gateway and a device.  Example: plantroom sim link 15020 --listen 15120 --loss 0.05."""
    host, _, port = target.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port) <= MAX_PORT:
        raise typer.BadParameter(f"'{target}' is no port and no HOST:PORT")
    bad = Link(int(port), target_host=host or HOST, listen_port=listen, delay_ms=delay_ms, loss=loss, seed=seed)
    typer.echo(f"127.0.0.1:{listen} leads to {host or HOST}:{port}.")
    foreground.run(_cutting(bad, cut_every_s, cut_for_s, half_open=half_open))


async def _cutting(bad: Link, every_s: float, for_s: float, *, half_open: bool) -> None:
    async with bad:
        while True:
            await asyncio.sleep(every_s or FOREVER_S)
            (bad.swallow if half_open else bad.cut)()
            typer.echo("cut")
            await asyncio.sleep(for_s)
            bad.restore()
            typer.echo("whole again")
