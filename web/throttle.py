"""How often one address may ask: token buckets in this process, by address and kind of request.

An IPv6 customer owns a whole /64, so that is one address here.  A sign-in that succeeds costs nothing: an office behind
one address signs in together in the morning, and only guesses are counted.
"""

import logging
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.access.backoff import neighbourhood
from web.intake import UPLOADS
from web.words import N_

BUCKETS_MAX = 20_000  # of each kind; the one that was used longest ago is forgotten first
DOORS = ("/sign-in", "/second-factor", "/account/password", "/account/factor", "/welcome", "/reset")
COSTLY = "/reset"  # sends a letter also when it succeeds
HEALTH = "/api/health"  # asked by whoever watches the process, as often as he likes and under whatever name
TOO_OFTEN = N_("Too many requests come from your address; wait a moment and try again.")
TOO_MANY_REQUESTS = 429
NO_SOCKET: Message = {"type": "websocket.close"}  # before the handshake: refused with 403
LAST_SUCCESS = 399

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_minute`` in the long run, ``burst`` at once."""

    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True)
class Rates:
    """What one address may ask, and how many live sockets it and one user may hold."""

    doors: Rate = Rate(10, 10)
    uploads: Rate = Rate(60, 20)
    api: Rate = Rate(300, 100)
    handshakes: Rate = Rate(300, 200)
    files: Rate = Rate(3_000, 1_000)
    pages: Rate = Rate(600, 200)
    sockets_per_address: int = 300
    sockets_per_user: int = 40


USUAL = Rates()


@dataclass(slots=True)
class Bucket:
    """What is left for one address; ``refused`` since its last request that passed."""

    left: float
    at_s: float
    refused: bool = False


class Buckets:
    """The buckets of one kind of request, by address; ``now_s`` is a monotonic time."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: str, now_s: float) -> float:
        """Take one token; gives 0, or after how many seconds there will be one."""
        bucket = self._filled(who, now_s)
        if bucket.left < 1:
            if not bucket.refused:
                log.warning("too many requests from %s", who)
            bucket.refused = True
            return (1 - bucket.left) * 60 / self._rate.per_minute
        bucket.left -= 1
        bucket.refused = False
        return 0.0

    def give_back(self, who: str, now_s: float) -> None:
        """Put one token back."""
        bucket = self._filled(who, now_s)
        bucket.left = min(bucket.left + 1, self._rate.burst)

    def _filled(self, who: str, now_s: float) -> Bucket:
        bucket = self._buckets.setdefault(who, Bucket(self._rate.burst, now_s))
        self._buckets.move_to_end(who)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        grown = bucket.left + (now_s - bucket.at_s) * self._rate.per_minute / 60
        bucket.left, bucket.at_s = min(grown, self._rate.burst), now_s
        return bucket


class Places:
    """Counts what is open at the same time, up to ``most`` for each holder."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[Hashable] = Counter()

    @contextmanager
    def hold(self, who: Hashable) -> Iterator[bool]:
        """Hold a place for a while; false when ``who`` has no more."""
        if self._held[who] >= self._most:
            yield False
            return
        self._held[who] += 1
        try:
            yield True
        finally:
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]


class Throttle:
    """Passes requests on as long as their address keeps to ``rates``; ``say`` writes the refusal in the form asked."""

    def __init__(
        self,
        app: ASGIApp,
        rates: Rates,
        say: Callable[[Request, int, str], Response],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self._say = say
        self._clock = clock
        self._doors, self._uploads, self._api = Buckets(rates.doors), Buckets(rates.uploads), Buckets(rates.api)
        self._files, self._pages = Buckets(rates.files), Buckets(rates.pages)
        self._handshakes = Buckets(rates.handshakes)
        self._sockets = Places(rates.sockets_per_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request or handshake on, or answer 429."""
        if scope["type"] == "lifespan" or scope["path"] == HEALTH:
            await self.app(scope, receive, send)
            return
        who = neighbourhood(scope["client"][0] if scope.get("client") else "")
        now_s = self._clock()
        wait_s = max(buckets.take(who, now_s) for buckets in self._asked(scope))
        if scope["type"] == "websocket":
            with self._sockets.hold(who) as free:
                await (self.app(scope, receive, send) if free and not wait_s else send(NO_SOCKET))
        elif wait_s:
            await self._refusal(scope, wait_s)(scope, receive, send)
        else:
            refunded = _is_door(scope) and not scope["path"].startswith(COSTLY)
            await self.app(scope, receive, self._refunding(who, send) if refunded else send)

    def _asked(self, scope: Scope) -> tuple[Buckets, ...]:
        path: str = scope["path"]
        if scope["type"] == "websocket":
            return (self._handshakes,)
        if path.startswith("/static/"):
            return (self._files,)
        if _is_door(scope):
            return (self._pages, self._doors)
        if scope["method"] == "POST" and path.startswith(tuple(UPLOADS)):
            return (self._pages, self._uploads)
        return (self._api,) if path.startswith("/api/") else (self._pages,)

    def _refunding(self, who: str, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] <= LAST_SUCCESS:
                self._doors.give_back(who, self._clock())
            await send(message)

        return send_on

    def _refusal(self, scope: Scope, wait_s: float) -> Response:
        answer = self._say(Request(scope), TOO_MANY_REQUESTS, TOO_OFTEN)
        answer.headers["Retry-After"] = str(math.ceil(wait_s))
        return answer


def _is_door(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" and scope["path"].startswith(DOORS))
