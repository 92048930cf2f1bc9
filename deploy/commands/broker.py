"""``plantroom broker``: the files of the Mosquitto that gateways and hub meet at."""

import asyncio
import os
import pwd
import socket
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from deploy import authority as files
from deploy import enrolment
from deploy.commands.options import Data
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.mosquitto import CA, CERTIFICATE, CONFIG, KEY, Place
from deploy.settings import MAX_PORT, Settings
from deploy.settings import read as read_settings

PORT = 8883  # registered for MQTT over TLS
DEBIAN_USER = "mosquitto"
ALWAYS = ("localhost", "127.0.0.1")

app = typer.Typer(help="The MQTT broker for gateways: Mosquitto.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep 'configure' a sub-command while it is the only one."""


@app.command()
def configure(
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for Mosquitto's files; as before by default.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Name or address by which the broker is called; repeat for more.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=MAX_PORT, help="Port to listen on; 8883 by default.")] = None,
    address: Annotated[str | None, typer.Option(help="Address to listen on; all of the machine by default.")] = None,
    user: Annotated[
        str | None, typer.Option(help="User that Mosquitto runs as; 'mosquitto' where there is one.")
    ] = None,
    hub: Annotated[Path | None, typer.Option("--hub", help="Directory for the hub's certificate; in the data.")] = None,
    new_keys: Annotated[bool, typer.Option("--new-keys", help="Replace and revoke keys that may be known.")] = False,
    data: Data = None,
) -> None:
    """Write configuration, access list and certificates, or renew them.

    Example: plantroom broker configure --out /etc/mosquitto/plantroom --host broker.example.
    """
    settings, now = read_settings(data=data), datetime.now(UTC)
    own = (hub or settings.data / "hub").absolute()
    with opened_database(settings) as dsn, files.opened(settings, now) as authority:
        place = _place(enrolment.known_place(settings), out, host, port, address, user)
        enrolment.configure(settings, authority, place, own, now, anew=new_keys)
        asyncio.run(enrolment.write_lists(settings, prepare(settings, dsn), authority, now))
    _say(settings, place, own)


def _place(
    known: Place | None,
    out: Path | None,
    hosts: list[str] | None,
    port: int | None,
    address: str | None,
    user: str | None,
) -> Place:
    folder = out.absolute() if out else known.folder if known else None
    if folder is None:
        raise typer.BadParameter("say where Mosquitto's files shall be", param_hint="--out")
    if address and not _is_address(address):
        raise typer.BadParameter("is an address of this machine, like 192.0.2.7", param_hint="--address")
    if user and user not in {one.pw_name for one in pwd.getpwall()}:
        raise typer.BadParameter("there is no such user on this machine", param_hint="--user")
    names = hosts or ([*known.hosts] if known else [socket.getfqdn()])
    return Place(
        folder,
        tuple(dict.fromkeys([*names, *ALWAYS])),
        port or (known.port if known else PORT),
        address if address is not None else known.address if known else "",
        user if user is not None else known.user if known else _usual_user(),
    )


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False


def _usual_user() -> str:
    """Give the user of Debian's package, where files can be given to him."""
    try:
        return pwd.getpwnam(DEBIAN_USER).pw_name if os.geteuid() == 0 else ""
    except KeyError:
        return ""


def _say(settings: Settings, place: Place, own: Path) -> None:
    typer.echo(f"Mosquitto's files are in {place.folder}; it is called {', '.join(place.hosts)}, port {place.port}.")
    typer.echo(
        f"Start it with {place.folder / CONFIG} (Debian: ln -sf {place.folder / CONFIG} /etc/mosquitto/mosquitto.conf "
        "&& systemctl restart mosquitto). If it runs already, 'systemctl reload mosquitto' is enough unless port, "
        "address or user have changed. On another machine, copy the directory there first."
    )
    typer.echo(
        f"The hub: PLANTROOM_BROKER_ADDRESS={place.hosts[0]}:{place.port} PLANTROOM_BROKER_CA={own / CA} "
        f"PLANTROOM_BROKER_CERTIFICATE={own / CERTIFICATE} PLANTROOM_BROKER_KEY={own / KEY}"
    )
    typer.echo(f"Keep {files.folder(settings)} in the backup, and away from everybody else.")
