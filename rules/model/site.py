"""The site file: what is there (places, gateways, devices) and who is in it (tenants, leases).

One TOML file per site (``deploy/sites/*.toml``).  The edge takes its gateways, lines and devices from it, the
hub registers everything.  Unknown keys are refused; after ``parse`` nothing is optional but what says so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from rules.model.line import Line, address_fault
from rules.model.local import Derived, Interlock, LocalRule
from rules.model.part import Code, Name, Named, Part
from rules.model.virtual import VirtualMeter, faults
from rules.model.watch import Watch

SETTING_PAUSE_S_MAX = 86_400  # a gateway remembers its commands for a day
SHOWN_CHARACTERS_MAX = 80  # of what stands in the file, in a sentence about it


class Organisation(Named):
    """Who owns the site."""


class Site(Named):
    """The park itself."""

    timezone: str
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    latitude: float = 0.0
    longitude: float = 0.0
    bill_trusted_only: bool = False  # a lease with a meter that was not commissioned is parked instead of billed

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"'{value}' is not a time zone; write it like Asia/Shanghai") from error
        return value


class Floor(Named):
    """One storey of a building."""


class Building(Named):
    """One building with its floors, lowest first."""

    floors: tuple[Floor, ...]


class Zone(Named):
    """A part of the site that cameras and doors watch; what is seen in a sensitive one is for few people."""

    building: Code | None = None
    sensitive: bool = False


class Unit(Part):
    """One lettable unit (a room or a suite)."""

    code: Code
    floor: Code
    area_m2: Annotated[Decimal, Field(gt=0, decimal_places=2)]


class Gateway(Part):
    """One gateway: the process that polls some lines and owns one spool.

    What the spool keeps while the hub is away: at most ``spool_max_mb``; what counts nothing goes first, oldest first,
    and after ``spool_max_days`` in any case.  When only counters and badge events are left, ``spool_when_full`` says
    whether new ones are refused or the oldest dropped.  ``backfill_per_s`` readings a second go out of what has waited.
    ``pushed`` counts in the gateway's own file alone: whether a file of the hub may change only what is read, or also
    what is set, local rules, interlocks and lines with passwords ("all").
    """

    code: Code
    acknowledge: Literal["hub", "none"] = "hub"
    spool_max_mb: Annotated[int, Field(ge=1, le=65536)] = 512
    spool_max_days: Annotated[int, Field(ge=1, le=3660)] = 366
    spool_when_full: Literal["refuse", "drop_oldest"] = "refuse"
    backfill_per_s: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    pushed: Literal["readings", "all"] = "readings"


class Commodity(StrEnum):
    """What a meter counts."""

    ELECTRICITY = "electricity"
    WATER = "water"


class Role(StrEnum):
    """Where a device stands in the meter tree, or that it is plant."""

    MAIN = "main"
    FLOOR = "floor"
    TENANT = "tenant"
    COMMON = "common"
    PLANT = "plant"


class Device(Named):
    """One meter or controller on a line.

    ``space`` is where it hangs (building, floor or unit), ``serves`` the units that a tenant meter measures,
    ``parent`` the meter upstream, ``multiplier`` the CT/PT ratio between meter face and consumption, ``hourly_max`` the
    most that it can count in an hour, multiplied (its rated power, for kWh): what is faster is no consumption,
    ``units`` the unit per measure where the site expects another spelling than the profile, ``zone`` what a camera or
    a door watches, ``watch`` what a camera looks out for, ``serial`` what stands on the device: another in its place is
    told of.
    """

    line: Code
    address: Annotated[str, Field(max_length=80)] = ""  # as the line's protocol has it: rules.model.line
    profile: Code
    role: Role
    space: Code
    commodity: Commodity | None = None
    parent: Code | None = None
    serves: tuple[Code, ...] = ()
    multiplier: Annotated[Decimal, Field(gt=0, decimal_places=4)] = Decimal(1)
    hourly_max: Annotated[Decimal, Field(gt=0, lt=10**9, decimal_places=4)] | None = None
    units: Mapping[str, str] = Field(default_factory=dict)
    zone: Code | None = None
    watch: Watch | None = None
    serial: Annotated[str, Field(max_length=64)] = ""

    @field_validator("address", "serial", mode="before")
    @classmethod
    def _number_or_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Allowed(Part):
    """A point that may be set from the centre, in its unit; ``every_s`` is the shortest time between two commands.

    A critical one needs a reason and the consent of a second person.
    """

    point: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.[a-z][a-z0-9_]*$", max_length=110)]
    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    every_s: Annotated[float, Field(ge=1, le=SETTING_PAUSE_S_MAX)] = 1.0
    critical: bool = False

    @property
    def device(self) -> str:
        """The device's code."""
        return self.point.rpartition(".")[0]

    @property
    def measure(self) -> str:
        """What of the device is set."""
        return self.point.rpartition(".")[2]

    @model_validator(mode="after")
    def _upward(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"'{self.point}' may be set from {self.low:g} down to {self.high:g}; exchange the two")
        return self


class Technician(Part):
    """Somebody who can be sent: skills and the buildings that he serves."""

    login: Code
    name: Name
    skills: tuple[Code, ...]
    zones: tuple[Code, ...]


class Tenant(Named):
    """A party that leases."""

    tax_number: str = ""
    address: str = ""


class Lease(Part):
    """A lease: units, term, rent and the tariffs for what its meters count."""

    code: Code
    tenant: Code
    units: Annotated[tuple[Code, ...], Field(min_length=1)]
    start: date
    end: date  # last day of the term
    rent_per_m2_month: Annotated[Decimal, Field(ge=0, decimal_places=4)]
    rent_tax: Code = "vat-lease-9"
    electricity_tariff: Code | None = None
    water_tariff: Code | None = None
    due_days: Annotated[int, Field(ge=0, le=365)] = 15


class SiteFile(Part):
    """Everything in one site file."""

    organisation: Organisation
    site: Site
    building: tuple[Building, ...]
    unit: tuple[Unit, ...] = ()
    zone: tuple[Zone, ...] = ()
    gateway: tuple[Gateway, ...] = ()
    line: tuple[Line, ...] = ()
    device: tuple[Device, ...] = ()
    virtual_meter: tuple[VirtualMeter, ...] = ()
    allowed: tuple[Allowed, ...] = ()
    derived: tuple[Derived, ...] = ()
    local_rule: tuple[LocalRule, ...] = ()
    interlock: tuple[Interlock, ...] = ()
    technician: tuple[Technician, ...] = ()
    tenant: tuple[Tenant, ...] = ()
    lease: tuple[Lease, ...] = ()


class InvalidSiteError(ValueError):
    """The site file cannot be used; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse(data: Mapping[str, Any]) -> SiteFile:
    """Check a decoded site file; raises InvalidSiteError with a sentence for every problem."""
    try:
        site = SiteFile.model_validate(data)
    except ValidationError as error:
        found = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a misspelt key explains more
        raise InvalidSiteError([_sentence(dict(e), data) for e in found]) from None
    problems = [*_duplicates(site), *_dangling(site)]
    if problems:
        raise InvalidSiteError(problems)
    return site


def _where(path: tuple[int | str, ...], data: Any) -> str:
    """Name a place in the file by codes, as a person would: device 'EM-1', key 'addres'."""
    words: list[str] = []
    here = data
    for step in path:
        if isinstance(here, Mapping) and step not in here and step == here.get("driver"):
            continue  # pydantic names the kind of line that it took the table for
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            here = None
        if isinstance(step, int):
            code = here.get("code") or here.get("login") or here.get("point") if isinstance(here, Mapping) else None
            words.append(f"'{code}'" if code else f"no. {step + 1}")
        else:
            words.append(step)
    return " ".join(words)


_SAYINGS: dict[str, str] = {
    "extra_forbidden": "is not a known key; remove it or correct its spelling",
    "missing": "is missing; add it",
    "union_tag_not_found": "names no driver; add one",
    "union_tag_invalid": "has a driver '{tag}' that there is not; there are {expected_tags}",
}


def _sentence(error: Mapping[str, Any], data: Any) -> str:
    where = _where(tuple(error["loc"]), data)
    said = _SAYINGS.get(error["type"])
    if said:
        return f"{where} {said.format(**error.get('ctx', {}))}."
    message = str(error["msg"]).removeprefix("Value error, ")
    found = "" if isinstance(error["input"], Mapping) else f", but the file has {_short(repr(error['input']))}"
    return f"{where}: {message[0].lower()}{message[1:]}{found}."


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]} ..."


def _duplicates(site: SiteFile) -> Iterable[str]:
    kinds: list[tuple[str, list[str]]] = [
        (
            "building, floor or unit",
            [place.code for b in site.building for place in (b, *b.floors)] + [u.code for u in site.unit],
        ),
        ("zone", [zone.code for zone in site.zone]),
        ("gateway", [g.code for g in site.gateway]),
        ("line", [line.code for line in site.line]),
        ("device", [d.code for d in site.device]),
        ("virtual meter", [v.code for v in site.virtual_meter]),
        ("allowed point", [one.point for one in site.allowed]),
        ("technician", [t.login for t in site.technician]),
        ("tenant", [t.code for t in site.tenant]),
        ("lease", [lease.code for lease in site.lease]),
    ]
    for kind, codes in kinds:
        for code in sorted(code for code, times in Counter(codes).items() if times > 1):
            yield f"{kind} '{code}' stands more than once in the file; codes are unique."
    seen: dict[tuple[str, str], str] = {}
    unaddressed = {line.code for line in site.line if line.driver == "sparkplug"}
    for device in (device for device in site.device if device.line not in unaddressed):
        other = seen.setdefault((device.line, device.address), device.code)
        if other != device.code:
            yield (
                f"device '{device.code}' has address {device.address} on line '{device.line}', "
                f"which '{other}' already has; give each its own address."
            )


def _dangling(site: SiteFile) -> Iterable[str]:
    floors = {f.code for b in site.building for f in b.floors}
    units = {u.code for u in site.unit}
    spaces = floors | units | {b.code for b in site.building}
    lines = {line.code for line in site.line}
    devices = {d.code for d in site.device}
    gateways = {g.code for g in site.gateway}
    tenants = {t.code for t in site.tenant}
    buildings = {b.code for b in site.building}
    zones = {z.code for z in site.zone}
    missing: list[tuple[str, str, Iterable[str], set[str], str]] = [
        *(("unit", u.code, (u.floor,), floors, "floor") for u in site.unit),
        *(("zone", z.code, (z.building,) if z.building else (), buildings, "building") for z in site.zone),
        *(("line", line.code, (line.gateway,), gateways, "gateway") for line in site.line),
        *(("device", d.code, (d.line,), lines, "line") for d in site.device),
        *(("device", d.code, (d.space,), spaces, "space") for d in site.device),
        *(("device", d.code, (d.parent,) if d.parent else (), devices, "device") for d in site.device),
        *(("device", d.code, d.serves, units, "unit") for d in site.device),
        *(("device", d.code, (d.zone,) if d.zone else (), zones, "zone") for d in site.device),
        *(("allowed point", a.point, (a.device,), devices, "device") for a in site.allowed),
        *(("technician", t.login, t.zones, buildings, "building") for t in site.technician),
        *(("lease", lease.code, lease.units, units, "unit") for lease in site.lease),
        *(("lease", lease.code, (lease.tenant,), tenants, "tenant") for lease in site.lease),
    ]
    for kind, code, wanted, known, of in missing:
        for name in wanted:
            if name not in known:
                yield f"{kind} '{code}' names {of} '{name}', which the file does not have."
    yield from _misaddressed(site)
    yield from _reversed(site)
    yield from faults(site.virtual_meter, {device.code: device.commodity for device in site.device})


def _misaddressed(site: SiteFile) -> Iterable[str]:
    lines = {line.code: line for line in site.line}
    for device in site.device:
        form = address_fault(lines[device.line], device.address) if device.line in lines else ""
        if form:
            said = f"its address on line '{device.line}' is {form}, but the file has '{device.address}'"
            yield f"device '{device.code}': {said}."
        if device.watch is not None and device.line in lines and lines[device.line].driver != "camera":
            yield f"device '{device.code}' has a watch, but line '{device.line}' is no camera; take the watch out."


def _reversed(site: SiteFile) -> Iterable[str]:
    for lease in site.lease:
        if lease.end < lease.start:
            yield f"lease '{lease.code}' ends on {lease.end}, before it starts on {lease.start}."
