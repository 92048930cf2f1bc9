"""The library's application on one BACnet/IP port: opened, hardened, let go of."""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, Protocol

from bacpypes3.apdu import (
    ConfirmedCOVNotificationRequest,
    IAmRequest,
    SimpleAckPDU,
    UnconfirmedCOVNotificationRequest,
)
from bacpypes3.app import Application, DeviceInfo, DeviceInfoCache
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.errors import ServicesError
from bacpypes3.pdu import Address, IPv4Address

from drivers.bacnet.answer import GARBAGE
from drivers.errors import MisconfiguredError, UnreachableError
from rules.model.line import BacnetLine

PORT = 47808
RETRIES = 1  # UDP loses a datagram now and then
KNOWN_DEVICES_MAX = 2000  # who else says I-Am is not remembered

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Takes what devices say without being asked."""

    def hear_i_am(self, apdu: IAmRequest) -> None:
        """Take an I-Am from anywhere."""

    def hear_change(self, apdu: UnconfirmedCOVNotificationRequest | ConfirmedCOVNotificationRequest) -> bool:
        """Take a notification; gives whether it was asked for."""


class _Cache(DeviceInfoCache):  # type: ignore[misc]  # the library has no types
    """Remembers a bounded number of devices, however many shout."""

    async def set_device_info(self, apdu: IAmRequest) -> DeviceInfo | None:
        if apdu.pduSource not in self.address_cache and len(self.address_cache) >= KNOWN_DEVICES_MAX:
            return None
        return await super().set_device_info(apdu)


class Port(Application):  # type: ignore[misc]  # the library has no types
    """The library's application; hands on what devices tell by themselves and queues none of it."""

    listener: Listener

    async def confirmation(self, apdu: Any) -> None:
        """Hand an answer to who asked, unless he has just given up."""
        with suppress(asyncio.InvalidStateError):
            await super().confirmation(apdu)

    async def do_IAmRequest(self, apdu: IAmRequest) -> None:  # noqa: N802  # the library's name
        """Hand on an I-Am."""
        self.listener.hear_i_am(apdu)
        await self.device_info_cache.set_device_info(apdu)

    async def do_UnconfirmedCOVNotificationRequest(  # noqa: N802  # the library's name
        self, apdu: UnconfirmedCOVNotificationRequest
    ) -> None:
        """Hand on a notification that wants no answer."""
        self.listener.hear_change(apdu)

    async def do_ConfirmedCOVNotificationRequest(  # noqa: N802  # the library's name
        self, apdu: ConfirmedCOVNotificationRequest
    ) -> None:
        """Hand on a notification and confirm one that was asked for."""
        if not self.listener.hear_change(apdu):
            raise ServicesError(errorCode="unknownSubscription")
        await self.response(SimpleAckPDU(context=apdu))


async def opened(line: BacnetLine, listener: Listener, wait_s: float) -> Application:
    """Listen on a line's port; raises UnreachableError, MisconfiguredError."""
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)  # its failures come back as our errors
    own = address(line.interface, IPv4Address)
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
    app = Port.from_args(SimpleArgumentParser().parse_args(words), device_info_cache=_Cache())
    app.listener = listener
    app.device_object.apduTimeout = round(line.timeout_s * 1000)
    app.device_object.apduSegmentTimeout = round(line.timeout_s * 1000)
    app.device_object.numberOfApduRetries = RETRIES
    _harden(app)
    ready = False
    tasks = _layer(app).server._transport_tasks  # noqa: SLF001  # there is no public "ready"
    try:
        async with asyncio.timeout(wait_s):
            await asyncio.gather(*tasks)
        ready = True
    except TimeoutError:
        raise UnreachableError(f"{line.interface} cannot be listened on", link=True) from None
    finally:
        if not ready:
            app.close()
    return app


def broadcasts(app: Application) -> bool:
    """Whether the port has a network to broadcast to."""
    return _layer(app).server.broadcast_address is not None


def address(text: str, shape: Any = Address) -> Any:
    """Give an address of the library; raises MisconfiguredError."""
    whole = text if ":" in text or shape is not Address else f"{text}:{PORT}"
    try:
        return shape(whole)
    except ValueError:
        raise MisconfiguredError(f"'{whole}' is no address; write it as 10.0.0.7:{PORT}") from None


def _layer(app: Application) -> Any:  # the library has no types here
    return next(iter(app.link_layers.values()))


def _harden(app: Application) -> None:
    """Drop datagrams that cannot be read: each would else end as a task with an unseen error."""
    server = _layer(app).server
    taken = server.confirmation

    async def take(pdu: object) -> None:
        try:
            await taken(pdu)
        except GARBAGE:
            log.debug("dropped a datagram that is no BACnet")

    server.confirmation = take


async def shut(app: Application) -> None:
    """Let go of the port; questions under way find no answer."""
    for transaction in (*app.asap.clientTransactions, *app.asap.serverTransactions):
        transaction.stop_timer()
    layer = _layer(app)
    if hasattr(layer, "unregister"):
        layer.unregister()
        await asyncio.sleep(0)
    app.close()
    await asyncio.sleep(0)  # the transport closes in the next turn
