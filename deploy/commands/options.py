"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from edge_agent import config
from rules.model.site import SiteFile

Data = Annotated[Path | None, typer.Option("--data", help="Data directory; default by platform convention.")]
SitePath = Annotated[Path, typer.Argument(metavar="SITE", help="Site file, e.g. deploy/sites/riverside.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


def read_site(path: Path) -> SiteFile:
    """Read and check a site file, its profiles and units too; raises InvalidConfigError with every problem."""
    return config.read(path)[0]
