"""The library's client, held within bounds: what a hostile server sends costs little memory and no task is left.

What the library leaves open is closed here: the chunk and message sizes that we announce are kept whatever the server
announces, a connection that is let go of is cut at once, and what waits for the server runs in our own tasks.
"""

import asyncio
import logging

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.client.ua_session import UaSession
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import wait_for
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.ua.ua_binary import uatcp_to_binary

CHUNK_BYTES_MAX = 65_536
CHUNK_BYTES_MIN = 8_192  # what every peer can take (OPC 10000-6, 7.1.2.3)
MESSAGE_BYTES_MAX = 262_144  # 500 values are some 15 kB
CHUNKS_MAX = 32
CHANNEL_S = 3600.0
SEALING = frozenset({
    policy.URI for policy in (SecurityPolicyBasic256Sha256, SecurityPolicyAes128Sha256RsaOaep,
                              SecurityPolicyAes256Sha256RsaPss)
})  # fmt: skip
SILENT = logging.CRITICAL + 1  # the library calls a server's no fatal; its failures come back as our errors


class _Limits(TransportLimits):
    """Keeps our own limits; of the server's it takes how long our chunks may be."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        self.max_send_buffer = min(max(msg.ReceiveBufferSize, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX)


class _Socket(UASocketProtocol):
    """One connection."""

    is_cut = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.receive_buffer is not None and len(self.receive_buffer) > CHUNK_BYTES_MAX:
            self.cut()  # more than a chunk and no end of it

    def disconnect_socket(self) -> None:
        self.cut()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        super().connection_made(transport)
        if self.is_cut:
            transport.abort()

    def cut(self) -> None:
        """Let go at once: what is not sent yet would keep the socket for as long as the server takes nothing."""
        self.receive_buffer, self.is_cut = None, True
        if self.transport is not None:
            self.transport.abort()

    async def send_hello(self, url: str, max_messagesize: int = 0, max_chunkcount: int = 0) -> ua.Acknowledge:
        """Greet, and say how much we take."""
        hello = ua.Hello(
            ReceiveBufferSize=ua.UInt32(CHUNK_BYTES_MAX),
            SendBufferSize=ua.UInt32(CHUNK_BYTES_MAX),
            MaxMessageSize=ua.UInt32(max_messagesize),
            MaxChunkCount=ua.UInt32(max_chunkcount),
            EndpointUrl=ua.String(url),
        )
        answer: asyncio.Future[ua.Acknowledge] = asyncio.get_running_loop().create_future()
        self._callbackmap[0] = answer
        if self.transport is not None:
            self.transport.write(uatcp_to_binary(ua.MessageType.Hello, hello))  # type: ignore[arg-type]  # the library's own constant
        return await wait_for(answer, self.timeout)


class _Session(UaSession):
    """A session whose publish requests are sent by ``subscription``, not by a task of the library's."""

    def ensure_publish_loop(self) -> None:
        pass


class _Channel(UaClient):
    """Makes our kind of connection and session."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.session = _Session(self)

    def _make_protocol(self) -> UASocketProtocol:
        limits = _Limits(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX)
        self.protocol = _Socket(self._timeout, self.security_policy, limits)
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = lambda: True  # an answer that nobody waits for any more is no news
        return self.protocol


class WireClient(Client):
    """A client without tasks of its own: it connects when it is told to."""

    def __init__(self, url: str, timeout_s: float, session_s: float) -> None:
        """Prepare; ``session_s`` is how long the server keeps a session that says nothing."""
        logging.getLogger("asyncua").setLevel(SILENT)
        super().__init__(url, timeout_s)
        self.uaclient = _Channel(timeout_s)
        self.name = self.description = "Plantroom"
        self.application_uri = "urn:plantroom:edge"
        self.product_uri = "urn:plantroom"
        self.session_timeout = round(session_s * 1000)
        self.secure_channel_timeout = round(CHANNEL_S * 1000)
        self.max_messagesize, self.max_chunkcount = MESSAGE_BYTES_MAX, CHUNKS_MAX

    @property
    def connected(self) -> bool:
        """Whether there is a connection that nobody has cut, as far as anybody knows."""
        socket = self.uaclient.protocol
        return socket is not None and socket.transport is not None and not socket.is_closed

    async def open_channel(self) -> None:
        """Connect and open a secure channel, of the policy that was set."""
        await self.connect_socket()
        await self.send_hello()
        await self.open_secure_channel()

    async def resume(self) -> None:
        """Go on with the session of an earlier connection (OPC 10000-4, 6.7)."""
        self.uaclient.session.rebind_authentication_token()
        await self.activate()

    async def activate(self) -> None:
        """Activate the session as the user that was set."""
        await self.activate_session(username=self._username, password=self._password)

    def password_in_clear(self) -> bool:
        """Whether a password would be readable on the way: the server wants it plain and nothing encrypts it."""
        if self.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt:
            return False
        return self.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri not in SEALING

    def cut(self) -> None:
        """Let go of the connection at once; a session of it is kept in mind for ``resume``."""
        socket = self.uaclient.protocol
        self.uaclient.disconnect_socket()
        if isinstance(socket, _Socket):
            socket.cut()
