"""Options that several commands share."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edge_agent import config
from rules.model.site import SiteFile

Data = Annotated[Path | None, typer.Option("--data", help="Data directory; default by platform convention.")]
SitePath = Annotated[Path, typer.Argument(metavar="SITE", help="Site file, e.g. deploy/sites/riverside.toml.")]
Organisation = Annotated[str | None, typer.Option(help="Code of the organisation; needed when there are several.")]
Rules = Annotated[list[Path] | None, typer.Option("--rules", help="Alarm rules that replace those of the same code.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


def read_site(path: Path) -> SiteFile:
    """Read and check a site file, its profiles and units too; raises InvalidConfigError with every problem."""
    return config.read(path)[0]


class TimeError(ValueError):
    """A time on the command line cannot be read."""


def moment(text: str) -> datetime:
    """Read an ISO 8601 time, UTC unless it says otherwise; raises TimeError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeError(f"'{text}' is not a time; write it like 2026-11-01 or 2026-11-01T08:00+08:00.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class AddressTakenError(Exception):
    """The pages cannot be served there: the sentence says why."""


def check_address(host: str, port: int) -> None:
    """Listen there once, so that a port that is taken is said at once; raises AddressTakenError."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        number = error.errno or 0  # below zero: the name could not be looked up
        why = os.strerror(number) if number > 0 else error.strerror or "no such host"
        raise AddressTakenError(
            f"The pages cannot be served at {host}:{port} ({why.lower()}): end the program that listens there, or "
            "choose another port with --port."
        ) from None
