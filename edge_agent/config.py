"""What one gateway polls: the site file and the profiles, checked and joined into points."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from drivers import catalogue
from drivers.driver import Asked, Device
from drivers.profile import InvalidProfileError, Measure, Settable
from edge_agent import local
from edge_agent.local import Local
from edge_agent.retention import Retention
from rules.control.command import Allowance
from rules.model import quantity, site
from rules.model.line import AnyLine, SparkplugLine
from rules.model.point import Kind, Point
from rules.model.whereabouts import Whereabouts, located

SITE_FILE_BYTES_MAX = 4 * 1024 * 1024


class InvalidConfigError(ValueError):
    """The gateway cannot be run from this file; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class PolledLine:
    """One line and what hangs on it."""

    line: AnyLine
    devices: tuple[Device, ...]

    @property
    def code(self) -> str:
        """The line's own."""
        return self.line.code


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Everything that one gateway needs to know of its site."""

    site: str
    timezone: str
    gateway: str
    acknowledge: Literal["hub", "none"]
    spool_max_mb: int
    lines: tuple[PolledLine, ...]
    allowances: Mapping[str, Allowance]  # what may be set, by point
    spool_max_days: int = 366
    spool_when_full: Literal["refuse", "drop_oldest"] = "refuse"
    backfill_per_s: int = 10_000
    pushed: Literal["readings", "all"] = "readings"
    local: Local = field(default_factory=Local)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Devices of all lines."""
        return tuple(device for line in self.lines for device in line.devices)

    @property
    def retention(self) -> Retention:
        """What the spool keeps when it has more than it may."""
        loose = {p.point.code for d in self.devices for p in d.points if p.point.kind is not Kind.COUNTER}
        loose |= {point.code for point in self.local.points}
        return Retention(self.spool_max_mb, self.spool_max_days, self.spool_when_full, frozenset(loose))


def load(path: Path, gateway: str | None = None, beside: Path | None = None) -> EdgeConfig:
    """Read the site file for one gateway (the only one if not named); raises InvalidConfigError.

    ``beside`` is where the site's own profiles are, when that is not beside the file.
    """
    configs = {config.gateway: config for config in load_all(path, beside)}
    if gateway is None and len(configs) == 1:
        return next(iter(configs.values()))
    if gateway in configs:
        return configs[gateway]
    there = ", ".join(f"'{code}'" for code in configs) or "none"
    asked = f"has no gateway '{gateway}'" if gateway else "has more than one gateway; name one"
    raise InvalidConfigError([f"{path} {asked} (there is {there})."])


def load_all(path: Path, beside: Path | None = None) -> tuple[EdgeConfig, ...]:
    """Read the site file for every gateway in it; raises InvalidConfigError with all problems."""
    text = _text(path)
    file, devices = _read(path, text, beside or path.parent)
    if not file.gateway:
        raise InvalidConfigError([f"{path}: the file has no gateway; add a [[gateway]] with its code."])
    foreign = {line.gateway for line in file.line if isinstance(line, SparkplugLine)}
    problems = [*local.strays(file), *_mixed(file, foreign)]
    own = {one.code: local.build(file, one.code, devices, problems) for one in file.gateway}
    _refuse(path, text, problems)
    return tuple(
        EdgeConfig(
            site=file.site.code,
            timezone=file.site.timezone,
            gateway=gateway.code,
            acknowledge=gateway.acknowledge,
            spool_max_mb=gateway.spool_max_mb,
            lines=tuple(
                PolledLine(line, tuple(devices[d.code] for d in file.device if d.line == line.code))
                for line in file.line
                if line.gateway == gateway.code
            ),
            allowances=_allowances(file, gateway.code),
            spool_max_days=gateway.spool_max_days,
            spool_when_full=gateway.spool_when_full,
            backfill_per_s=gateway.backfill_per_s,
            pushed=gateway.pushed,
            local=own[gateway.code],
        )
        for gateway in file.gateway
        if gateway.code not in foreign
    )


def read(path: Path) -> tuple[site.SiteFile, dict[str, Device]]:
    """Read the site file, and its devices by code; raises InvalidConfigError with all problems."""
    return _read(path, _text(path), path.parent)


def _read(path: Path, text: str, beside: Path) -> tuple[site.SiteFile, dict[str, Device]]:
    try:
        file = site.parse(_toml(path, text))
    except site.InvalidSiteError as error:
        _refuse(path, text, error.problems)
        raise
    problems: list[str] = []
    timezone = file.site.timezone
    devices = {device.code: polled for device in file.device if (polled := _device(device, timezone, problems, beside))}
    problems += _disallowed(file, devices)
    _refuse(path, text, problems)
    return file, devices


def _mixed(file: site.SiteFile, foreign: Iterable[str]) -> Iterable[str]:
    for code in sorted(foreign):
        if any(line.gateway == code and not isinstance(line, SparkplugLine) for line in file.line):
            yield f"gateway '{code}' has lines of another maker's and of ours; give each a gateway of its own."


def _allowances(file: site.SiteFile, gateway: str) -> dict[str, Allowance]:
    ours = {line.code for line in file.line if line.gateway == gateway}
    devices = {device.code for device in file.device if device.line in ours}
    return {
        one.point: Allowance(one.low, one.high, timedelta(seconds=one.every_s), one.critical)
        for one in file.allowed
        if one.device in devices
    }


def _disallowed(file: site.SiteFile, devices: Mapping[str, Device]) -> Iterable[str]:
    """Give a sentence for each point that may be set by the file and not by the profile of its device."""
    latching = {rule.sign for rule in file.local_rule if rule.latch}
    for one in file.allowed:
        if one.device not in devices:
            continue  # its profile is at fault already
        if one.point in latching:
            if one.low != 0 or one.high != 0:
                yield f"allowed point '{one.point}' resets a local rule: it may be set to 0 alone."
            continue
        device = devices[one.device]
        asked = next((asked for asked in device.points if asked.measure == one.measure), None)
        measure = next((measure for measure in device.profile.measures if measure.name == one.measure), None)
        who = f"allowed point '{one.point}'"
        if asked is None or measure is None:
            yield f"{who}: {device.profile.title} does not measure '{one.measure}'."
        elif not isinstance(measure, Settable) or measure.writable is None:
            yield f"{who}: its profile '{device.profile.code}' does not name it writable, so it cannot be set."
        else:
            low, high = (float(limit * asked.factor) for limit in measure.writable)
            if not low <= one.low <= one.high <= high:
                within = f"{low:g} to {high:g} {asked.point.unit}".rstrip()
                yield f"{who} may be set from {one.low:g} to {one.high:g}, but its profile takes {within} only."


def _refuse(path: Path, text: str, problems: list[str]) -> None:
    """Raise InvalidConfigError for problems, each with its line."""
    if problems:
        places = Whereabouts(text)
        raise InvalidConfigError([f"{path}: {located(problem, places)}" for problem in problems])


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > SITE_FILE_BYTES_MAX:
            raise InvalidConfigError([f"{path} is larger than {SITE_FILE_BYTES_MAX} bytes; is it a site file?"])
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidConfigError([f"{path} does not exist; give the path of a site file."]) from None
    except OSError as error:
        raise InvalidConfigError([f"{path} cannot be read: {error.strerror}."]) from None
    except UnicodeDecodeError as error:
        raise InvalidConfigError([f"{path} is not UTF-8 text (byte {error.start})."]) from None


def _toml(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfigError([f"{path} is not valid TOML: {str(error).rstrip('.')}."]) from None


def _device(device: site.Device, timezone: str, problems: list[str], beside: Path) -> Device | None:
    try:
        profile = catalogue.load(device.profile, beside)
    except InvalidProfileError as error:
        problems.append(f"device '{device.code}': {error}.")
        return None
    measures = {measure.name for measure in profile.measures}
    problems.extend(
        f"device '{device.code}' gives a unit for '{name}', which {profile.title} does not measure."
        for name in device.units
        if name not in measures
    )
    points = [_point(device, measure, problems) for measure in profile.wanted(device.watch)]
    placed = tuple(point for point in points if point is not None)
    return Device(device.code, device.address, profile, placed, device.watch, timezone, device.serial)


def _point(device: site.Device, measure: Measure, problems: list[str]) -> Asked | None:
    point = Point(
        code=f"{device.code}.{measure.name}",
        device=device.code,
        measure=measure.name,
        kind=measure.kind,
        unit=measure.unit,
        resolution=measure.step,
        modulus=measure.modulus,
        deadband=measure.deadband,
    )
    try:
        return _in_unit(Asked(point, measure.name), device.units.get(measure.name, measure.unit))
    except ValueError as error:
        problems.append(f"device '{device.code}' {measure.name}: {error}.")
        return None


def _in_unit(asked: Asked, unit: str) -> Asked:
    """Read the point in the site's unit: another spelling, or a power of ten of the meter's (MWh for kWh).

    Anything else is refused: a factor that is not exact would change the last digit of a bill.
    """
    point = asked.point
    if unit == point.unit:
        return asked
    if not quantity.compatible(point.unit, unit):
        raise ValueError(f"the site says '{unit}', but the meter has '{point.unit}'; correct the unit")
    offset = quantity.convert(0.0, point.unit, unit)
    factor = Decimal(repr(quantity.convert(1.0, point.unit, unit))).normalize()
    if offset != 0.0 or factor.as_tuple().digits != (1,):
        raise ValueError(
            f"the site says '{unit}', the meter has '{point.unit}', and one is no exact step of the other; "
            f"write '{point.unit}'"
        )
    if factor == 1:  # only another spelling: the meter's own is kept
        return asked
    scaled = replace(
        point,
        unit=unit,
        resolution=point.resolution * factor,
        modulus=None if point.modulus is None else point.modulus * factor,
        deadband=float(Decimal(repr(point.deadband)) * factor),
    )
    return Asked(scaled, asked.measure, factor)
