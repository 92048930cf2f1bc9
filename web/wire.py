"""HTTP/1.1 on the wire with the patience that uvicorn lacks: it waits for a head, and for a reader, without end."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hub.access.backoff import neighbourhood

HEAD_WITHIN_S = 10.0  # from the connection, or the last answer, to the end of the next request's head
READ_WITHIN_S = 60.0  # until a client takes what waits for it
CONNECTIONS_PER_ADDRESS_MAX = 200  # not for a trusted proxy, which speaks for everybody


class PatientProtocol(H11Protocol):
    """One connection; ``open_now`` counts them by address, ``trusted`` are proxies."""

    trusted: ClassVar[tuple[str, ...]] = ()
    open_now: ClassVar[Counter[str]] = Counter()
    _whose = ""
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; hang up on an address that holds too many connections."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        if not _trusted(host, self.trusted):
            self._whose = neighbourhood(host)
            self.open_now[self._whose] += 1
            if self.open_now[self._whose] > CONNECTIONS_PER_ADDRESS_MAX:
                transport.abort()
                return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._let_go()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection to the WebSocket protocol, which has a patience of its own."""
        self._let_go()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Begin to wait for the next head."""
        super().on_response_complete()
        self._await_head()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        super().pause_writing()
        self._read_timer = self.loop.call_later(READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._stop(self._read_timer)
        super().resume_writing()

    def _await_head(self) -> None:
        self._stop(self._head_timer)
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self._give_up)

    def _give_up(self) -> None:
        if self.conn.our_state not in (h11.SEND_RESPONSE, h11.SEND_BODY):  # or it is our turn
            self.transport.abort()

    def _let_go(self) -> None:
        self._stop(self._head_timer)
        self._stop(self._read_timer)
        if self._whose:
            self.open_now[self._whose] -= 1
            if not self.open_now[self._whose]:
                del self.open_now[self._whose]
            self._whose = ""

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def protocol(trusted: Iterable[str]) -> type[PatientProtocol]:
    """Give the protocol of one server; ``trusted`` are addresses and networks of proxies."""
    return type("PlantroomProtocol", (PatientProtocol,), {"trusted": tuple(trusted), "open_now": Counter()})


def _trusted(host: str, trusted: Iterable[str]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in ip_network(one) for one in trusted)
