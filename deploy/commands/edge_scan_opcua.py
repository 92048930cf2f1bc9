"""``plantroom edge scan opcua``: what an OPC UA server has, as a draft."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.draft import HEAD
from drivers.opcua import browse
from drivers.opcua.draft import code_of, draft
from drivers.opcua.profile import OPC_NAMESPACE
from rules.model.line import OpcuaLine

POLL_S, TIMEOUT_S = 10.0, 5.0


class ScanError(ValueError):
    """The scan cannot be made as it was asked for; one sentence."""


def opcua(
    url: Annotated[str, typer.Argument(help="The server, e.g. opc.tcp://10.0.0.9:4840.")],
    node: Annotated[str, typer.Option(help="Only what is below this node, e.g. s=Plant.")] = browse.OBJECTS,
    namespace: Annotated[str, typer.Option(help="URI of the namespace of --node.")] = OPC_NAMESPACE,
    security: Annotated[str, typer.Option(help="Basic256Sha256, Aes128Sha256RsaOaep or Aes256Sha256RsaPss.")] = "none",
    certificate: Annotated[str | None, typer.Option(help="Our certificate, with --security.")] = None,
    key: Annotated[str | None, typer.Option(help="Its key.")] = None,
    trust: Annotated[str | None, typer.Option(help="The server's certificate, or a folder of them.")] = None,
    user: Annotated[str | None, typer.Option(help="The password is the credential opcua-OPCUA-1-password.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the draft here, and its profile into profiles beside it.")
    ] = None,
) -> None:
    """List what a server has.  Example: plantroom edge scan opcua opc.tcp://10.0.0.9:4840 --out draft.toml."""
    _refuse_taken(out)
    words = {"driver": "opcua", "code": "OPCUA-1", "gateway": "GATEWAY", "poll_s": POLL_S, "timeout_s": TIMEOUT_S}
    more = {"certificate": certificate, "key": key, "trust": trust, "user": user}
    try:
        line = OpcuaLine.model_validate({**words, "url": url, "security": security, **more})
    except ValueError as error:
        raise ScanError(
            f"'{url}' with security '{security}' is no server; write it like opc.tcp://10.0.0.9:4840"
        ) from error
    found = asyncio.run(browse.browse(line, lambda: datetime.now(UTC), node, namespace))
    typer.echo(f"{len(found.variables)} variables{f', not all: {found.ended}' if found.ended else ''}", err=True)
    if not found.variables:
        raise ScanError(f"Below {node} of {url} there is no variable; name another --node with its --namespace")
    site, profiles = draft(found, url, code_of(url))
    _write(f"{HEAD}\n{site}", profiles, out)


def _write(site: str, profiles: dict[str, str], out: Path | None) -> None:
    """Write a draft and its profiles, or show them; what is there already is never overwritten."""
    if out is None:
        typer.echo(site)
        for name, text in profiles.items():
            typer.echo(f"# profiles/{name}.toml\n{text}")
        return
    files = {out.parent / "profiles" / f"{name}.toml": text for name, text in profiles.items()}
    for path in files:
        _refuse_taken(path)
    (out.parent / "profiles").mkdir(parents=True, exist_ok=True)
    for path, text in {**files, out: site}.items():
        path.write_text(text, encoding="utf-8")
        typer.echo(f"{path} written.")


def _refuse_taken(path: Path | None) -> None:
    if path is not None and path.exists():
        raise ScanError(f"{path} is there already; name another file, or move it away")
