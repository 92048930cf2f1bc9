"""One BACnet/IP port of the gateway: questions out, plain numbers back.

bacpypes3 is kept here, in ``port.py`` and in ``answer.py``: its answers become ``Said``, its errors those of
``drivers.errors`` or ``NoError``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bacpypes3.apdu import (
    ConfirmedCOVNotificationRequest,
    ErrorRejectAbortNack,
    IAmRequest,
    SubscribeCOVRequest,
    UnconfirmedCOVNotificationRequest,
    WhoIsRequest,
)
from bacpypes3.app import Application
from bacpypes3.basetypes import BinaryPV, PropertyIdentifier, Segmentation
from bacpypes3.pdu import Address, GlobalBroadcast
from bacpypes3.primitivedata import Null
from bacpypes3.vendor import get_vendor_info

from drivers.bacnet import port
from drivers.bacnet.answer import ASHRAE, GARBAGE, Said, Wanted, identifier, matched, no, reference, said, told
from drivers.bacnet.port import RETRIES
from drivers.errors import MalformedError, MisconfiguredError, UnreachableError
from rules.model.line import BacnetLine

WHO_IS_TIMES = 2  # in the time that is waited: a broadcast is lost as easily
SLACK_S = 0.2  # what our own bound leaves the library to end by itself

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """One I-Am: who is there, and how much of an answer it can send."""

    instance: int
    address: Address
    vendor: int
    apdu_bytes_max: int
    segments: bool


class Ear(Protocol):
    """Takes what one device tells by itself."""

    instance: int

    def told(self, of: tuple[str, int], values: dict[str, Said]) -> None:
        """Take a notification of changes of an object."""

    def awake(self) -> None:
        """Take an I-Am: the device may have restarted."""


class Stack:
    """The port; opened by the first question, let go by ``close``."""

    def __init__(self, line: BacnetLine) -> None:
        self._line = line
        self._app: Application | None = None
        self._opening = asyncio.Lock()
        self._seeking: list[Callable[[Heard], None]] = []
        self._ears: dict[Address, Ear] = {}

    async def close(self) -> None:
        """Let go of the port; questions under way find no answer."""
        app, self._app = self._app, None
        if app is not None:
            await port.shut(app)

    async def find(self, instance: int, at: str) -> Address:
        """Give the address of a device: by its written one, else by Who-Is.

        Raises UnreachableError, MisconfiguredError.
        """
        if at:
            return port.address(at)
        heard = await self.who_is(instance, instance, wait_s=self._line.timeout_s, most=1)
        if not heard:
            raise UnreachableError(f"no device {instance} answers Who-Is on {self._line.place}")
        return heard[0].address

    async def who_is(self, low: int, high: int, *, wait_s: float, most: int, to: Address | None = None) -> list[Heard]:
        """Give who says I-Am within ``wait_s``, at most ``most``; without ``to`` whoever a broadcast reaches.

        A device may answer from several addresses, and several may have one number.  Raises UnreachableError,
        MisconfiguredError.
        """
        app = await self._opened()
        if to is None and self._line.bbmd is None and not port.broadcasts(app):
            raise MisconfiguredError(
                f"Who-Is needs a broadcast: write {self._line.interface} with its prefix (…/24), name a bbmd, "
                "or write the address of the device after its number and an @"
            )
        heard: dict[tuple[int, str], Heard] = {}
        enough = asyncio.Event()

        def take(one: Heard) -> None:
            wanted = low <= one.instance <= high and (
                to is None or to == one.address
            )  # an Address compares with no None
            if wanted and len(heard) < most:
                heard[one.instance, str(one.address)] = one
            if len(heard) >= most:
                enough.set()

        self._seeking.append(take)
        try:
            for _ in range(WHO_IS_TIMES):
                asking = WhoIsRequest(destination=to or GlobalBroadcast())
                asking.deviceInstanceRangeLowLimit, asking.deviceInstanceRangeHighLimit = low, high
                app.request(asking)
                with suppress(TimeoutError):  # all that came is all that there is
                    await asyncio.wait_for(enough.wait(), wait_s / WHO_IS_TIMES)
                    break
        finally:
            self._seeking.remove(take)
        return list(heard.values())

    async def read(self, to: Address, wanted: Wanted) -> Said:
        """Ask one property; raises UnreachableError, MalformedError, NoError."""
        app = await self._opened()
        return said(
            await self._answer(
                to, app.read_property(to, identifier(wanted), PropertyIdentifier(wanted.property), wanted.index)
            )
        )

    async def read_many(self, to: Address, wanted: Sequence[tuple[Wanted, ...]]) -> list[list[Said]]:
        """Ask properties object by object in one ReadPropertyMultiple; one Said for each, in order.

        Raises UnreachableError, MalformedError, NoError.
        """
        app = await self._opened()
        question: list[Any] = []
        for group in wanted:
            question += [identifier(group[0]), [reference(w) for w in group]]
        rows = await self._answer(to, app.read_property_multiple(to, question, get_vendor_info(ASHRAE)))
        if rows is None or len(rows) != sum(map(len, wanted)):
            raise MalformedError(f"{to} answered other properties than were asked")
        answers = iter(rows)
        return [[matched(to, w, next(answers)) for w in group] for group in wanted]

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
            app.write_property(
                to, identifier(wanted), PropertyIdentifier(wanted.property), value, wanted.index, priority
            ),
        )

    async def subscribe(self, to: Address, of: Wanted, lifetime_s: int) -> None:
        """Ask to be told an object's changes for a while, or for a while more.

        Our own device number is the process number too: after a restart of the gateway a subscription is renewed and
        takes no second place in the device's table.  Raises UnreachableError, MalformedError, NoError.
        """
        app = await self._opened()
        asking = SubscribeCOVRequest(
            subscriberProcessIdentifier=self._line.instance, monitoredObjectIdentifier=identifier(of),
            issueConfirmedNotifications=False, lifetime=lifetime_s, destination=to,
        )  # fmt: skip
        await self._answer(to, app.request(asking))

    def listen(self, to: Address, ear: Ear) -> None:
        """Hand on what the device at this address tells."""
        self._ears[to] = ear

    def deafen(self, ear: Ear) -> None:
        """Hand nothing on any more."""
        self._ears = {to: other for to, other in self._ears.items() if other is not ear}

    def hear_i_am(self, apdu: IAmRequest) -> None:
        """Take an I-Am from anywhere."""
        heard = Heard(
            int(apdu.iAmDeviceIdentifier[1]), apdu.pduSource, int(apdu.vendorID), int(apdu.maxAPDULengthAccepted),
            apdu.segmentationSupported in (Segmentation.segmentedBoth, Segmentation.segmentedTransmit),
        )  # fmt: skip
        for take in tuple(self._seeking):
            take(heard)
        ear = self._ears.get(apdu.pduSource)
        if ear is not None and ear.instance == heard.instance:
            ear.awake()

    def hear_change(self, apdu: UnconfirmedCOVNotificationRequest | ConfirmedCOVNotificationRequest) -> bool:
        """Take a notification; gives whether it was asked for."""
        ear = self._ears.get(apdu.pduSource)
        if ear is None or apdu.subscriberProcessIdentifier != self._line.instance:
            return False
        if int(apdu.initiatingDeviceIdentifier[1]) != ear.instance:
            return False
        of = str(apdu.monitoredObjectIdentifier[0]), int(apdu.monitoredObjectIdentifier[1])
        try:
            ear.told(of, told(of[0], apdu.listOfValues))
        except GARBAGE:
            log.debug("dropped a notification that cannot be read")
        return True

    @property
    def _wait_s(self) -> float:
        return self._line.timeout_s * (1 + RETRIES) + SLACK_S

    async def _answer(self, to: Address, asking: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._wait_s):
                answer = await asking
        except TimeoutError:
            self._drop(to)
            raise UnreachableError(f"no answer from {to}") from None
        except asyncio.CancelledError:
            self._drop(to)
            raise
        except ErrorRejectAbortNack as reply:
            raise no(to, reply) from None
        except GARBAGE:
            raise MalformedError(f"{to} sent an answer that cannot be read") from None
        if isinstance(answer, ErrorRejectAbortNack):  # the library gives some of them back
            raise no(to, answer)
        return answer

    def _drop(self, to: Address) -> None:
        """Wait for nothing more from an address: no late answer, no further segment of one without an end."""
        if self._app is None:
            return
        asap = self._app.asap
        for transaction in [one for one in asap.clientTransactions if one.pdu_address == to]:
            transaction.stop_timer()
            asap.clientTransactions.remove(transaction)

    async def _opened(self) -> Application:
        async with self._opening:
            if self._app is None:
                self._app = await port.opened(self._line, self, self._wait_s)
            return self._app
