"""One ONVIF device: its clock, its services, and its pull point, learnt anew whenever it was away."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from drivers.errors import DriverError, MalformedError, MisconfiguredError, RefusedError
from drivers.onvif import soap
from drivers.onvif.clock import device_time, moment
from drivers.onvif.markup import ANSWER_BYTES_MAX, Node
from drivers.onvif.message import Told, messages
from drivers.onvif.transport import UNAUTHORISED, Transport
from rules.model.line import OnvifLine

SUBSCRIPTION_S = 120
SUBSCRIPTION_LEAST_S = 5.0  # a device that gives less is asked again after so long at most
MESSAGES_MAX = 100  # in one answer
RESOLUTION = timedelta(seconds=1)  # of the clock as devices tell it; what is less off is right
PULLS_MAX = 10  # in a row, while there is more
PAGES_MAX = 20  # of access points
ACCESS_POINTS_MAX = 1000


@dataclass(slots=True)
class _Subscription:
    address: str
    references: tuple[Node, ...]
    renew_s: float  # monotonic


class OnvifDevice:
    """Asks one device.  ``call`` raises ``drivers.errors``; the caller queues."""

    def __init__(
        self, line: OnvifLine, now: Callable[[], datetime], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; nothing is opened."""
        self.skew = timedelta(0)
        self.now = now
        self.monotonic_s = monotonic_s
        self.transport = Transport(line)
        self._line = line
        self._places: dict[str, str] | None = None
        self._subscription: _Subscription | None = None
        self._doors: dict[str, str] | None = None  # by access point

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return self.transport.place

    async def meet(self) -> None:
        """Ask the clock, which needs no password, and on the first time which services there are."""
        if self._places is None:
            await asyncio.to_thread(soap.warm)
        before = self.now()
        answer = await self._send("device", "GetSystemDateAndTime", self._line.url, signed=False)
        after = self.now()
        skew = device_time(answer, self.place) + RESOLUTION / 2 - (before + (after - before) / 2)
        self.skew = skew if abs(skew) > RESOLUTION else timedelta(0)
        if self._line.user is not None and self.transport.password is None:
            raise MisconfiguredError(f"there is no credential onvif-{self._line.code}-password for '{self._line.user}'")
        if self._places is None:
            self._places = await self._services()

    def forget(self) -> None:
        """Learn everything anew: the device was away."""
        self._places = self._subscription = self._doors = None

    async def call(self, service: str, operation: str, **arguments: Any) -> Node:
        """Ask a service; raises MisconfiguredError where the device does not have it."""
        address = self._line.url if service == "device" else (self._places or {}).get(soap.SERVICES[service].space)
        if address is None:
            raise MisconfiguredError(f"{self.place} has no {service} service; check the profile")
        return await self._send(service, operation, address, **arguments)

    async def pull(self) -> tuple[list[Told], bool]:
        """Give what has happened, oldest first, and whether the pull point is new (then states begin anew).

        After any failure the next one is new: an answer that got lost took its messages along.
        """
        anew = self._subscription is None
        try:
            return await self._pull(await self._subscribed()), anew
        except soap.FaultError as error:
            self._subscription = None
            if anew or error.unsigned:
                raise
        except DriverError:
            self._subscription = None
            raise
        # it had run out, or the device has restarted meanwhile
        return await self._pull(await self._subscribed()), True

    async def door_of(self, access_point: str) -> str:
        """Give the door of an access point, '' where the device does not say: it may have no such service."""
        if self._doors is None:
            try:
                self._doors = await self._access_points()
            except (RefusedError, MisconfiguredError):
                self._doors = {}
            except DriverError:
                return ""  # asked again at the next event
        return self._doors.get(access_point, "")

    async def unsubscribe(self) -> None:
        """Give the pull point back, as far as the device takes it: it has few."""
        kept, self._subscription = self._subscription, None
        if kept is not None:
            with contextlib.suppress(DriverError):
                await self._send("subscription", "Unsubscribe", kept.address, kept.references)

    async def _services(self) -> dict[str, str]:
        try:
            answer = await self._send("device", "GetServices", self._line.url, IncludeCapability=False)
            listed = [(found.said("Namespace"), found.said("XAddr")) for found in answer.all("Service")]
        except soap.FaultError as error:
            if error.unsigned:
                raise
            listed = []
        if not listed:
            answer = await self._send("device", "GetCapabilities", self._line.url, Category="All")
            names = {"Events": "events", "Media": "media", "Device": "device"}
            listed = [
                (soap.SERVICES[name].space, answer.said("Capabilities", tag, "XAddr")) for tag, name in names.items()
            ]
        return {space: self.transport.here(address) for space, address in listed if address}

    async def _subscribed(self) -> _Subscription:
        kept = self._subscription
        if kept is not None and self.monotonic_s() < kept.renew_s:
            return kept
        length = f"PT{SUBSCRIPTION_S}S"
        if kept is not None:
            answer = await self._send("subscription", "Renew", kept.address, kept.references, TerminationTime=length)
            kept.renew_s = self._renewal_s(answer)
            return kept
        answer = await self.call("events", "CreatePullPointSubscription", InitialTerminationTime=length)
        reference = answer.first("SubscriptionReference")
        if reference is None or not reference.said("Address"):
            raise MalformedError(f"{self.place} makes a pull point without an address")
        parameters = reference.first("ReferenceParameters")
        self._subscription = _Subscription(
            self.transport.here(reference.said("Address")),
            parameters.children if parameters is not None else (),
            self._renewal_s(answer),
        )
        return self._subscription

    def _renewal_s(self, answer: Node) -> float:
        """Give when half of what the device grants is over, by its own two times."""
        ends, begins = moment(answer.said("TerminationTime")), moment(answer.said("CurrentTime"))
        granted_s = (ends - begins).total_seconds() if ends is not None and begins is not None else SUBSCRIPTION_S
        return self.monotonic_s() + max(SUBSCRIPTION_LEAST_S, min(granted_s, SUBSCRIPTION_S)) / 2

    async def _pull(self, kept: _Subscription) -> list[Told]:
        found: list[Told] = []
        for _ in range(PULLS_MAX):
            answer = await self._send(
                "pullpoint", "PullMessages", kept.address, kept.references, Timeout="PT0S", MessageLimit=MESSAGES_MAX
            )
            told = list(messages(answer))[:MESSAGES_MAX]
            found += told
            if len(told) < MESSAGES_MAX:
                break
        return found

    async def _access_points(self) -> dict[str, str]:
        found: dict[str, str] = {}
        start: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            answer = await self.call("access", "GetAccessPointInfoList", **start)
            for point in answer.all("AccessPointInfo"):
                found[point.attribute("token")] = point.said("Entity")
            following = answer.said("NextStartReference")
            if not following or len(found) > ACCESS_POINTS_MAX:
                break
            start = {"StartReference": following}
        return found

    async def _send(
        self, service: str, operation: str, address: str, references: Iterable[Node] = (), *, signed: bool = True,
        **arguments: Any,
    ) -> Node:  # fmt: skip
        signature = None
        if signed and self.transport.user and self.transport.password:
            signature = soap.Signature(self.transport.user, self.transport.password, self.now() + self.skew)
        body = soap.envelope(service, operation, address, signature, references, **arguments)
        answer = await self.transport.post(address, body, soap.CONTENT, ANSWER_BYTES_MAX)
        try:
            return soap.read(answer.kind, answer.body, self.place)
        except DriverError:
            if answer.status in UNAUTHORISED:
                who = f"user '{self.transport.user}'" if self.transport.user else "anybody without a user"
                raise RefusedError(f"{self.place} refuses {who}; check user and password") from None
            raise
