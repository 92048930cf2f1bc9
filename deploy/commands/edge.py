"""``plantroom edge``: the gateway's program, and its looks at a site before it runs."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from deploy import foreground, metrics
from deploy.commands import (
    edge_certificate,
    edge_ede,
    edge_scan,
    edge_scan_bacnet,
    edge_scan_mbus,
    edge_scan_modbus,
    edge_scan_opcua,
)
from deploy.commands.options import AsJson, Data, SitePath
from deploy.embedded import broker as opened_broker
from deploy.settings import read as read_settings
from drivers.errors import DriverError
from edge_agent import agent, check, commission, nameplate
from edge_agent.config import load
from edge_agent.publisher import Broker
from rules.meter.look import Look

app = typer.Typer(help="The edge agent: poll devices and publish what they say.", no_args_is_help=True)
app.add_typer(edge_scan.app, name="scan")
edge_scan.app.command("opcua")(edge_scan_opcua.opcua)
app.command("certificate")(edge_certificate.certificate)
edge_scan.app.command("bacnet")(edge_scan_bacnet.bacnet)
app.command("import-ede")(edge_ede.import_ede)
edge_scan.app.command("modbus")(edge_scan_modbus.modbus)
edge_scan.app.command("mbus")(edge_scan_mbus.mbus)


@app.command()
def run(
    site: SitePath,
    gateway: Annotated[str | None, typer.Option(help="Which gateway of the site; needed when it has several.")] = None,
    backfill: Annotated[Path | None, typer.Option(help="CSV of a data logger to send first, once.")] = None,
    data: Data = None,
) -> None:
    """Poll the gateway's devices until stopped.  Example: plantroom edge run deploy/sites/riverside.toml."""
    settings = read_settings(data=data)
    config = load(site, gateway)
    with opened_broker(settings) as address:
        who = (address.username, address.password)
        broker = Broker(address.host, address.port, *who, address.ca, address.certificate, address.key)
        figures = metrics.served(settings)
        foreground.run(agent.run(config, broker, settings.data / "edge", backfill=backfill, site=site, metrics=figures))


@app.command("check")
def check_site(site: SitePath) -> None:
    """Check a site file and try each device once.  Example: plantroom edge check deploy/sites/riverside.toml."""
    report = asyncio.run(check.check(site))
    for line in report.lines:
        typer.echo(line)
    for problem in report.problems:
        typer.echo(problem, err=True)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def read(site: SitePath, as_json: AsJson = False) -> None:
    """Read every point once.  Example: plantroom edge read deploy/sites/riverside.toml --json."""
    if as_json:
        typer.echo(json.dumps(asyncio.run(check.read(site)), ensure_ascii=False, indent=1))
        return
    for one in asyncio.run(check.ask(site)):
        typer.echo(check.shown(*one))
    for device, said in asyncio.run(nameplate.read(site)).items():
        typer.echo(nameplate.sentence(device, said))


@app.command("commission")
def look_at_meters(
    site: SitePath,
    by: Annotated[str, typer.Option(help="Who stands before the meters; the record bears this name.")],
    point: Annotated[list[str] | None, typer.Option(help="Only these counters; all when none is named.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Only print the record.")] = False,
    data: Data = None,
) -> None:
    """Compare meter faces with the platform and sign.  Example: plantroom edge commission SITE --by li.wei."""
    wanted = commission.counters(site, point or ())
    path = read_settings(data=data).data / "edge" / f"commission-{wanted.site}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    looks = commission.load(path)
    for one in () if report else wanted.counters:
        look = _look(one, looks, by)
        if look is not None:
            looks.append(look)
            commission.save(path, looks)
    for said in commission.report(wanted, looks):
        typer.echo(said)


def _look(one: commission.Counter, looks: list[Look], by: str) -> Look | None:
    """Ask for one face; None where it was skipped or could not be compared."""
    code, unit = one.asked.point.code, one.asked.point.unit
    try:
        before = asyncio.run(commission.ask(one))
        typed = typer.prompt(f"{code}: what does the face show, in {unit} (- to skip)")
        if typed.strip() == "-":
            return None
        face, after = commission.figure(typed), asyncio.run(commission.ask(one))
    except (DriverError, commission.CommissionError) as error:
        typer.echo(f"  {error}", err=True)
        return None
    earlier = next((look for look in reversed(looks) if look.point == code), None)
    look = commission.judge(one, face, (before, after), earlier, by)
    verdict = "agrees" if look.agrees else "DIFFERS"
    typer.echo(f"  the platform shows {look.shown or 'nothing'}: {verdict}{f' - {look.said}' if look.said else ''}")
    return look
