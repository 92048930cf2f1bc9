"""Which devices and points stand behind the names on the wire; remembered for a while, by committed batches only."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from hub.ingest.acts import Birth, Spec
from hub.ingest.line import Line
from hub.ingest.rows import Device, PointOf
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)
POINTS_PER_DEVICE_MAX = 2_000  # beyond this a gateway invents names; what it says under them is quarantined
REMEMBER = timedelta(minutes=1)
NOTHING: Mapping[str, int] = MappingProxyType({})

DeviceKey = tuple[UUID, str]  # gateway, device code


@dataclass(slots=True)
class Directory:
    """Devices by (gateway, code), and the points of each device by measure."""

    filled_at: datetime
    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    points: dict[UUID, dict[str, int]] = field(default_factory=dict)
    unsettled: dict[UUID, dict[str, str]] = field(default_factory=dict)  # measure -> the unit that its point has
    births: dict[UUID, Birth] = field(default_factory=dict)  # the birth that the points of a device were made by

    def copy(self, now: datetime) -> "Directory":
        """Give a directory to work on; an empty one when this has been remembered for long enough."""
        if not timedelta(0) <= now - self.filled_at < REMEMBER:
            return Directory(now)
        return Directory(self.filled_at, dict(self.devices), dict(self.points), dict(self.unsettled), dict(self.births))

    async def look_up(self, tx: Transaction, wanted: Iterable[tuple[Line, Birth]]) -> None:
        """Find the devices, and make the points that their births declare."""
        last = {(line.id, birth.device): birth for line, birth in wanted}
        await self._find_devices(tx, [key for key in last if key not in self.devices])
        news = {
            self.devices[key].id: (self.devices[key], birth)
            for key, birth in last.items()
            if key in self.devices and self.births.get(self.devices[key].id) is not birth
        }
        if news:
            await self._make_points(tx, news)

    def points_of(self, gateway: UUID, device: str) -> Mapping[str, int] | None:
        """Give the points of a device by measure; None for a device that is not registered there."""
        found = self.devices.get((gateway, device))
        return None if found is None else self.points.get(found.id, NOTHING)

    async def _find_devices(self, tx: Transaction, keys: list[DeviceKey]) -> None:
        if keys:
            asked = {"gateways": [gateway for gateway, _ in keys], "codes": [code for _, code in keys]}
            for device in await tx.all(Device, SQL["devices"], asked):
                self.devices[device.gateway_id, device.code] = device

    async def _make_points(self, tx: Transaction, news: Mapping[UUID, tuple[Device, Birth]]) -> None:
        known: dict[UUID, dict[str, PointOf]] = {device_id: {} for device_id in news}
        await self._read(tx, known)
        rows = [
            _point(device, spec)
            for device, birth in news.values()
            for spec in _admitted(birth, known[device.id])
            if _differs(spec, known[device.id].get(spec.measure))
        ]
        rows.sort(key=lambda row: str(row["code"]))  # one order for all writers
        if rows:
            await tx.run_many(SQL["put_point"], rows)
            await self._read(tx, known)
        for device_id, (_, birth) in news.items():
            self.births[device_id] = birth
            self.points[device_id], self.unsettled[device_id] = {}, {}
            for measure, point in known[device_id].items():
                spec = birth.specs.get(measure)
                if spec is not None and spec.declared and spec.unit != point.unit:
                    self.unsettled[device_id][measure] = point.unit
                else:
                    self.points[device_id][measure] = point.id

    async def _read(self, tx: Transaction, known: dict[UUID, dict[str, PointOf]]) -> None:
        for point in await tx.all(PointOf, SQL["points"], {"devices": list(known)}):
            known[point.device_id][point.measure] = point


def _differs(spec: Spec, point: PointOf | None) -> bool:
    """Whether a birth says something new of a point."""
    if point is None:
        return True
    said = (spec.kind.value, spec.unit, spec.resolution, spec.modulus)
    return spec.declared and said != (point.kind, point.unit, point.resolution, point.modulus)


def _admitted(birth: Birth, known: Collection[str]) -> list[Spec]:
    """Give the specs of points that are known, and of as many new ones as the limit leaves room for."""
    new = [spec for spec in birth.specs.values() if spec.measure not in known]
    room = max(0, POINTS_PER_DEVICE_MAX - len(known))
    return [spec for spec in birth.specs.values() if spec.measure in known] + new[:room]


def _point(device: Device, spec: Spec) -> dict[str, object]:
    return {
        "organisation": device.organisation_id,
        "site": device.site_id,
        "device": device.id,
        "code": f"{device.code}.{spec.measure}",
        "measure": spec.measure,
        "kind": spec.kind.value,
        "unit": spec.unit,
        "resolution": spec.resolution,
        "modulus": spec.modulus,
        "declared": spec.declared,
    }
