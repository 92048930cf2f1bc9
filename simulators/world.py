"""The seeded world: weather, people and loads, and what every meter of a site counts because of them.

Pure: the same (site, seed, instant) gives the same numbers in every process, with no state kept.  Truth is counted
in whole steps (0.01 kWh, 0.001 m³); a meter upstream counts exactly what the meters below it count, plus its
loss, plus what it feeds itself:

    truth(meter) = sum of truth(children) + loss(meter) + own(meter)
"""

import math
from datetime import datetime
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from rules.model.site import Commodity, Device, Role, SiteFile
from simulators import load, plant, weather
from simulators.course import Course
from simulators.node import QUARTERS_PER_HOUR, TRUE_STEP, Node, commodity_of
from simulators.noise import Counts, Numbers, between, key
from simulators.sheet import SHEETS, Sheet
from simulators.worldtime import BLOCK, QUARTER_MS, LocalTime, local_block, milliseconds

LOSS_PPM = (10_000, 20_000)  # 1 to 2 % of what flows through
DEFAULT_AREA_M2 = 200.0
WATCHING = ("onvif", "osdp")  # drivers whose devices show what is done before them, and take no faults
FOREIGN = "sparkplug"  # gateways of other makers have devices of their own


class UnfitSiteError(ValueError):
    """The simulated world cannot be built from this site."""


def measuring(site: SiteFile) -> tuple[Device, ...]:
    """Give the devices that show the world: all but those of ``simulators.scene``; a camera shows its hall."""
    others = {line.code for line in site.line if line.driver in (*WATCHING, FOREIGN)}
    return tuple(device for device in site.device if device.line not in others)


class World:
    """All meters and plant of one site; raises UnfitSiteError with one sentence for a site that it cannot act."""

    def __init__(self, site: SiteFile, seed: int) -> None:
        self.seed = seed
        self.zone = ZoneInfo(site.site.timezone)
        self.devices = {device.code: device for device in measuring(site)}
        self._areas = _areas(site)
        self._skies: dict[int, tuple[LocalTime, Numbers]] = {}
        self._nodes: dict[str, Node] = {}
        for device in self.devices.values():
            if self.sheet(device.code).counter:
                self._grow(device, ())

    def sheet(self, device: str) -> Sheet:
        """Give the data sheet of a device; raises UnfitSiteError."""
        profile = self.devices[device].profile
        if profile not in SHEETS:
            raise UnfitSiteError(f"device '{device}' is a '{profile}', for which no simulator has a data sheet")
        return SHEETS[profile]

    @property
    def meters(self) -> tuple[str, ...]:
        """The devices that count, in the order of the site file."""
        return tuple(code for code in self.devices if code in self._nodes)

    def children(self, device: str) -> tuple[str, ...]:
        """Give the meters directly below a meter."""
        return tuple(child.device.code for child in self._nodes[device].children)

    def truth(self, device: str, at: datetime) -> int:
        """Give the true steps (0.01 kWh or 0.001 m³) that went through a meter since the epoch."""
        return self._nodes[device].truth(milliseconds(at))

    def own(self, device: str, at: datetime) -> int:
        """Give the true steps that a meter fed past its children: its tenant's or the common load."""
        return self._nodes[device].fed(milliseconds(at))

    def loss(self, device: str, at: datetime) -> int:
        """Give the true steps lost between a meter and its children."""
        node = self._nodes[device]
        return node.lost(node.through(milliseconds(at)))

    def count(self, device: str, at: datetime) -> int:
        """Give what the face would show, in counts, had it enough digits; never goes back."""
        node = self._nodes[device]
        return node.start + node.truth(milliseconds(at)) // node.ratio

    def face(self, device: str, at: datetime) -> int:
        """Give what the face shows, in counts of the register's step."""
        return self.count(device, at) % self._nodes[device].register.modulus

    def counts(self, device: str, first: int, past: int) -> Counts:
        """Give ``count`` at the starts of the quarter hours ``first`` to ``past`` (excluded) of the world."""
        node = self._nodes[device]
        return node.start + node.truths(first, past) // node.ratio

    def true_consumption(self, device: str, start: datetime, end: datetime) -> Decimal:
        """Give kWh or m³ between two instants as the face counts them, multiplied out, exact."""
        node = self._nodes[device]
        counted = self.count(device, end) - self.count(device, start)
        return counted * node.register.step * node.device.multiplier

    def values(self, device: str, at: datetime, setpoint: plant.SetPoint | None = None) -> dict[str, float]:
        """Give every level and state that a device shows, by measure; the face, not multiplied out."""
        node = self._nodes.get(device)
        if node is None and self.sheet(device).named("leak"):
            return plant.leak_values(setpoint)
        if node is None:
            return plant.values(key(self.seed, device), at, self.outdoor(at), setpoint)
        return node.levels(milliseconds(at))

    def outdoor(self, at: datetime) -> float:
        """Give the outdoor temperature in °C, smooth within the quarter hours."""
        quarter, rest = divmod(milliseconds(at), QUARTER_MS)
        before, after = self._outdoor_at(quarter), self._outdoor_at(quarter + 1)
        return before + (after - before) * rest / QUARTER_MS

    def _outdoor_at(self, quarter: int) -> float:
        block, index = divmod(quarter, BLOCK)
        return float(self._sky(block)[1][index])

    def _sky(self, block: int) -> tuple[LocalTime, Numbers]:
        if block not in self._skies:
            time = local_block(block, self.zone)
            self._skies[block] = (time, weather.outdoor(self.seed, time))
        return self._skies[block]

    def _grow(self, device: Device, below: tuple[str, ...]) -> Node:
        """Build a meter after the meters below it; raises UnfitSiteError when the tree bites its tail."""
        if device.code in below:
            raise UnfitSiteError(f"the parents of meter '{device.code}' run in a circle; give one of them another")
        if device.code not in self._nodes:
            feeds = [d for d in self.devices.values() if d.parent == device.code and self.sheet(d.code).counter]
            children = tuple(self._grow(child, (*below, device.code)) for child in feeds)
            self._nodes[device.code] = self._node(device, children)
        return self._nodes[device.code]

    def _node(self, device: Device, children: tuple[Node, ...]) -> Node:
        register = self.sheet(device.code).counter
        assert register is not None
        commodity = commodity_of(register)
        counted = register.step * device.multiplier
        ratio, odd = divmod(counted, TRUE_STEP[commodity])
        if odd:
            raise UnfitSiteError(
                f"meter '{device.code}' counts {counted} at a time, which is no whole multiple of "
                f"{TRUE_STEP[commodity]}; correct its multiplier"
            )
        strange = [c.device.code for c in children if commodity_of(c.register) is not commodity]
        if strange:
            raise UnfitSiteError(
                f"meter '{strange[0]}' does not count {commodity} as its parent '{device.code}' does; "
                "give it another parent"
            )
        grain = 1 if children else int(ratio)
        stream = key(self.seed, device.code)
        return Node(
            device=device,
            register=register,
            ratio=int(ratio),
            grain=grain,
            own=Course(partial(self._rates, device, commodity, grain, _use(device, commodity, children))),
            children=children,
            loss_ppm=int(between(stream, *LOSS_PPM)),
            start=int(between(stream, 0, register.modulus, 1)),
            phase=between(stream, 0, math.tau, 2),
        )

    def _rates(self, device: Device, commodity: Commodity, grain: int, use: load.Use, block: int) -> Numbers:
        """Give what a device's own load takes in each quarter hour of a block, in grains."""
        time, outdoor = self._sky(block)
        area = sum(self._areas.get(place, 0.0) for place in device.serves or (device.space,)) or DEFAULT_AREA_M2
        if commodity is Commodity.WATER:
            hourly = load.water_m3h(use, area, time)
        else:
            hourly = load.electricity_kw(use, area, time, outdoor)
        per_grain = QUARTERS_PER_HOUR * grain * float(TRUE_STEP[commodity])
        return hourly * load.scatter(self.seed, device.code, block) / per_grain


def _areas(site: SiteFile) -> dict[str, float]:
    """Give the area in m² of every unit, floor and building."""
    buildings = {floor.code: building.code for building in site.building for floor in building.floors}
    areas: dict[str, float] = {}
    for unit in site.unit:
        for place in (unit.code, unit.floor, buildings[unit.floor]):
            areas[place] = areas.get(place, 0.0) + float(unit.area_m2)
    return areas


def _use(device: Device, commodity: Commodity, children: tuple[Node, ...]) -> load.Use:
    """Give what a device feeds past its children: a tenant, corridors, or the common services."""
    if device.role is Role.TENANT:
        return load.use_named(device.name_en)
    if children and commodity is Commodity.ELECTRICITY:
        return load.USES["corridor"]
    return load.USES["common"]
