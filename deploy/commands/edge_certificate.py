"""``plantroom edge certificate``: who we are to an OPC UA server."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import SitePath, read_site
from deploy.state import write_private
from drivers.opcua import trust
from rules.model.line import OpcuaLine


class CertificateError(ValueError):
    """The certificate cannot be made; one sentence."""


def certificate(
    site: SitePath,
    line: Annotated[str, typer.Argument(help="Code of the line that needs it.")],
    out: Annotated[Path, typer.Option(help="Folder for both files.")],
) -> None:
    """Make a line's certificate and key.  Example: plantroom edge certificate SITE OPCUA-1 --out /etc/plantroom."""
    file = read_site(site)
    found = next((one for one in file.line if one.code == line), None)
    if not isinstance(found, OpcuaLine):
        there = ", ".join(one.code for one in file.line if isinstance(one, OpcuaLine)) or "none"
        raise CertificateError(f"{site} has no OPC UA line '{line}' (there is {there}).")
    out = out.absolute()  # the site file is read elsewhere
    shown, secret = out / f"opcua-{line}.pem", out / f"opcua-{line}-key.pem"
    for path in (shown, secret):
        if path.exists():
            raise CertificateError(f"{path} is there already; move it away first, servers know the old certificate.")
    pem, key = trust.make(
        f"urn:plantroom:{file.site.code}:{found.gateway}:{line}", socket.gethostname(), datetime.now(UTC)
    )
    out.mkdir(parents=True, exist_ok=True)
    write_private(secret, key.decode())
    shown.write_bytes(pem)
    typer.echo(f"Give {shown} to the server's list of trusted clients, and write in the line:")
    typer.echo(f'security = "Basic256Sha256"\ncertificate = "{shown}"\nkey = "{secret}"')
    typer.echo('trust = "..."  # the server\'s certificate, or a folder of them')
