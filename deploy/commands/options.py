"""Options that several commands share."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from rules.model.site import InvalidSiteError, SiteFile, parse

Data = Annotated[Path | None, typer.Option("--data", help="Data directory; default by platform convention.")]
SitePath = Annotated[Path, typer.Argument(metavar="SITE", help="Site file, e.g. deploy/sites/riverside.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


class SiteFileError(Exception):
    """The site file cannot be read or used: the sentence says why."""


def read_site(path: Path) -> SiteFile:
    """Read and check a site file; raises SiteFileError with every problem."""
    try:
        return parse(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise SiteFileError(f"The site file {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SiteFileError(f"The site file {path} is not TOML: {error}.") from error
    except InvalidSiteError as error:
        raise SiteFileError(f"The site file {path}: {' '.join(error.problems)}") from error
