"""One connection to the broker: the only place where paho's thread is met.

A link is used once.  What paho still holds in memory when a connection breaks is forgotten with it; the spool
sends it again, in order.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

KEEPALIVE_S = 10
CONNECT_TIMEOUT_S = 2.0
READY_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
INBOX_EVENTS_MAX = 10_000
_TAKEN_OVER = 0x8E  # MQTT 5.0, section 3.14.2.1
_FAILURE = 0x80

log = logging.getLogger(__name__)


class LinkError(Exception):
    """No connection to the broker; one sentence.  ``taken_over``: another client uses our name."""

    def __init__(self, message: str, *, taken_over: bool = False) -> None:
        super().__init__(message)
        self.taken_over = taken_over


class _Closing(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho only forgets it."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are there: by certificate and key (files), or by name and password.

    ``ca`` is the authority that certified the broker; without it the connection is not encrypted.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def encryption(self) -> ssl.SSLContext | None:
        """Give what TLS asks of the broker and shows of us; raises OSError for files that cannot be used."""
        if self.ca is None:
            return None
        context = ssl.create_default_context(cafile=self.ca)  # a certificate is required, and its name is checked
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Closing
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Arrived:
    """A command came."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The broker took a message (or refused it)."""

    message_id: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection is gone."""

    error: LinkError


@dataclass(frozen=True, slots=True)
class Nudged:
    """There is something new to send."""


Event = Arrived | Confirmed | Dropped | Nudged


class Link:
    """An MQTT 5 connection with a will and subscriptions, feeding one asyncio queue.

    The first of ``commands`` must be granted.
    """

    def __init__(self, broker: Broker, client_id: str, *, commands: Sequence[str], will: tuple[str, bytes]) -> None:
        self._broker = broker
        self._commands = commands
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._nudged = False
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(INBOX_EVENTS_MAX)
        self.unconfirmed: set[int] = set()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._client.username = broker.username
        self._client.password = broker.password
        self._client.will_set(will[0], will[1], qos=1)
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    @property
    def _place(self) -> str:
        return f"broker {self._broker.host}:{self._broker.port}"

    async def open(self) -> None:
        """Connect and subscribe; raises LinkError."""
        try:
            await asyncio.to_thread(self._connect)
            self._client.loop_start()
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._ready
        except TimeoutError:
            await self.close()
            raise LinkError(f"{self._place} does not answer") from None
        except ssl.SSLCertVerificationError as error:
            raise LinkError(f"{self._place} is not the one that our authority knows: {error.verify_message}") from None
        except OSError as error:
            raise LinkError(f"{self._place} cannot be reached: {error.strerror or error}") from None
        except (LinkError, asyncio.CancelledError):
            await self.close()
            raise

    def _connect(self) -> None:
        try:
            context = self._broker.encryption()
        except OSError as error:
            files = f"{self._broker.ca}, {self._broker.certificate} or {self._broker.key}"
            raise LinkError(f"{files} cannot be used: {error.strerror or error}") from None
        if context is not None:
            self._client.tls_set_context(context)
        self._client.connect(self._broker.host, self._broker.port, KEEPALIVE_S, clean_start=True)

    def publish(self, topic: str, payload: bytes) -> int:
        """Hand a message to paho (QoS 1); gives its id, which a Confirmed event will name."""
        info = self._client.publish(topic, payload, qos=1)
        self.unconfirmed.add(info.mid)
        return int(info.mid)

    def nudge(self) -> None:
        """Wake whoever waits for events."""
        if not self._nudged:
            self._nudged = True
            self._put(Nudged())

    async def events(self, timeout_s: float) -> list[Event]:
        """Wait for events; gives all that are there, none after the time-out.  Raises LinkError when dropped."""
        try:
            async with asyncio.timeout(timeout_s):
                events = [await self._inbox.get()]
        except TimeoutError:
            return []
        while not self._inbox.empty():
            events.append(self._inbox.get_nowait())
        self._nudged = False
        for event in events:
            if isinstance(event, Dropped):
                raise event.error
        return events

    async def close(self) -> None:
        """Send what is queued, say goodbye and end paho's thread."""
        self._ready.cancel()
        self._client.disconnect()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.to_thread(self._client.loop_stop)

    def _put(self, event: Event) -> None:
        with suppress(asyncio.QueueFull):  # a lost confirmation or command only means that frames go out again
            self._inbox.put_nowait(event)

    def _confirm(self, event: Confirmed) -> None:
        self.unconfirmed.discard(event.message_id)
        self._put(event)

    def _say(self, call: Callable[..., object], *args: object) -> None:
        """Cross from paho's thread into the loop."""
        with suppress(RuntimeError):  # the loop has closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *args)

    def _settle(self, error: LinkError | None) -> None:
        if self._ready.done():
            if error is not None:
                self._drop(error)
        elif error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _drop(self, error: LinkError) -> None:
        while self._inbox.full():  # the one event that must not be lost
            self._inbox.get_nowait()
        self._inbox.put_nowait(Dropped(error))

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if reason.is_failure:
            self._say(self._settle, LinkError(f"{self._place} refuses us: {str(reason).lower()}"))
        else:
            client.subscribe([(topic, 1) for topic in self._commands])

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _more: Any) -> None:
        own, *others = reasons
        if any(reason.is_failure for reason in others):
            log.warning("%s forbids us %s; devices cannot be set", self._place, self._commands[1])
        said = LinkError(f"{self._place} forbids us {self._commands[0]}") if own.is_failure else None
        self._say(self._settle, said)

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        taken_over = reason.value == _TAKEN_OVER
        said = f"closed the connection: {str(reason).lower()}"
        if not self._ready.done():
            said = (
                "closed the connection before it let us in; is it well, is our certificate in force, or are user name "
                "and password right?"
            )
        self._say(self._settle, LinkError(f"{self._place} {said}", taken_over=taken_over))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._say(self._put, Arrived(message.topic, bytes(message.payload)))

    def _on_publish(self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _more: Any) -> None:
        self._say(self._confirm, Confirmed(mid, reason.value < _FAILURE))


def _send_at_once(_client: Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
