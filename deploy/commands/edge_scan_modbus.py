"""``plantroom edge scan modbus``: which units answer on a line, as a draft."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import ValidationError

from deploy.commands.scan_draft import Out, ScanError, refuse_taken, write
from deploy.draft import HEAD
from drivers import catalogue
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.scan import Found, scan
from edge_agent.clock import wall_clock
from rules.model.line import ModbusLine, Serial

PORT, POLL_S = 502, 10.0
UNIT_MAX = 255
PARK = "rs-"  # the simulated park's own models: proposed where nothing else fits


def modbus(
    where: Annotated[str, typer.Argument(help="HOST, HOST:PORT or a serial port, e.g. 10.0.0.7:502 or /dev/ttyUSB0.")],
    units: Annotated[str, typer.Option(help="Which addresses to try, e.g. 1-20 or 1,5,9.")] = "1-20",
    rtu: Annotated[bool, typer.Option("--rtu", help="RTU frames through TCP.")] = False,
    baud: Annotated[int, typer.Option(help="Of a serial port.")] = 9600,
    parity: Annotated[str, typer.Option(help="Of a serial port: N, E or O.")] = "E",
    timeout: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for each address.")] = 0.5,
    out: Out = None,
) -> None:
    """Find Modbus devices on a line.  Example: plantroom edge scan modbus 10.0.0.7 --units 1-20 --out draft.toml."""
    refuse_taken(out)
    line = _line(where, baud, parity, timeout, rtu=rtu)
    loaded = [catalogue.load(name) for name in catalogue.names()]
    profiles = [profile for profile in loaded if isinstance(profile, ModbusProfile)]
    profiles.sort(key=lambda profile: profile.code.startswith(PARK))
    found = asyncio.run(_found(line, numbers(units), profiles))
    if not found:
        raise ScanError(
            f"None of the addresses {units} answers on {line.place}; try others, --rtu, or another baud rate"
        )
    write(HEAD + _draft(line, found), out)


async def _found(line: ModbusLine, units: Sequence[int], profiles: Sequence[ModbusProfile]) -> list[Found]:
    found = []
    async for one in scan(line, units, profiles, wall_clock):
        typer.echo(_sentence(one), err=True)
        found.append(one)
    return found


def _sentence(one: Found) -> str:
    identity = ", ".join(f"{name} {said}" for name, said in one.identity.items()) or "does not say what it is"
    fits = ", ".join(likely.profile.code for likely in one.likely) or "none of the profiles"
    return f"address {one.unit}: {identity}; fits: {fits}"


def _line(where: str, baud: int, parity: str, timeout_s: float, *, rtu: bool) -> ModbusLine:
    words: dict[str, object] = {"driver": "modbus", "code": "L-1", "gateway": "GATEWAY", "poll_s": POLL_S}
    try:
        if where.startswith("/"):
            serial = Serial.model_validate({"port": where, "baud": baud, "parity": parity})
            return ModbusLine.model_validate({**words, "timeout_s": timeout_s, "serial": serial})
        host, _, port = where.partition(":")
        framing = "rtu" if rtu else None
        end = {"host": host, "port": int(port or PORT), "framing": framing}
        return ModbusLine.model_validate({**words, **end, "timeout_s": timeout_s})
    except (ValidationError, ValueError) as error:
        raise ScanError(f"'{where}' is no line; write it like 10.0.0.7:502 or /dev/ttyUSB0") from error


def numbers(units: str) -> list[int]:
    """Read addresses as people write them; raises ScanError."""
    spans = [re.fullmatch(r"\s*(\d{1,3})(?:-(\d{1,3}))?\s*", part) for part in units.split(",")]
    found = [n for span in spans if span for n in range(int(span[1]), int(span[2] or span[1]) + 1)]
    if None in spans or not found or max(found) > UNIT_MAX:
        raise ScanError(f"'{units}' names no addresses; write them like 1-20 or 1,5,9, up to {UNIT_MAX}")
    return sorted(set(found))


def _draft(line: ModbusLine, found: Sequence[Found]) -> str:
    if line.serial is not None:
        end = (
            f'[line.serial]\nport = "{line.serial.port}"\nbaud = {line.serial.baud}\nparity = "{line.serial.parity}"\n'
        )
    else:
        framing = '\nframing = "rtu"' if line.rtu else ""
        end = f'host = "{line.host}"\nport = {line.port}{framing}\n'
    head = f'[[line]]\ncode = "{line.code}"\ngateway = "{line.gateway}"\ndriver = "modbus"\npoll_s = {POLL_S:g}\n{end}'
    return "\n".join([head, *map(_device, found)])


def _device(one: Found) -> str:
    best = one.likely[0] if one.likely else None
    others = ", ".join(likely.profile.code for likely in one.likely[1:])
    comments = [f"# {_sentence(one)}", *([f"# or: {others}"] if others else [])]
    serial = best.plate.get("serial", "") if best else ""
    lines = [
        *comments,
        "[[device]]",
        f'code = "M-{one.unit}"',
        'name_zh = "NAME"',
        'name_en = "NAME"',
        'line = "L-1"',
        f"address = {one.unit}",
        f'profile = "{best.profile.code if best else "PROFILE"}"',
        *([f'serial = "{serial}"'] if serial and '"' not in serial and "\\" not in serial else []),
        'role = "main"',
        'space = "BUILDING"',
        "",
    ]
    return "\n".join(lines)
