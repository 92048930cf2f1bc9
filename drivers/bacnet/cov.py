"""What a device tells by itself: subscriptions to changes of value (ASHRAE 135, clause 13.1), kept and distrusted.

Nothing runs in the background: every reading renews what is due, so a renewal that fails is known at once.  An object
whose subscription is not proven to live is polled.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil, inf

from bacpypes3.pdu import Address

from drivers.bacnet.answer import NoError, Said, Wanted
from drivers.bacnet.stack import Stack
from drivers.errors import MalformedError, UnreachableError

RENEW_PART = 0.5  # of the lifetime after which it is renewed
FIRST_WORD_S = 10.0  # a device tells the value at once when it takes a subscription or renews it
COV_RETRY_S = 600.0  # what was refused or stayed mute is polled and tried again now and then
SUBSCRIBE_AT_ONCE = 20  # in one reading, so that it stays short
AWAKE_GAP_S = 60.0  # between two I-Ams that count as restarts
PROOF_CYCLES = 10  # every so many readings all objects are polled
PROOF_S = 30.0  # and at least so often
TOLD_MAX = 1000  # values of one device that wait for the next reading
NEVER = -inf

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """One value that a device has told."""

    number: int  # of the point
    at: datetime
    value: Said
    flags: Said | None


@dataclass(slots=True)
class _Watch:
    """One object and how its subscription stands; all times monotonic."""

    of: Wanted
    asked_s: float = NEVER  # last subscribed or renewed
    told_s: float = NEVER
    ends_s: float = NEVER
    try_s: float = NEVER  # not to be asked before
    increment: float = 0.0
    last: Told | None = None


class Subscriptions:
    """The subscriptions of one device (obeys ``drivers.bacnet.stack.Ear``)."""

    def __init__(
        self,
        stack: Stack,
        instance: int,
        objects: Mapping[int, Wanted],
        *,
        lifetime_s: int,
        every_s: float,
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
    ) -> None:
        """Prepare for some objects by the number of their point; ``now`` stamps what is told.

        ``every_s`` is between two readings: all have to be renewed in time by readings that are so far apart.
        """
        self.instance = instance
        self._stack = stack
        self._lifetime_s = lifetime_s
        in_time = ceil(2 * len(objects) * every_s / (RENEW_PART * lifetime_s))
        self._at_once = max(SUBSCRIBE_AT_ONCE, in_time)
        self._now = now
        self._monotonic_s = monotonic_s
        self._objects = objects
        self._numbers = {(wanted.type, wanted.instance): number for number, wanted in objects.items()}
        self._waiting: deque[Told] = deque(maxlen=TOLD_MAX)
        self._overflown = False
        self._awake_s = self._proof_s = NEVER
        self._cycles = 0
        self._watches = {number: _Watch(wanted) for number, wanted in objects.items()}

    def forget(self) -> None:
        """Take every subscription for gone."""
        self._stack.deafen(self)
        self._watches = {number: _Watch(wanted) for number, wanted in self._objects.items()}
        self._awake_s = self._proof_s = NEVER

    def learn(self, number: int, increment: float) -> None:
        """Remember by how much an object has to change before it is told."""
        self._watches[number].increment = increment

    def told(self, of: tuple[str, int], values: dict[str, Said]) -> None:
        """Take a notification of changes."""
        number = self._numbers.get(of)
        value = values.get("present-value")
        if number is None or value is None:
            return
        if len(self._waiting) == TOLD_MAX and not self._overflown:
            self._overflown = True
            log.warning("device %s tells more changes than are read; the oldest are left out", self.instance)
        found = Told(number, self._now(), value, values.get("status-flags"))
        self._waiting.append(found)
        watch = self._watches[number]
        watch.told_s, watch.last = self._monotonic_s(), found

    def awake(self) -> None:
        """Take an I-Am for the sign of a restart: what was subscribed may be forgotten."""
        if self._monotonic_s() >= self._awake_s + AWAKE_GAP_S:
            self._awake_s = self._monotonic_s()
            self._suspect_all()

    def take(self) -> list[Told]:
        """Give what has been told since the last time, oldest first."""
        found = list(self._waiting)
        self._waiting.clear()
        self._overflown = False
        return found

    def last(self, number: int) -> Told | None:
        """Give the last value that was told of an object whose subscription lives; None: it has to be polled."""
        watch = self._watches.get(number)
        return watch.last if watch is not None and self._lives(watch) else None

    def newest(self, number: int) -> Told | None:
        """Give the last value that was told of an object, whatever became of its subscription."""
        watch = self._watches.get(number)
        return watch.last if watch is not None else None

    async def keep(self, to: Address) -> None:
        """Subscribe and renew what is due."""
        self._stack.listen(to, self)
        now_s = self._monotonic_s()
        due = [watch for watch in self._watches.values() if self._due(watch, now_s)]
        for watch in due[: self._at_once]:
            if not await self._subscribe(to, watch):
                break

    def proof_due(self) -> bool:
        """Whether all objects are to be polled in this reading, as a proof that device and subscriptions live."""
        self._cycles += 1
        now_s = self._monotonic_s()
        if self._cycles < PROOF_CYCLES and now_s < self._proof_s + PROOF_S:
            return False
        self._cycles, self._proof_s = 0, now_s
        return True

    def prove(self, number: int, polled: Said) -> None:
        """Compare a polled value with the last one told; what should have been told and was not condemns them all."""
        watch = self._watches.get(number)
        told = watch.last if watch is not None and self._lives(watch) else None
        if watch is None or told is None or told.value.number == polled.number:
            return
        if None not in (told.value.number, polled.number):
            assert told.value.number is not None
            assert polled.number is not None
            if abs(told.value.number - polled.number) < watch.increment:
                return
        self._suspect_all()

    def _suspect_all(self) -> None:
        """Poll everything until the device has taken its subscriptions anew and told a value for each."""
        for watch in self._watches.values():
            watch.asked_s = watch.ends_s = NEVER

    def _lives(self, watch: _Watch) -> bool:
        now_s = self._monotonic_s()
        spoke = watch.told_s >= watch.asked_s or now_s < watch.asked_s + FIRST_WORD_S
        return now_s < watch.ends_s and watch.told_s > NEVER and spoke

    def _due(self, watch: _Watch, now_s: float) -> bool:
        if now_s < watch.try_s:
            return False
        if watch.told_s < watch.asked_s and now_s >= watch.asked_s + FIRST_WORD_S:
            watch.try_s = now_s + COV_RETRY_S  # taken, but mute
            watch.asked_s = watch.ends_s = NEVER
            return False
        return now_s >= watch.asked_s + RENEW_PART * self._lifetime_s

    async def _subscribe(self, to: Address, watch: _Watch) -> bool:
        """Subscribe one object; gives whether there is sense in trying another now."""
        asked_s = self._monotonic_s()
        fresh = asked_s >= watch.ends_s
        try:
            if fresh:  # what was told under an old subscription proves nothing of the new one
                watch.told_s = NEVER
            watch.asked_s = asked_s
            await self._stack.subscribe(to, watch.of, self._lifetime_s)
        except (NoError, MalformedError, UnreachableError) as error:
            watch.asked_s = watch.ends_s = NEVER
            watch.try_s = asked_s + COV_RETRY_S
            whole = isinstance(error, UnreachableError) or (
                isinstance(error, NoError) and (error.unknown_service or error.no_room)
            )
            if whole:  # a device without COV, or with its table full: the others would be refused too
                for other in self._watches.values():
                    if other.ends_s == NEVER:
                        other.try_s = watch.try_s
                        other.asked_s = NEVER
            return not whole
        watch.ends_s = self._monotonic_s() + self._lifetime_s
        return True
