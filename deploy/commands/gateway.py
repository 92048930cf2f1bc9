"""``plantroom gateway``: who may speak as which gateway."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.serialization import Encoding

from deploy import authority as files
from deploy import enrolment
from deploy.commands.options import AsJson, Data
from deploy.embedded import database as opened_database
from deploy.logins import prepare
from deploy.mosquitto import CA, CERTIFICATE, KEY, Place
from deploy.settings import Settings
from deploy.settings import read as read_settings
from edge_agent import config as edge_config
from edge_agent.identity import PRIVATE, PUBLIC, key_pem, make_request, new_key, write
from hub.assets.authority import REQUEST_BYTES_MAX
from hub.assets.rows import GatewayCertificate
from rules.wire.identity import common_name, renewal_due

app = typer.Typer(help="Certificates by which gateways prove who they are.", no_args_is_help=True)

SiteCode = Annotated[str, typer.Argument(metavar="SITE", help="Code of the site, e.g. RIVERSIDE.")]
GatewayCode = Annotated[str, typer.Argument(metavar="GATEWAY", help="Code of the gateway, e.g. GW-1.")]
Out = Annotated[Path, typer.Option("--out", help="Directory for key, certificate and the authority's certificate.")]
Csr = Annotated[Path | None, typer.Option("--csr", help="Request that the gateway made; its key then never leaves it.")]


class OutputError(Exception):
    """The files cannot be written or read there: the sentence says why."""


@app.command()
def enrol(site: SiteCode, gateway: GatewayCode, out: Out, csr: Csr = None, data: Data = None) -> None:
    """Give a gateway its first certificate.  Example: plantroom gateway enrol RIVERSIDE GW-1 --out gw-1."""
    _certify(read_settings(data=data), site, gateway, out, csr, again=False)


@app.command()
def renew(site: SiteCode, gateway: GatewayCode, out: Out, csr: Csr = None, data: Data = None) -> None:
    """Give an enrolled gateway another one.  Example: plantroom gateway renew RIVERSIDE GW-1 --out gw-1-new."""
    _certify(read_settings(data=data), site, gateway, out, csr, again=True)


@app.command()
def revoke(
    site: SiteCode,
    gateway: GatewayCode,
    because: Annotated[str, typer.Option(help="Why, for the record.")],
    data: Data = None,
) -> None:
    """Take back all certificates of a gateway.  Example: plantroom gateway revoke RIVERSIDE GW-1 --because stolen."""
    settings, now = read_settings(data=data), datetime.now(UTC)
    with opened_database(settings) as dsn, files.opened(settings, now) as authority:
        hub = prepare(settings, dsn)
        count = asyncio.run(enrolment.revoke(hub, site, gateway, because, now))
        place = asyncio.run(enrolment.write_lists(settings, hub, authority, now))
    typer.echo(f"{site}/{gateway}: {count} certificates revoked." if count else f"{site}/{gateway} had none in force.")
    typer.echo(_reload(place))
    if place is not None:
        typer.echo(
            "From then on it cannot connect; if it is connected, it can neither say nor hear anything. "
            "'systemctl restart mosquitto' ends its connection too."
        )


@app.command()
def configure(
    site: SiteCode,
    gateway: GatewayCode,
    file: Annotated[Path, typer.Argument(help="Site file that the gateway is to go by.")],
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    data: Data = None,
) -> None:
    """Want a gateway to go by a site file.  Example: plantroom gateway configure RIVERSIDE GW-1 riverside.toml."""
    loaded = edge_config.load(file, gateway)  # with the profiles, which the hub does not know
    if loaded.site != site:
        raise OutputError(f"{file} is of the site {loaded.site}, not of {site}.")
    settings = read_settings(data=data)
    with opened_database(settings) as dsn:
        hub, now = prepare(settings, dsn), datetime.now(UTC)
        sha256 = asyncio.run(enrolment.want(hub, site, gateway, file.read_text("utf-8"), note, now))
    typer.echo(f"{site}/{gateway} is to go by {file} ({sha256[:12]}, without technicians, tenants and leases).")
    typer.echo("It gets the file with its next report, tries it, and keeps it only if all goes on; see 'Gateways'.")
    typer.echo(
        "What may be set, local rules, interlocks and lines with passwords are changed in the file on the gateway: it "
        'refuses another that changes them, unless its own says pushed = "all".'
    )


@app.command("list")
def list_all(as_json: AsJson = False, data: Data = None) -> None:
    """Show every gateway with its newest certificate.  Example: plantroom gateway list."""
    settings, now = read_settings(data=data), datetime.now(UTC)
    with opened_database(settings) as dsn:
        gateways, certificates = asyncio.run(enrolment.everything(prepare(settings, dsn)))
    newest = {one.gateway_id: one for one in reversed(certificates)}
    rows = [_row(one.site, one.gateway, newest.get(one.id), now) for one in gateways]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        typer.echo(f"{row['site']}/{row['gateway']:<24} {row['state']:<12} {row['until'] or '':<26} {row['serial']}")


def _row(site: str, gateway: str, held: GatewayCertificate | None, now: datetime) -> dict[str, str | None]:
    return {
        "site": site,
        "gateway": gateway,
        "state": _state(held, now),
        "until": held.not_after.isoformat() if held else None,
        "serial": held.serial if held else "",
        "fingerprint": held.fingerprint if held else "",
        "revoked_because": held.revoked_because if held else None,
    }


def _state(held: GatewayCertificate | None, now: datetime) -> str:
    if held is None:
        return "not enrolled"
    if held.revoked_at is not None:
        return "revoked"
    if now >= held.not_after:
        return "ended"
    return "ends soon" if now >= renewal_due(held.not_before, held.not_after) else "in force"


def _certify(settings: Settings, site: str, gateway: str, out: Path, csr: Path | None, *, again: bool) -> None:
    now = datetime.now(UTC)
    name = common_name(site, gateway)
    with (
        _prepared(out, name, csr) as request,
        opened_database(settings) as dsn,
        files.opened(settings, now) as authority,
    ):
        hub = prepare(settings, dsn)
        certificate = asyncio.run(enrolment.certify(hub, authority, site, gateway, request, now, again=again))
        write(out / CERTIFICATE, certificate.encode(), PUBLIC)
        write(out / CA, authority.certificate.public_bytes(Encoding.PEM), PUBLIC)
        place = asyncio.run(enrolment.write_lists(settings, hub, authority, now))
    typer.echo(f"{name} has a certificate; the files for the gateway are in {out}.")
    typer.echo(
        "On the gateway, in a directory that the edge agent may write: "
        f"PLANTROOM_BROKER_CA=.../{CA} PLANTROOM_BROKER_CERTIFICATE=.../{CERTIFICATE} PLANTROOM_BROKER_KEY=.../{KEY}"
    )
    if csr is None:
        typer.echo(f"Delete {out} here once the gateway has it.")
    typer.echo(_reload(place))


@contextmanager
def _prepared(out: Path, name: str, csr: Path | None) -> Iterator[bytes]:
    """Give the request: the file's, or one for a new key in ``out``, which is taken away again when it is refused."""
    taken = [out / file for file in (CA, CERTIFICATE, KEY) if (out / file).exists()]
    if taken:
        raise OutputError(f"{taken[0]} exists and is not overwritten; give --out another directory.")
    try:
        request = _read(csr) if csr is not None else b""
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        if csr is None:
            key = new_key()
            write(out / KEY, key_pem(key), PRIVATE)
            request = make_request(key, name)
    except OSError as error:
        raise OutputError(f"{error.filename or out}: {(error.strerror or str(error)).lower()}.") from None
    try:
        yield request
    except BaseException:
        if csr is None and not (out / CERTIFICATE).exists():
            (out / KEY).unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty: it was there before
            out.rmdir()
        raise


def _read(csr: Path) -> bytes:
    with csr.open("rb") as file:
        return file.read(REQUEST_BYTES_MAX + 1)


def _reload(place: Place | None) -> str:
    if place is None:
        return "No broker is configured from here yet; do that next: plantroom broker configure --out DIR"
    return (
        f"Now have Mosquitto read {place.folder} anew: 'systemctl reload mosquitto' (SIGHUP). If it runs on another "
        "machine, copy the files access and revoked.pem there first."
    )
