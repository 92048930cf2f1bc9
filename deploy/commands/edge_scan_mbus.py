"""``plantroom edge scan mbus``: which M-Bus meters answer on a line, as a draft."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import ValidationError

from deploy.commands.edge_scan_modbus import numbers
from deploy.commands.scan_draft import Out, ScanError, refuse_taken, write
from deploy.draft import HEAD
from drivers import catalogue
from drivers.mbus.profile import MbusProfile
from drivers.mbus.scan import Found, Scan
from edge_agent.clock import wall_clock
from rules.model.line import MbusLine, Serial

POLL_S = 60.0


def mbus(
    where: Annotated[str, typer.Argument(help="HOST:PORT or a serial port, e.g. 10.0.0.8:10001 or /dev/ttyUSB0.")],
    units: Annotated[str, typer.Option(help="Which primary addresses to try, e.g. 1-20.")] = "1-250",
    secondary: Annotated[bool, typer.Option("--secondary", help="Search by secondary addresses instead.")] = False,
    baud: Annotated[int, typer.Option(help="Of a serial port.")] = 2400,
    timeout: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for each address.")] = 0.5,
    out: Out = None,
) -> None:
    """Find M-Bus meters on a line.  Example: plantroom edge scan mbus 10.0.0.8:10001 --secondary --out draft.toml."""
    refuse_taken(out)
    line = _line(where, baud, timeout)
    loaded = [catalogue.load(name) for name in catalogue.names()]
    profiles = [profile for profile in loaded if isinstance(profile, MbusProfile)]
    found = asyncio.run(look_round(line, None if secondary else numbers(units), profiles))
    if not found:
        raise ScanError(f"No meter answers on {line.place}; try --secondary, another --baud or a longer --timeout")
    write(HEAD + draft(line, found), out)


async def look_round(line: MbusLine, units: Sequence[int] | None, profiles: Sequence[MbusProfile]) -> list[Found]:
    """Give the meters of a line; ``units`` None searches by secondary addresses."""
    scan, found = Scan(line, profiles, wall_clock), []
    try:
        async for one in scan.secondaries() if units is None else scan.primaries(units):
            typer.echo(_sentence(one), err=True)
            found.append(one)
    finally:
        await scan.close()
    return found


def _sentence(one: Found) -> str:
    fits = ", ".join(one.likely) or "none of the profiles"
    return f"address {one.address}: {one.maker or 'maker unknown'}, secondary {one.secondary or 'none'}; fits: {fits}"


def _line(where: str, baud: int, timeout_s: float) -> MbusLine:
    words: dict[str, object] = {"driver": "mbus", "code": "L-1", "gateway": "GATEWAY", "poll_s": POLL_S}
    try:
        if where.startswith("/"):
            end: dict[str, object] = {"serial": Serial.model_validate({"port": where, "baud": baud})}
        else:
            host, _, port = where.partition(":")
            end = {"host": host, "port": int(port)}
        return MbusLine.model_validate({**words, **end, "timeout_s": timeout_s})
    except (ValidationError, ValueError) as error:
        raise ScanError(f"'{where}' is no line; write it like 10.0.0.8:10001 or /dev/ttyUSB0") from error


def draft(line: MbusLine, found: Sequence[Found]) -> str:
    """Write line and meters as a part of a site file."""
    if line.serial is not None:
        end = f'[line.serial]\nport = "{line.serial.port}"\nbaud = {line.serial.baud}\n'
    else:
        end = f'host = "{line.host}"\nport = {line.port}\n'
    head = f'[[line]]\ncode = "{line.code}"\ngateway = "{line.gateway}"\ndriver = "mbus"\npoll_s = {POLL_S:g}\n{end}'
    return "\n".join([head, *(_device(number, one) for number, one in enumerate(found, 1))])


def _device(number: int, one: Found) -> str:
    return "\n".join(
        [
            f"# {_sentence(one)}",
            "[[device]]",
            f'code = "M-{number}"',
            'name_zh = "NAME"',
            'name_en = "NAME"',
            'line = "L-1"',
            f'address = "{one.address}"',
            f'profile = "{one.likely[0] if one.likely else "PROFILE"}"',
            'role = "main"',
            'space = "BUILDING"',
            "",
        ]
    )
