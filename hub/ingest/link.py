"""The hub's connection to the broker: the only place of the process where paho's thread is met."""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from hub.ingest.inbox import Inbox, message, reconnected
from hub.ingest.share import EVERYTHING, Share
from rules.wire.sparkplug import millis
from rules.wire.topics import NAMESPACE

KEEPALIVE_S = 10
CONNECT_TIMEOUT_S = 2.0
RECONNECT_FIRST_S = 1
RECONNECT_MAX_S = 10
log = logging.getLogger(__name__)


class UnusableFilesError(Exception):
    """The certificates for the connection to the broker cannot be used: the sentence says why."""


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
    """Where the broker is and who the hub is there: by certificate and key (files), or by name and password.

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
        """Give what TLS asks of the broker and shows of us; raises UnusableFilesError."""
        if self.ca is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)  # a certificate is required, its name is checked
        except OSError as error:
            raise UnusableFilesError(f"{self.ca} cannot be used ({error.strerror or error})") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Closing
        self.show(context)
        return context

    def show(self, context: ssl.SSLContext) -> None:
        """Show our certificate in connections to come, as its files are now; raises UnusableFilesError."""
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except OSError as error:
                files = f"{self.certificate} and {self.key}"
                raise UnusableFilesError(f"{files} cannot be used ({error.strerror or error})") from None


class Link:
    """Connects for ever; fills the inbox with its share, publishes commands, and tells gateways whether it is there.

    STATE as in Sparkplug 3.0, section 6.4.24: retained JSON, the will carrying the time of its own connection.  Of
    several workers the one that has the rest says it; when that changes hands, the new one says it anew.
    """

    def __init__(self, broker: Broker, host_id: str, inbox: Inbox, clock: Callable[[], datetime]) -> None:
        self._broker = broker
        self._inbox = inbox
        self._clock = clock
        self._state_topic = f"{NAMESPACE}/STATE/{host_id}"
        self._connected_ms = 0
        self._loop = asyncio.get_running_loop()
        self.subscribed = asyncio.Event()  # for the first time
        self._complained = False
        self._share = EVERYTHING
        self._opened = self._closing = False
        self._speaks = False  # whether the will of this connection speaks for the hub
        self._context = broker.encryption()
        self._client = self._made()

    def _made(self) -> Client:
        host_id = self._state_topic.rpartition("/")[2]
        name = f"hub-{host_id}-{uuid4().hex[:12]}"  # there may be several
        client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        client.username, client.password = self._broker.username, self._broker.password
        if self._context is not None:
            client.tls_set_context(self._context)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(RECONNECT_FIRST_S, RECONNECT_MAX_S)
        client.on_pre_connect = self._before_connect
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    @property
    def connected(self) -> bool:
        """Whether the broker answers now."""
        return self._client.is_connected()

    def follow(self, share: Share) -> None:
        """Take in this share from now on; a connection whose will no longer fits is made anew.  Waits for paho."""
        before, self._share = self._share, share
        if not self._opened:
            self.open()
        elif share.rest != self._speaks:
            self._client.disconnect()  # in order: its will goes with it
            self._client.loop_stop()
            self._client = self._made()
            self.open()
        else:
            old, new = before.subscriptions(), share.subscriptions()
            if old - new:
                self._client.unsubscribe(sorted(old - new))
            if new - old:
                self._client.subscribe([(topic, 1) for topic in sorted(new - old)])

    def open(self) -> None:
        """Start to connect; gives at once."""
        self._opened = True
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S, clean_start=True)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a command (QoS 0, as Sparkplug asks); without a connection it is lost, and is made again when due."""
        self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        """Say that the hub goes, and end paho's thread."""
        self._closing = True
        if self._client.is_connected() and self._speaks:
            self._client.publish(self._state_topic, self._state(online=False), qos=1, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _state(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._connected_ms}).encode()

    def _complain(self, said: str) -> None:
        if not self._complained:
            self._complained = True
            place = f"broker {self._broker.host}:{self._broker.port}"
            advice = (
                "check its address, user and password" if self._context is None else "check address and certificates"
            )
            log.warning(
                "%s %s; %s. Trying again until it answers",
                place,
                said,
                advice,
                extra={"event": "broker.lost", "reason": said},
            )

    def _before_connect(self, client: Client, _data: Any) -> None:
        if self._context is not None:
            try:
                self._broker.show(self._context)  # they may have been renewed
            except UnusableFilesError as error:
                log.warning("%s; going on with those of before", error)
        self._connected_ms = millis(self._clock())
        self._speaks = self._share.rest
        if self._speaks:
            client.will_set(self._state_topic, self._state(online=False), qos=1, retain=True)
        else:
            client.will_clear()

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if reason.is_failure:
            self._complain(f"refuses the hub ({str(reason).lower()})")
            return
        self._inbox.mark(reconnected())
        client.subscribe([(topic, 1) for topic in (self._state_topic, *sorted(self._share.subscriptions()))])

    def _on_subscribe(self, client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _more: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("the broker forbids the hub to read %s/#; allow it in the broker's access list", NAMESPACE)
            return
        log.log(logging.WARNING if self._complained else logging.INFO, "the hub is connected to the broker")
        self._complained = False
        with suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.subscribed.set)
        if self._speaks:
            client.publish(self._state_topic, self._state(online=True), qos=1, retain=True)

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        self._complain("cannot be reached" if self._complained else self._why_not())

    def _why_not(self) -> str:
        """Try once more for a reason, which paho does not tell."""
        address = (self._broker.host, self._broker.port)
        try:
            with socket.create_connection(address, CONNECT_TIMEOUT_S) as plain:
                if self._context is not None:
                    self._context.wrap_socket(plain, server_hostname=self._broker.host).close()
        except ssl.SSLCertVerificationError as error:
            return f"is not the one that our authority knows ({error.verify_message})"
        except OSError as error:
            return f"cannot be reached ({error.strerror or error})"
        return "cannot be reached"

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if reason.is_failure:
            self._complain(f"has closed the connection ({str(reason).lower()})")

    def _on_message(self, _client: Client, _data: Any, arrived: MQTTMessage) -> None:
        try:
            topic = arrived.topic
        except UnicodeDecodeError:
            topic = "a topic that is not text"
        if topic == self._state_topic:
            self._state_said(bytes(arrived.payload))
        elif self._share.takes(topic):
            self._inbox.offer(message(topic, bytes(arrived.payload), self._clock()))

    def _state_said(self, payload: bytes) -> None:
        """Say that the hub is there where somebody's will says that it is not: another worker has died."""
        with suppress(ValueError, AttributeError):
            if json.loads(payload).get("online") is False and not self._closing:
                here = json.dumps({"online": True, "timestamp": millis(self._clock())})
                self._client.publish(self._state_topic, here, qos=1, retain=True)


def _send_at_once(_client: Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
