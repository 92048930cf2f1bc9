"""What a server tells by itself: one subscription for one device, its changes kept until they are asked for.

Publishing and keep-alive are those of OPC 10000-4, 5.14.  A subscription that says nothing for longer than its
keep-alive allows is dead, whatever the connection looks like.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.session import GARBAGE, Connection
from drivers.opcua.status import SaidNoError, overflowed, quality, words
from rules.model.quality import Quality

CHANGES_MAX = 10_000  # kept for a reader; the oldest go when they are more, and that is said
ITEMS_MAX = 500  # in one CreateMonitoredItems
TOLD_MAX = 1_000  # notifications in one answer
ITEM_QUEUE = 10  # changes of one node that the server keeps between two answers
KEEP_ALIVE_MAX_S = 10.0
SILENCE_MAX_S = 60.0  # whatever keep-alive a server makes of ours
SILENT_KEEP_ALIVES = 2
LIFETIMES = 10  # keep-alives without a request of ours, after which the server forgets the subscription
FINISHING_S = 1.0
_PER_CALL = ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
_ANSWERED_LATE = (StatusCodes.BadTimeout, StatusCodes.BadTooManyPublishRequests)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What the server told of one point, and when it came."""

    number: int
    value: ua.DataValue
    at: datetime


class Subscription:
    """The changes of one device; ``refused`` says which points the server does not watch, and why."""

    def __init__(
        self,
        device: str,
        publish_s: float,
        poll_s: float,
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked yet.  ``now`` stamps what comes."""
        self._now = now
        self.refused: dict[int, str] = {}
        self.lost = 0  # changes that came too fast for us or for the server's own queue
        self._device = device
        self._publish_s = publish_s
        self._keep_alive_s = max(publish_s, min(poll_s, KEEP_ALIVE_MAX_S))
        self._monotonic_s = monotonic_s
        self._connection: Connection | None = None
        self._id: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._changes: deque[Change] = deque()
        self._watched: set[int] = set()
        self._opened_s = 0.0
        self._heard_s: float | None = None
        self._silence_s = 0.0

    def alive(self, connection: Connection, timeout_s: float) -> bool:
        """Whether the server still tells: it has said something within its keep-alives."""
        if self._connection is not connection or self._task is None or self._task.done():
            return False
        last_s = self._opened_s if self._heard_s is None else self._heard_s
        return self._monotonic_s() - last_s <= self._silence_s + timeout_s

    @property
    def heard(self) -> bool:
        """Whether it has said anything since it was opened."""
        return self._heard_s is not None

    async def open(self, connection: Connection, nodes: Sequence[tuple[int, ua.NodeId]]) -> None:
        """Subscribe to nodes by their numbers; raises UnreachableError, MalformedError, SaidNoError."""
        await self._end(connection)
        params = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=ua.Double(self._publish_s * 1000),
            RequestedMaxKeepAliveCount=ua.UInt32(max(1, round(self._keep_alive_s / self._publish_s))),
            RequestedLifetimeCount=ua.UInt32(max(3, round(LIFETIMES * self._keep_alive_s / self._publish_s))),
            MaxNotificationsPerPublish=ua.UInt32(TOLD_MAX),
        )
        made = await connection.ask(connection.session.create_subscription(params, _nothing))
        self._connection, self._id = connection, made.SubscriptionId
        keep_alive_s = made.RevisedPublishingInterval * made.RevisedMaxKeepAliveCount / 1000
        self._silence_s = min(max(SILENT_KEEP_ALIVES * keep_alive_s, self._publish_s), SILENCE_MAX_S)
        self._heard_s, self._opened_s = None, self._monotonic_s()
        self.refused = {}
        self._watched = {number for number, _ in nodes}
        size = connection.at_most(_PER_CALL, ITEMS_MAX)
        for first in range(0, len(nodes), size):
            await self._watch(connection, nodes[first : first + size])
        self._task = asyncio.create_task(self._publish(connection), name=f"opcua {self._device} publish")

    async def _watch(self, connection: Connection, nodes: Sequence[tuple[int, ua.NodeId]]) -> None:
        items = [
            ua.MonitoredItemCreateRequest(
                ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value),
                MonitoringMode=ua.MonitoringMode.Reporting,
                RequestedParameters=ua.MonitoringParameters(
                    ClientHandle=ua.UInt32(number),
                    SamplingInterval=ua.Double(self._publish_s * 1000),
                    QueueSize=ua.UInt32(ITEM_QUEUE),
                ),
            )
            for number, node in nodes
        ]
        params = ua.CreateMonitoredItemsParameters(
            SubscriptionId=ua.UInt32(self._id or 0),
            TimestampsToReturn=ua.TimestampsToReturn.Source,
            ItemsToCreate=items,
        )
        results = await connection.ask(connection.session.create_monitored_items(params))
        for place, (number, _) in enumerate(nodes):
            code = results[place].StatusCode.value if place < len(results) else StatusCodes.BadUnexpectedError
            if quality(code) is Quality.BAD:
                self.refused[number] = words(code)
                self._watched.discard(number)

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that nobody has taken yet, oldest first."""
        return tuple(self._changes)

    def take(self, count: int) -> list[Change]:
        """Give the oldest ``count`` changes and forget them."""
        return [self._changes.popleft() for _ in range(min(count, len(self._changes)))]

    async def close(self) -> None:
        """Stop listening; the server forgets the subscription with the session."""
        task, self._task = self._task, None
        self._connection = self._heard_s = None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=FINISHING_S)

    async def _end(self, connection: Connection) -> None:
        """Let go of the subscription before: on the same session the server would keep both."""
        old, number = self._connection, self._id
        await self.close()
        self._id = None
        if number is not None and old is not None and old.client is connection.client:
            try:
                await connection.ask(connection.session.delete_subscriptions([number]))
            except SaidNoError:
                log.debug("device %s: the server knew the old subscription no more", self._device)

    async def _publish(self, connection: Connection) -> None:
        """Ask again and again what is new; ends when the connection does."""
        seen: list[ua.SubscriptionAcknowledgement] = []
        while connection.client.connected:
            try:
                said = (await connection.session.publish(seen)).Parameters
            except UaStatusCodeError as error:
                seen = []
                if error.code in _ANSWERED_LATE:
                    await asyncio.sleep(self._publish_s)
                    continue
                return
            except (OSError, *GARBAGE):
                return
            seen = []
            if said.SubscriptionId == self._id:
                self._heard_s = self._monotonic_s()
                if not self._keep(said.NotificationMessage.NotificationData or []):
                    return
            if said.NotificationMessage.NotificationData:
                number = said.NotificationMessage.SequenceNumber
                seen = [ua.SubscriptionAcknowledgement(SubscriptionId=said.SubscriptionId, SequenceNumber=number)]

    def _keep(self, told: Sequence[object]) -> bool:
        """Keep what was told; False when the server says that the subscription is over."""
        for one in told:
            if isinstance(one, ua.StatusChangeNotification):
                return False
            if not isinstance(one, ua.DataChangeNotification):
                continue
            for item in one.MonitoredItems:
                if item.ClientHandle not in self._watched:
                    continue
                if len(self._changes) >= CHANGES_MAX:
                    self._changes.popleft()
                    self.lost += 1
                if item.Value.StatusCode is not None and overflowed(item.Value.StatusCode.value):
                    self.lost += 1
                self._changes.append(Change(item.ClientHandle, item.Value, self._now()))
        return True


def _nothing(_: object) -> None:
    """Take the place of the library's own delivery; ``_publish`` delivers."""
