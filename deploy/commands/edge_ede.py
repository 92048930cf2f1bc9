"""``plantroom edge import-ede``: a profile from the EDE file that came with a controller."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.edge_scan import write_profiles
from drivers.bacnet import draft, ede


def import_ede(
    file: Annotated[Path, typer.Argument(help="The EDE file, CSV.")],
    states: Annotated[Path | None, typer.Option(help="Its state-text file.")] = None,
    units: Annotated[Path | None, typer.Option(help="Its unit file.")] = None,
    device: Annotated[int | None, typer.Option(help="Only this device of several.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the profile here; shown when left out.")] = None,
) -> None:
    """Make a profile of an EDE file.  Example: plantroom edge import-ede ahu.csv --out profiles/ahu.toml."""
    found = ede.read(
        file.read_bytes(),
        states.read_bytes() if states is not None else None,
        units.read_bytes() if units is not None else None,
    )
    for problem in found.problems:
        typer.echo(f"{file}, {problem}.", err=True)
    wanted = {number: objects for number, objects in found.devices.items() if device in (None, number)}
    if not wanted:
        there = ", ".join(map(str, sorted(found.devices))) or "none"
        raise ede.InvalidEdeError(f"{file} has no objects of device {device} that hold a number (there is {there})")
    stem = draft.code(out.stem if out is not None else found.project or file.stem, "ede")
    profiles = {}
    for number, objects in sorted(wanted.items()):
        name = stem if len(wanted) == 1 else draft.code(f"{stem}-{number}", "ede")
        title = found.project or file.stem
        profiles[name] = draft.profile(name, f"{title}, device {number}", f"EDE file {file.name}", objects)
    write_profiles(profiles, out.parent if out is not None else None)
