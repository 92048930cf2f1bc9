"""``plantroom edge scan bacnet``: which devices there are on a BACnet network and what they have, as a draft."""

import asyncio
from typing import Annotated

import typer

from deploy import draft
from deploy.commands.edge_scan import Out, ScanError, refuse_taken, write
from drivers.bacnet import discovery
from drivers.bacnet.profile import INSTANCE_MAX
from rules.model.line import BacnetLine

LINE = "BACNET-1"
POLL_S, TIMEOUT_S = 10.0, 3.0


def bacnet(
    interface: Annotated[str, typer.Argument(help="This machine's address with prefix, e.g. 10.0.0.5/24:47808.")],
    bbmd: Annotated[str | None, typer.Option(help="Register here as a foreign device, e.g. 10.0.9.1:47808.")] = None,
    device: Annotated[
        int | None, typer.Option(min=0, max=INSTANCE_MAX, help="Only this device; all that answer when left out.")
    ] = None,
    to: Annotated[str, typer.Option(help="Ask this host only, without a broadcast, e.g. 10.0.0.7:47808.")] = "",
    numbers: Annotated[str, typer.Option(help="Only devices with these numbers, e.g. 1000-1999.")] = "",
    out: Out = None,
) -> None:
    """Find BACnet devices and what they have.  Example: plantroom edge scan bacnet 10.0.0.5/24 --out draft.toml."""
    low, high = _numbers(numbers)
    refuse_taken(out)
    settings: dict[str, str | float] = {
        "driver": "bacnet",
        "code": LINE,
        "gateway": "GATEWAY",
        "poll_s": POLL_S,
        "timeout_s": TIMEOUT_S,
        "interface": interface,
    }
    if bbmd is not None:
        settings["bbmd"] = bbmd
    try:
        line = BacnetLine.model_validate(settings)
    except ValueError as error:
        raise ScanError(
            f"'{interface}' with bbmd '{bbmd or ''}' is no interface; write 10.0.0.5/24:47808, and a bbmd as 10.0.9.1"
        ) from error
    found, contents, failures = asyncio.run(discovery.look(line, low=low, high=high, to=to, device=device))
    for one in found:
        typer.echo(f"device {one.instance} at {one.at}, vendor {one.vendor}", err=True)
    for failure in failures:
        typer.echo(failure, err=True)
    for content in contents:
        typer.echo(f"device {content.instance}: {len(content.objects)} objects with a number", err=True)
        for remark in content.remarks:
            typer.echo(f"device {content.instance}: {remark}", err=True)
    if not contents:
        raise ScanError(
            "No device was read: is the interface right, does its prefix reach the devices, is a --bbmd needed?"
        )
    profiles, devices = discovery.draft(contents)
    parts = [draft.HEAD, draft.table("line", settings)]
    parts += [draft.device(f"BACNET-{one.instance}", one.name, LINE, one.address, one.profile) for one in devices]
    write("".join(parts), profiles, out)


def _numbers(text: str) -> tuple[int, int]:
    if not text:
        return 0, INSTANCE_MAX
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(first) > int(last or first):
        raise ScanError(f"'{text}' is no range of device numbers; write it like 1000-1999")
    return int(first), min(int(last or first), INSTANCE_MAX)
