"""One BACnet/IP port of the gateway: questions out, plain numbers back.

bacpypes3 is kept here: its answers become ``Said``, its errors ``drivers.errors`` or ``NoError``.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bacpypes3.apdu import AbortPDU, AbortReason, ErrorPDU, ErrorRejectAbortNack, IAmRequest, RejectPDU, RejectReason
from bacpypes3.app import Application, DeviceInfo, DeviceInfoCache
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.basetypes import BinaryPV, ErrorType, PropertyIdentifier, PropertyReference
from bacpypes3.pdu import Address, IPv4Address
from bacpypes3.primitivedata import Boolean, Enumerated, Integer, Null, ObjectIdentifier, Real, Unsigned
from bacpypes3.vendor import get_vendor_info

from drivers.errors import MalformedError, MisconfiguredError, UnreachableError
from rules.model.line import BacnetLine

PORT = 47808
RETRIES = 1  # UDP loses a datagram now and then
SLACK_S = 0.2  # what our own bound leaves the library to end by itself
KNOWN_DEVICES_MAX = 2000  # who else says I-Am is not remembered
_GARBAGE = (ValueError, RuntimeError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error)
_ASHRAE = 0
_TOO_LONG = (
    AbortReason.bufferOverflow, AbortReason.segmentationNotSupported, AbortReason.outOfResources,
    AbortReason.apduTooLong,
)  # fmt: skip
_SILENCE = (AbortReason.noResponse, AbortReason.tsmTimeout, AbortReason.serverTimeout)

T = TypeVar("T")


class NoError(Exception):
    """The device's own no to a whole question; never leaves drivers/bacnet."""

    def __init__(self, reason: str, *, too_long: bool = False, unknown_service: bool = False) -> None:
        super().__init__(reason)
        self.too_long = too_long
        self.unknown_service = unknown_service


@dataclass(frozen=True, slots=True)
class Wanted:
    """One property of one object."""

    type: str
    instance: int
    property: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a device said of one property: a number, status flags, or None and the reason."""

    number: float | int | None
    error: str = ""
    flags: tuple[bool, bool, bool, bool] | None = None  # in alarm, fault, overridden, out of service


class _Cache(DeviceInfoCache):  # type: ignore[misc]  # the library has no types
    """Remembers a bounded number of devices, however many shout."""

    async def set_device_info(self, apdu: IAmRequest) -> DeviceInfo | None:
        if apdu.pduSource not in self.address_cache and len(self.address_cache) >= KNOWN_DEVICES_MAX:
            return None
        return await super().set_device_info(apdu)


class Stack:
    """The port; opened by the first question, let go by ``close``."""

    def __init__(self, line: BacnetLine) -> None:
        self._line = line
        self._app: Application | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Let go of the port; questions under way find no answer."""
        app, self._app = self._app, None
        if app is not None:
            await _shut(app)

    async def find(self, instance: int, at: str) -> Address:
        """Give the address of a device: by its written one, else by Who-Is.

        Raises UnreachableError, MisconfiguredError.
        """
        if at:
            return _address(Address, at if ":" in at else f"{at}:{PORT}")
        app = await self._opened()
        if self._line.bbmd is None and _layer(app).server.broadcast_address is None:
            raise MisconfiguredError(
                f"Who-Is needs a broadcast: write {self._line.interface} with its prefix (…/24), name a bbmd, "
                f"or write the address of device {instance} after an @"
            )
        heard = await app.who_is(instance, instance, timeout=self._line.timeout_s)  # ends by itself
        if not heard:
            raise UnreachableError(f"no device {instance} answers Who-Is on {self._line.place}")
        return heard[0].pduSource

    async def read(self, to: Address, wanted: Wanted) -> Said:
        """Ask one property; raises UnreachableError, MalformedError, NoError."""
        app = await self._opened()
        said = await self._answer(
            to, app.read_property(to, _object(wanted), PropertyIdentifier(wanted.property), wanted.index)
        )
        return _said(said)

    async def read_many(self, to: Address, wanted: Sequence[tuple[Wanted, ...]]) -> list[list[Said]]:
        """Ask properties object by object in one ReadPropertyMultiple; one Said for each, in order.

        Raises UnreachableError, MalformedError, NoError.
        """
        app = await self._opened()
        question: list[Any] = []
        for group in wanted:
            question += [_object(group[0]), [_reference(w) for w in group]]
        rows = await self._answer(to, app.read_property_multiple(to, question, get_vendor_info(_ASHRAE)))
        if rows is None or len(rows) != sum(map(len, wanted)):
            raise MalformedError(f"{to} answered other properties than were asked")
        answers = iter(rows)
        return [[_matched(to, w, next(answers)) for w in group] for group in wanted]

    async def write(self, to: Address, wanted: Wanted, number: float | None, priority: int) -> None:
        """Set a property at a priority, or with None let go of it.

        Raises UnreachableError, MalformedError, NoError.
        """
        app = await self._opened()
        value: Any = Null(()) if number is None else number
        if number is not None and wanted.type.startswith("binary-") and wanted.property == "present-value":
            value = BinaryPV(int(number))
        await self._answer(
            to,
            app.write_property(to, _object(wanted), PropertyIdentifier(wanted.property), value, wanted.index, priority),
        )

    @property
    def _wait_s(self) -> float:
        return self._line.timeout_s * (1 + RETRIES) + SLACK_S

    async def _answer(self, to: Address, asking: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._wait_s):
                return await asking
        except TimeoutError:
            raise UnreachableError(f"no answer from {to}") from None
        except ErrorRejectAbortNack as reply:
            raise _no(to, reply) from None
        except _GARBAGE:
            raise MalformedError(f"{to} sent an answer that cannot be read") from None

    async def _opened(self) -> Application:
        async with self._opening:
            if self._app is None:
                self._app = await self._open()
            return self._app

    async def _open(self) -> Application:
        line = self._line
        logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)  # its failures come back as our errors
        own = _address(IPv4Address, line.interface)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:  # the library shares ports and would steal another program's answers
                probe.bind(own.addrTuple)
            except OSError as error:
                raise UnreachableError(
                    f"{line.interface} cannot be used: {error.strerror}; is it this machine's, is the port free?",
                    link=True,
                ) from None
        words = ["--address", line.interface, "--instance", str(line.instance), "--name", f"plantroom-{line.code}"]
        if line.bbmd is not None:
            words += ["--foreign", line.bbmd, "--ttl", str(line.bbmd_ttl_s)]
        app = Application.from_args(SimpleArgumentParser().parse_args(words), device_info_cache=_Cache())
        app.device_object.apduTimeout = round(line.timeout_s * 1000)
        app.device_object.apduSegmentTimeout = round(line.timeout_s * 1000)
        app.device_object.numberOfApduRetries = RETRIES
        _harden(app)
        ready = False
        tasks = _layer(app).server._transport_tasks  # noqa: SLF001  # there is no public "ready"
        try:
            async with asyncio.timeout(self._wait_s):
                await asyncio.gather(*tasks)
            ready = True
        except TimeoutError:
            raise UnreachableError(f"{line.interface} cannot be listened on", link=True) from None
        finally:
            if not ready:
                app.close()
        return app


def _address(shape: Any, text: str) -> Any:
    try:
        return shape(text)
    except ValueError:
        raise MisconfiguredError(f"'{text}' is no address; write it as 10.0.0.7:47808") from None


def _layer(app: Application) -> Any:  # the library has no types here
    return next(iter(app.link_layers.values()))


def _harden(app: Application) -> None:
    """Drop datagrams that cannot be read: each would else end as a task with an unseen error."""
    server = _layer(app).server
    taken = server.confirmation

    async def take(pdu: object) -> None:
        try:
            await taken(pdu)
        except _GARBAGE:
            logging.getLogger(__name__).debug("dropped a datagram that is no BACnet")

    server.confirmation = take


async def _shut(app: Application) -> None:
    for transaction in (*app.asap.clientTransactions, *app.asap.serverTransactions):
        transaction.stop_timer()
    layer = _layer(app)
    if hasattr(layer, "unregister"):
        layer.unregister()
        await asyncio.sleep(0)
    app.close()
    await asyncio.sleep(0)  # the transport closes in the next turn


def _object(wanted: Wanted) -> ObjectIdentifier:
    return ObjectIdentifier((wanted.type, wanted.instance))


def _reference(wanted: Wanted) -> PropertyReference:
    named = PropertyIdentifier(wanted.property)
    if wanted.index is None:
        return PropertyReference(propertyIdentifier=named)
    return PropertyReference(propertyIdentifier=named, propertyArrayIndex=wanted.index)


def _matched(to: Address, wanted: Wanted, row: tuple[Any, Any, Any, Any]) -> Said:
    found, named, index, value = row
    if (found, named, index) != (_object(wanted), PropertyIdentifier(wanted.property), wanted.index):
        raise MalformedError(f"{to} answered other properties than were asked")
    return _said(value)


def _said(value: Any) -> Said:  # whatever type the device chose
    if isinstance(value, ErrorType):
        return Said(None, f"the device says {value.errorCode}")
    if isinstance(value, Boolean | Enumerated | Unsigned | Integer | int):
        return Said(int(value))
    if isinstance(value, float):
        return Said(_shortest(float(value)) if isinstance(value, Real) else float(value))
    if isinstance(value, list) and len(value) == len(("alarm", "fault", "overridden", "out of service")):
        alarm, fault, overridden, out = (bool(flag) for flag in value)
        return Said(None, "status flags are no number", (alarm, fault, overridden, out))
    return Said(None, "the device sent something that is no number")


def _shortest(single: float) -> float:
    """Give the decimal of the fewest digits that is this single: 12.3, not 12.300000190734863."""
    for digits in range(6, 9):
        short = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == single:
            return short
    return single


def _no(to: Address, reply: ErrorRejectAbortNack) -> UnreachableError | MalformedError | NoError:
    if isinstance(reply, AbortPDU):
        if reply.apduAbortRejectReason in _SILENCE:
            return UnreachableError(f"no answer from {to}")
        return NoError(f"{to} aborts: {reply}", too_long=reply.apduAbortRejectReason in _TOO_LONG)
    if isinstance(reply, RejectPDU):
        reason = reply.apduAbortRejectReason
        return NoError(
            f"{to} rejects: {reply}", too_long=reason == RejectReason.bufferOverflow,
            unknown_service=reason == RejectReason.unrecognizedService,
        )  # fmt: skip
    if isinstance(reply, ErrorPDU) and str(getattr(reply, "errorCode", "")) == "invalid-tag":
        return MalformedError(f"{to} sent an answer that cannot be read")
    return NoError(f"{to} says {reply}")
