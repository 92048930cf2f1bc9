"""What scans share: the error of one, and where a draft goes."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path | None, typer.Option(help="Write the draft here instead of showing it.")]


class ScanError(ValueError):
    """The scan cannot be made as it was asked for; one sentence."""


def refuse_taken(out: Path | None) -> None:
    """Raise ScanError for a file that is there already."""
    if out is not None and out.exists():
        raise ScanError(f"{out} is there already; name another file, or move it away")


def write(text: str, out: Path | None) -> None:
    """Write a draft, or show it; an existing file is never overwritten."""
    refuse_taken(out)
    if out is None:
        typer.echo(text)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{out} written; fill in what is in capital letters, then try edge check.")
