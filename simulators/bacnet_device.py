"""Controllers and meters as BACnet/IP devices: each its own port on loopback, its objects shown from the world.

What is told by itself (changes of value) is looked at four times a second; what is asked, when it is asked.
"""

import asyncio
import contextlib
import logging
import math
import random
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bacpypes3.app import Application
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.basetypes import PriorityValue, Reliability, Segmentation
from bacpypes3.errors import ExecutionError, PropertyError
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObjectCmd
from bacpypes3.local.binary import BinaryInputObject
from bacpypes3.local.cov import GenericCriteria
from bacpypes3.local.object import Object
from bacpypes3.object import AccumulatorObject

from rules.model.line import BacnetLine
from simulators.faults import LINE_DOWN, FaultKind
from simulators.served import HOST, PortTakenError, ServedDevice
from simulators.world import UnfitSiteError

TICK_S = 0.25
VALUES = {"present-value", "status-flags", "all", "required"}  # properties that the world decides
OFF = {FaultKind.SILENT, *LINE_DOWN}


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of a data sheet (datasheets.md): what it is, in which unit, and how much has to change."""

    measure: str
    object: str
    units: str = "no-units"
    increment: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its objects, and the longest answer that it can send, which it never cuts into segments."""

    shown: tuple[Thing, ...]
    answer_bytes_max: int


MODELS: Mapping[str, Model] = {
    "rs-em4": Model(
        (
            Thing("energy", "accumulator,1", "kilowatt-hours"),
            Thing("power", "analog-input,1", "kilowatts", 0.05),
            *(Thing(f"voltage_l{n}", f"analog-input,{10 + n}", "volts", 0.5) for n in (1, 2, 3)),
            *(Thing(f"current_l{n}", f"analog-input,{20 + n}", "amperes", 0.1) for n in (1, 2, 3)),
            Thing("power_factor", "analog-input,30", "power-factor", 0.01),
            Thing("frequency", "analog-input,31", "hertz", 0.05),
        ),
        206,
    ),
    "rs-ahu2": Model(
        (
            Thing("supply_temp", "analog-input,1", "degrees-celsius", 0.1),
            Thing("supply_setpoint", "analog-value,1", "degrees-celsius", 0.1),
            Thing("return_temp", "analog-input,2", "degrees-celsius", 0.1),
            Thing("outdoor_temp", "analog-input,3", "degrees-celsius", 0.1),
            Thing("fan_running", "binary-input,1"),
            Thing("fan_command", "binary-input,2"),
            Thing("cooling_valve", "analog-input,4", "percent", 0.5),
            Thing("freeze_trip", "binary-input,3"),
            Thing("filter_pressure", "analog-input,5", "pascals", 2.0),
        ),
        1476,
    ),
}


class _Accumulator(Object, AccumulatorObject):  # type: ignore[misc]  # the library has no types
    """A counter; the library ships no local one."""


class _State(BinaryInputObject):  # type: ignore[misc]  # the library has no types
    """A state that tells its changes."""

    _cov_criteria = GenericCriteria


class _SetPoint(AnalogValueObjectCmd):  # type: ignore[misc]  # the library has no types
    """A set point with its sixteen priorities, between its limits."""

    _limits: tuple[float, float]
    _changed: Callable[[float], None]

    def obey(self, limits: tuple[float, float], changed: Callable[[float], None]) -> None:
        """Take commands within limits, and pass on what holds because of them."""
        self._limits, self._changed = limits, changed

    def forget(self) -> None:
        """Forget all commands."""
        for place in range(len(self.priorityArray)):
            self.priorityArray[place] = PriorityValue(null=())
        self._changed(float(self.presentValue))

    async def write_property(
        self, attr: int | str, value: Any, index: int | None = None, priority: int | None = None
    ) -> None:
        """Take a command; raises PropertyError beyond the limits."""
        if isinstance(value, float) and not self._limits[0] <= value <= self._limits[1]:
            raise PropertyError(errorCode="valueOutOfRange")
        await super().write_property(attr, value, index, priority)
        self._changed(float(self.presentValue))


class _Server(Application):  # type: ignore[misc]  # the library has no types
    """The library's server, which looks at the world before it answers."""

    device: "_Device"

    async def do_ReadPropertyRequest(self, apdu: Any) -> None:  # noqa: N802  # the library's name
        self.device.show([apdu.objectIdentifier] if str(apdu.propertyIdentifier) in VALUES else [], asked=True)
        await super().do_ReadPropertyRequest(apdu)

    async def do_ReadPropertyMultipleRequest(self, apdu: Any) -> None:  # noqa: N802  # the library's name
        self.device.show(
            [
                one.objectIdentifier
                for one in apdu.listOfReadAccessSpecs
                if any(str(named.propertyIdentifier) in VALUES for named in one.listOfPropertyReferences)
            ],
            asked=True,
        )
        await super().do_ReadPropertyMultipleRequest(apdu)

    async def do_WritePropertyRequest(self, apdu: Any) -> None:  # noqa: N802  # the library's name
        self.device.show([apdu.objectIdentifier], asked=True)
        await super().do_WritePropertyRequest(apdu)

    def cov_notification(self, cov: Any, apdu: Any) -> None:
        if not self.device.off:
            super().cov_notification(cov, apdu)


class _Device:
    """A device as BACnet sees it."""

    def __init__(self, served: ServedDevice, model: Model, instance: int, port: int, seed: int) -> None:
        self._chance = random.Random(f"{seed} {served.device.code}")
        self._served = served
        self._restarting = False
        words = ["--address", f"{HOST}:{port}", "--instance", str(instance), "--name", served.device.code]
        self.app = _Server.from_args(SimpleArgumentParser().parse_args(words))
        self.app.device = self
        self.app.device_object.segmentationSupported = Segmentation.noSegmentation
        self.app.device_object.maxApduLengthAccepted = model.answer_bytes_max
        self.app.device_object.modelName = served.device.profile
        self._objects: dict[str, tuple[Thing, Any]] = {}
        for shown in model.shown:
            made = self._made(shown)
            self._objects[shown.object] = (shown, made)
            self.app.add_object(made)
        server = next(iter(self.app.link_layers.values())).server
        self._take, server.confirmation = server.confirmation, self._hear
        self.ready: Sequence[asyncio.Task[None]] = server._transport_tasks  # noqa: SLF001  # there is no public "ready"

    @property
    def off(self) -> bool:
        """Whether it neither hears nor tells."""
        return any(kind in OFF for kind in self._kinds())

    def show(self, objects: Iterable[Any], *, asked: bool) -> None:
        """Set objects to what the world says now; raises ExecutionError for a question to a busy device."""
        if asked and FaultKind.BUSY in self._kinds():
            raise ExecutionError(errorClass="device", errorCode="deviceBusy")
        at = self._served.now()
        wanted = [self._objects[str(one)] for one in objects if str(one) in self._objects]
        levels = self._served.levels(at, {shown.measure for shown, _ in wanted} if asked else set())
        out = any(one.fault.kind is FaultKind.OUT_OF_SERVICE for one in self._served.faults(at))
        for shown, made in wanted:
            self._set(made, levels[shown.measure], out=out)
            if asked and isinstance(made, _Accumulator):
                self._told(at, shown.measure, levels[shown.measure])

    async def run(self) -> None:
        """Look at the world for what is told by itself, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            restarting = bool(LINE_DOWN & self._kinds())
            if restarting and not self._restarting:
                self._forget()
            self._restarting = restarting
            self.show(list(self.app._cov_detections), asked=False)  # noqa: SLF001  # what is subscribed

    def _forget(self) -> None:
        """Forget what a restart forgets: subscriptions and commands."""
        for detection in list(self.app._cov_detections.values()):  # noqa: SLF001
            for subscription in list(detection.cov_subscriptions):
                self.app.cancel_subscription(subscription)
        for _, made in self._objects.values():
            if isinstance(made, _SetPoint):
                made.forget()

    async def _hear(self, pdu: Any) -> None:
        for one in self._served.faults(self._served.now()):
            if one.fault.kind in OFF or (one.fault.kind is FaultKind.DROP and self._chance.random() < one.fault.amount):
                return
            if one.fault.kind is FaultKind.DELAY:
                await asyncio.sleep(one.fault.amount)
        await self._take(pdu)

    def _kinds(self) -> set[FaultKind]:
        return {one.fault.kind for one in self._served.faults(self._served.now())}

    def _told(self, at: datetime, measure: str, count: float | None) -> None:
        counter = self._served.sheet.counter
        if counter is not None and counter.measure == measure:
            self._served.tell(at, counter, count)

    def _set(self, made: Any, level: float | None, *, out: bool) -> None:
        made.reliability = Reliability.noSensor if level is None else Reliability.noFaultDetected
        made.outOfService = out
        if isinstance(made, _SetPoint):
            return  # it holds what it was told
        if isinstance(made, _Accumulator):
            made.presentValue = int(level or 0)
        elif isinstance(made, _State):
            made.presentValue = "active" if level else "inactive"
        else:
            made.presentValue = math.nan if level is None else level

    def _made(self, shown: Thing) -> Any:
        common = {
            "objectIdentifier": shown.object, "objectName": shown.measure, "statusFlags": [0, 0, 0, 0],
            "eventState": "normal", "outOfService": False, "reliability": "noFaultDetected",
            "description": shown.measure.replace("_", " "),
        }  # fmt: skip
        at = self._served.now()
        level = self._served.levels(at, set())[shown.measure]
        if shown.object.startswith("binary-input"):
            return _State(**common, presentValue="inactive")
        if shown.object.startswith("accumulator"):
            return self._accumulator(common, shown)
        number = {"presentValue": float(level or 0.0), "units": shown.units, "covIncrement": shown.increment}
        if shown.object.startswith("analog-value"):
            made = _SetPoint(**common, **number)
            limit = self._served.sheet.named(shown.measure)
            assert limit is not None
            assert limit.writable is not None
            low, high, step = *limit.writable, float(limit.step)
            made.obey((low * step, high * step), lambda value: self._served.set_point(value, self._served.now()))
            return made
        return AnalogInputObject(**common, **number)

    def _accumulator(self, common: dict[str, Any], shown: Thing) -> _Accumulator:
        counter = self._served.sheet.counter
        assert counter is not None
        _, _, exponent = counter.step.as_tuple()
        return _Accumulator(
            **common, presentValue=0, units=shown.units, maxPresValue=counter.modulus - 1,
            scale={"integerScale": exponent},
        )  # fmt: skip


def _device(line: BacnetLine, served: ServedDevice, seed: int) -> _Device:
    code = served.device.code
    model = MODELS.get(served.device.profile)
    if model is None:
        raise UnfitSiteError(
            f"device '{code}' is a '{served.device.profile}', which has no BACnet data sheet; "
            f"there are {', '.join(MODELS)}"
        )
    instance, _, at = served.device.address.partition("@")
    host, _, port = at.partition(":")
    if host != HOST or not port:
        raise UnfitSiteError(
            f"device '{code}' has no port of its own on {HOST}; write its address as {instance}@{HOST}:47901"
        )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:  # the library shares ports
            probe.bind((HOST, int(port)))
        except OSError:
            raise PortTakenError(
                f"port {port} of device '{code}' on line '{line.code}' is taken; "
                "stop the program that listens there or change the port in the site file"
            ) from None
    return _Device(served, model, int(instance), int(port), seed)


async def serve_line(line: BacnetLine, devices: Sequence[ServedDevice], seed: int) -> Callable[[], Awaitable[None]]:
    """Serve every device of a line; gives what ends it.  Raises UnfitSiteError or PortTakenError."""
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
    served: list[_Device] = []
    watching: list[asyncio.Task[None]] = []

    async def close() -> None:
        for task in watching:
            task.cancel()
        for device in served:
            for detection in list(device.app._cov_detections.values()):  # noqa: SLF001
                for subscription in list(detection.cov_subscriptions):
                    subscription.cancel_subscription()
            for transaction in (*device.app.asap.clientTransactions, *device.app.asap.serverTransactions):
                transaction.stop_timer()
            device.app.close()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*watching)
        await asyncio.sleep(0)  # the transports close in the next turn

    try:
        for one in devices:
            served.append(_device(line, one, seed))
            await asyncio.gather(*served[-1].ready)
            watching.append(asyncio.create_task(served[-1].run()))
    except (UnfitSiteError, PortTakenError):
        await close()
        raise
    return close
