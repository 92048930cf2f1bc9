"""``plantroom edge scan``: look for devices and write a draft of a site file."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy import draft
from drivers.onvif import discovery

app = typer.Typer(help="Look for devices; the draft of a site file comes out.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option(help="Write a draft site file here, and profiles beside it.")]
ONVIF_POLL_S = 2.0


class ScanError(ValueError):
    """The scan cannot be made as it was asked for; one sentence."""


@app.callback()
def scan() -> None:
    """Look for devices; the draft of a site file comes out."""


@app.command()
def onvif(
    host: Annotated[str | None, typer.Option(help="Ask this host alone, where multicast does not reach.")] = None,
    user: Annotated[
        str | None, typer.Option(help="Ask more as this user; the password is the credential onvif-scan-password.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the draft here instead of showing it.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where devices take probes.")] = discovery.PORT,
) -> None:
    """Find ONVIF cameras and doors.  Example: plantroom edge scan onvif --user admin --out draft.toml."""
    text, count = asyncio.run(_onvif(host, user, port))
    if not count:
        typer.echo("No ONVIF device answered; is it on this network, and is its discovery switched on?", err=True)
        raise typer.Exit(1)
    if out is None:
        typer.echo(text)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{count} ONVIF devices are in {out}; fill in what is in capital letters, then try edge check.")


async def _onvif(host: str | None, user: str | None, port: int) -> tuple[str, int]:
    found = await discovery.probe(host, port=port)
    surveys = await asyncio.gather(*(discovery.survey(one.url, user, lambda: datetime.now(UTC)) for one in found))
    parts = [draft.HEAD]
    for number, (one, said) in enumerate(zip(found, surveys, strict=True), 1):
        line, name = f"ONVIF-{number}", said.model or one.name
        settings: dict[str, str | float] = {"code": line, "gateway": "GATEWAY", "driver": "onvif", "url": one.url,
                                            "poll_s": ONVIF_POLL_S}  # fmt: skip
        notes = [note for note in (said.trouble, f"its video: {said.stream}" if said.stream else "") if note]
        parts.append(draft.table("line", settings | ({"user": user} if user else {}), notes))
        if said.stream or not said.doors:
            parts.append(draft.device(f"CAM-{number}", name, line, "", "onvif-camera"))
        parts += [
            draft.device(f"DOOR-{number}-{n}", door, line, token, "onvif-door")
            for n, (token, door) in enumerate(said.doors, 1)
        ]
    return "".join(parts), len(found)


def write(site: str, profiles: dict[str, str], out: Path | None) -> None:
    """Write a draft site file and its profiles, or show them; an existing file is never overwritten."""
    refuse_taken(out)
    write_profiles(profiles, None if out is None else out.parent / "profiles")
    if out is None:
        typer.echo(site)
        return
    out.write_text(site, encoding="utf-8")
    typer.echo(f"{out} written.")


def refuse_taken(out: Path | None) -> None:
    """Raise ScanError for a file that is there already."""
    if out is not None and out.exists():
        raise ScanError(f"{out} is there already; name another file, or move it away")


def write_profiles(profiles: dict[str, str], folder: Path | None) -> None:
    """Write profiles into a folder, or show them; an existing file is never overwritten."""
    if folder is None:
        for name, text in profiles.items():
            typer.echo(f"# profiles/{name}.toml\n{text}")
        return
    files = {folder / f"{name}.toml": text for name, text in profiles.items()}
    for path in files:
        refuse_taken(path)
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        typer.echo(f"{path} written.")
