"""A BACnet/IP controller of a real library, with a datagram proxy in front that makes its troubles."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Any, cast

from bacpypes3.apdu import AbortPDU, ReadPropertyACK
from bacpypes3.app import Application
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.errors import ExecutionError, UnrecognizedService
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObjectCmd
from bacpypes3.local.object import Object as LocalObject
from bacpypes3.object import AccumulatorObject as PlainAccumulator
from bacpypes3.primitivedata import Unsigned

from drivers.catalogue import parse
from drivers.driver import Asked, Device
from rules.model.line import AnyLine, BacnetLine
from rules.model.point import Point
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.field import HOST

TIMEOUT_S = 0.3
LATE_S = 1.0  # later than the question and its repetition wait
INSTANCE = 1001
PROFILE = """
code = "ground-bacnet"
title = "Controller"
protocol = "bacnet"
[[measure]]
name = "energy"
kind = "counter"
unit = "kWh"
object = "accumulator,1"
scale = 0.01
modulus = 42949672.96
[[measure]]
name = "power"
kind = "gauge"
unit = "kW"
object = "analog-input,1"
resolution = 0.1
[[measure]]
name = "setpoint"
kind = "gauge"
unit = "kW"
object = "analog-value,1"
resolution = 0.5
writable = [0, 5000]
"""
HUGE_COPIES = 200


def free_udp_port() -> int:
    """Give a port that no datagram socket has: others than those of ``free_port``, which asks for streams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Accumulator(LocalObject, PlainAccumulator):  # type: ignore[misc]  # the library has no types
    """The library ships no local accumulator."""


class Controller(Application):  # type: ignore[misc]  # the library has no types
    """Takes lists of at most ``rpm_max`` objects; 0: knows no lists."""

    rpm_max = 100
    lists: list[int]  # of present values
    first_lists: list[int]  # of units, at the first contact

    subscribed: list[str]  # every object that was subscribed or renewed
    room: int = 1000  # subscriptions that the table takes
    mute = False  # takes subscriptions and tells nothing
    cov = True

    whole_list = True  # whether the object list fits into one answer
    claimed: int | None = None  # objects that it says to have

    async def do_ReadPropertyRequest(self, apdu: Any) -> None:  # noqa: N802  # the library's name
        if str(apdu.propertyIdentifier) == "object-list":
            if apdu.propertyArrayIndex is None and not self.whole_list:
                await self.response(AbortPDU(srv=True, reason="segmentationNotSupported", context=apdu))
                return
            if apdu.propertyArrayIndex == 0 and self.claimed is not None:
                answer = ReadPropertyACK(
                    objectIdentifier=apdu.objectIdentifier, propertyIdentifier=apdu.propertyIdentifier,
                    propertyArrayIndex=0, propertyValue=Unsigned(self.claimed), context=apdu,
                )  # fmt: skip
                await self.response(answer)
                return
        await super().do_ReadPropertyRequest(apdu)

    async def do_SubscribeCOVRequest(self, apdu: Any) -> None:  # noqa: N802  # the library's name
        if not self.cov:
            raise UnrecognizedService
        held = sum(len(detection.cov_subscriptions) for detection in self._cov_detections.values())
        if held >= self.room:
            raise ExecutionError(errorClass="resources", errorCode="noSpaceToAddListElement")
        assert apdu.lifetime > 0
        self.subscribed.append(str(apdu.monitoredObjectIdentifier))
        await super().do_SubscribeCOVRequest(apdu)

    def cov_notification(self, cov: Any, apdu: Any) -> None:
        if not self.mute:
            super().cov_notification(cov, apdu)

    async def do_ReadPropertyMultipleRequest(self, apdu: Any) -> None:  # noqa: N802  # the library's name
        size = len(apdu.listOfReadAccessSpecs)
        if str(apdu.listOfReadAccessSpecs[0].listOfPropertyReferences[0].propertyIdentifier) == "present-value":
            self.lists.append(size)
        else:
            self.first_lists.append(size)
        if self.rpm_max == 0:
            raise UnrecognizedService
        if size > self.rpm_max:
            no = AbortPDU(srv=True, reason="segmentationNotSupported", context=apdu)
            await self.response(no)
            return
        await super().do_ReadPropertyMultipleRequest(apdu)


class Proxy(asyncio.DatagramProtocol):
    """Stands at the device's address and passes datagrams on, to one socket per asker so that answers find home."""

    def __init__(self, ground: "BacnetGround") -> None:
        self.ground = ground
        self.transport: asyncio.DatagramTransport | None = None
        self.ways: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.ground.asked.append(data)
        task = asyncio.create_task(self._pass(data, addr))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _pass(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.ground.how is Trouble.REFUSING:
            self.answer(self.ground.refusal(data), addr)
            return
        if addr not in self.ways:
            loop = asyncio.get_running_loop()
            way, _ = await loop.create_datagram_endpoint(
                lambda: Back(self, addr), remote_addr=(HOST, self.ground.inner)
            )
            self.ways[addr] = way
        self.ways[addr].sendto(data)

    def answer(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        match self.ground.how:
            case Trouble.SILENT:
                return
            case Trouble.HALF:
                transport.sendto(data[: len(data) // 2], addr)
            case Trouble.MALFORMED:
                transport.sendto(data[:9] + b"\xff" * (len(data) - 9), addr)  # heads stand, tags are nonsense
            case Trouble.SLOW:
                asyncio.get_running_loop().call_later(LATE_S, self._late, data, addr)
            case Trouble.HUGE:
                long = b"\x81\x0a\xff\xff" + data[4:] * 50
                for _ in range(HUGE_COPIES):
                    transport.sendto(long[:60_000], addr)
            case _:
                transport.sendto(data, addr)

    def _late(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.sendto(data, addr)

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        for way in self.ways.values():
            way.close()
        if self.transport is not None:
            self.transport.close()


class Back(asyncio.DatagramProtocol):
    """The way back to one asker."""

    def __init__(self, proxy: Proxy, addr: tuple[str, int]) -> None:
        self.proxy, self.addr = proxy, addr

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        self.proxy.answer(data, self.addr)


class BacnetGround:
    """Obeys ``tests.contract.ground.Ground``."""

    troubles = frozenset(Trouble)

    def __init__(self) -> None:
        self.how: Trouble | None = None
        self.values = {COUNTER: 0.0, GAUGE: 0.0, SETPOINT: 0.0}
        self.outer, self.inner, own = free_udp_port(), free_udp_port(), free_udp_port()
        self.asked: list[bytes] = []
        self.app: Any = None
        self.more: tuple[str, ...] = ()  # further words of the command line
        self.proxy: Proxy | None = None
        profile = parse(PROFILE, "ground-bacnet")
        points = tuple(
            Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name)
            for m in profile.measures
        )
        self.device = Device("M", f"{INSTANCE}@{HOST}:{self.outer}", profile, points)
        self.line: AnyLine = BacnetLine(
            driver="bacnet", code="L", gateway="G", interface=f"{HOST}:{own}", poll_s=1, timeout_s=TIMEOUT_S
        )

    async def start(self) -> None:
        logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
        words = ["--address", f"{HOST}:{self.inner}", "--instance", str(INSTANCE), "--name", "controller"]
        app = Controller.from_args(SimpleArgumentParser().parse_args([*words, *self.more]))
        app.lists, app.first_lists, app.subscribed = [], [], []
        common = {"statusFlags": [0, 0, 0, 0], "eventState": "normal", "outOfService": False}
        self.energy = Accumulator(
            objectIdentifier="accumulator,1", objectName="energy", presentValue=0, units="kilowatt-hours",
            scale={"integerScale": -2}, maxPresValue=4294967295, **common,
        )  # fmt: skip
        self.power = AnalogInputObject(
            objectIdentifier="analog-input,1",
            objectName="power",
            presentValue=0.0,
            units="kilowatts",
            covIncrement=0.5,
            **common,
        )
        self.setpoint = AnalogValueObjectCmd(
            objectIdentifier="analog-value,1", objectName="setpoint", presentValue=self.values[SETPOINT],
            units="kilowatts", covIncrement=0.5, **common,
        )  # fmt: skip
        for thing in (self.energy, self.power, self.setpoint):
            app.add_object(thing)
        self.app = app
        self._fill()
        await asyncio.gather(*next(iter(app.link_layers.values())).server._transport_tasks)
        self.proxy = Proxy(self)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self.proxy or Proxy(self), local_addr=(HOST, self.outer))

    async def stop(self) -> None:
        if self.app is None:
            return
        self.values[SETPOINT] = self.held(SETPOINT)
        if self.proxy is not None:
            self.proxy.close()
        for detection in list(self.app._cov_detections.values()):
            for cov in list(detection.cov_subscriptions):
                cov.cancel_subscription()
        for transaction in (*self.app.asap.clientTransactions, *self.app.asap.serverTransactions):
            transaction.stop_timer()
        self.app.close()
        self.app = self.proxy = None
        await asyncio.sleep(0.01)

    def show(self, values: Mapping[str, float]) -> None:
        self.values.update(values)
        if self.app is not None:
            self._fill()

    def _fill(self) -> None:
        self.energy.presentValue = round(self.values[COUNTER] * 100)
        self.power.presentValue = self.values[GAUGE]
        self.setpoint.relinquishDefault = self.values[SETPOINT]
        self.setpoint.recalculating()

    def held(self, measure: str) -> float:
        if measure == SETPOINT and self.app is not None:
            return float(self.setpoint.presentValue)
        return self.values[measure]

    def trouble(self, how: Trouble | None) -> None:
        self.how = how

    def refusal(self, question: bytes) -> bytes:
        """An Error (services, service-request-denied) to a confirmed request: ASHRAE 135, clause 20.1.7."""
        invoke, service = question[8], question[9]
        body = bytes([0x01, 0x00, 0x50, invoke, service, 0x91, 5, 0x91, 29])
        return b"\x81\x0a" + (len(body) + 4).to_bytes(2, "big") + body
