"""The one way out over HTTP: identity providers now; webhooks, cameras and map tiles when they come.

What leads a program of ours to an address may have been written by somebody else.  So a name is looked up here, every
address that it leads to is checked, and the connection goes to the very address that was checked: a name that answers
differently a moment later leads nowhere else.  Only https, no redirects, no proxy or password from the environment,
bounded time and bytes.  What lies inside the network is called only when ``PLANTROOM_OUTBOUND_ALLOW`` names it.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Self

import httpx

from hub import refusals
from hub.errors import InvalidError, UnavailableError

TOTAL_S = 15.0
CONNECT_S = 5.0
ANSWER_MAX_BYTES = 2_000_000
CONNECTIONS_MAX = 20
ADDRESSES_MAX = 4  # tried in turn
HOST_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)
NO_ADDRESS = "Only addresses like https://host/path can be called; correct the address."

# Beyond what ipaddress calls global: special blocks, relays that lead on to another address, and a cloud's metadata
# service that sits at a public one.
NOT_CALLED = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16", "3fff::/20")
)
GLOBAL_UNICAST = ip_network("2000::/3")  # all that IPv6 has given out

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

log = logging.getLogger(__name__)


class RefusedAddressError(InvalidError):
    """An address that Plantroom does not call: the sentence says which and what may be done."""


class NoAnswerError(UnavailableError):
    """Who was called does not answer, or answers too slowly or too much."""


class InvalidAllowError(ValueError):
    """An entry of the allow-list is neither a host name nor an address nor a network."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hosts and networks that may be called although they lie inside, also without TLS."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read ``idp.corp.example``, ``10.1.2.3`` and ``10.1.0.0/16``; raises InvalidAllowError."""
        hosts: set[str] = set()
        networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if "/" in entry or not HOST_NAME.fullmatch(entry) or entry.rpartition(".")[2].isdigit():
                    raise InvalidAllowError(
                        f"'{entry}' is not a host name, an address or a network; write it like idp.example.com or "
                        "10.1.0.0/16"
                    ) from None
                hosts.add(_plain(entry))
        return cls(frozenset(hosts), tuple(networks))

    def covers(self, host: str, address: Address) -> bool:
        """Whether this host at this address is on the list."""
        return _plain(host) in self.hosts or any(address in network for network in self.networks)


NOTHING = Allowed()


def public(address: Address) -> bool:
    """Whether an address lies outside: neither this machine, this network, a metadata service nor a way to them."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return public(mapped)
    special = address.is_multicast or address.is_reserved or not address.is_global
    beyond = isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST
    return not special and not beyond and not any(address in network for network in NOT_CALLED)


async def lookup(host: str, port: int) -> Sequence[str]:
    """Give the addresses of a host; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class CheckedTransport(httpx.AsyncBaseTransport):
    """Carries requests to checked addresses only; raises RefusedAddressError and NoAnswerError."""

    def __init__(
        self,
        allowed: Allowed = NOTHING,
        *,
        resolve: Resolve = lookup,
        trust: ssl.SSLContext | None = None,
        carrier: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        # No connection is kept: the next name at the same address has a certificate of its own to show.
        self._carrier = carrier or httpx.AsyncHTTPTransport(
            verify=trust or ssl.create_default_context(),
            trust_env=False,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check, connect and give the head of the answer; its body is bounded too."""
        host = request.url.raw_host.decode("ascii")
        deadline = asyncio.get_running_loop().time() + TOTAL_S
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._carried(request, host)
        except (httpx.TransportError, OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise _no_answer(host, error) from None
        if answer.headers.get("content-encoding", "identity") != "identity":  # it could grow without bound
            await answer.aclose()
            raise NoAnswerError(f"{host} answers in a form that was not asked for; ask whoever runs it.")
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        body = _BoundedStream(answer.stream, host, deadline)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._carrier.aclose()

    async def _carried(self, request: httpx.Request, host: str) -> httpx.Response:
        addresses = await self._checked(request.url, host)
        if not addresses:
            raise OSError("the name leads nowhere")
        *others, last = addresses
        for one in others:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._carrier.handle_async_request(_addressed(request, one, host))
        return await self._carrier.handle_async_request(_addressed(request, last, host))

    async def _checked(self, url: httpx.URL, host: str) -> list[Address]:
        address(str(url))
        found = await self._resolve(host, url.port or (443 if url.scheme == "https" else 80))
        addresses = list(dict.fromkeys(ip_address(text) for text in found))[:ADDRESSES_MAX]
        inside = [one for one in addresses if not self._allowed.covers(host, one)]
        if inside and url.scheme != "https":
            raise RefusedAddressError(f"{host} is called by https only; correct the address.")
        if any(not public(one) for one in inside):
            refusals.note("a call to a place inside", host, leads_to=", ".join(map(str, addresses)))
            raise RefusedAddressError(
                f"{host} leads to an address that Plantroom does not call; use a public one, or ask an administrator "
                "to allow it with PLANTROOM_OUTBOUND_ALLOW."
            )
        return addresses


class _BoundedStream(httpx.AsyncByteStream):
    """The body of an answer, up to ANSWER_MAX_BYTES and until the deadline."""

    def __init__(self, stream: httpx.AsyncByteStream, host: str, deadline: float) -> None:
        self._stream = stream
        self._host = host
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        chunks = aiter(self._stream)
        try:
            while (chunk := await self._next(chunks)) is not None:
                size += len(chunk)
                if size > ANSWER_MAX_BYTES:
                    raise NoAnswerError(f"{self._host} answers with more than {ANSWER_MAX_BYTES:,} bytes.")
                yield chunk
        except (httpx.TransportError, OSError) as error:
            raise _no_answer(self._host, error) from None

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        async with asyncio.timeout_at(self._deadline):
            return await anext(chunks, None)

    async def aclose(self) -> None:
        await self._stream.aclose()


def address(text: str) -> httpx.URL:
    """Read an address that somebody wrote; raises RefusedAddressError for one that cannot be called."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise RefusedAddressError(NO_ADDRESS) from None
    host = url.raw_host.decode("ascii")
    named = HOST_NAME.fullmatch(host) or ":" in host  # httpx has read what stands between brackets
    if url.scheme not in ("http", "https") or not named or url.userinfo:
        raise RefusedAddressError(NO_ADDRESS)
    return url


def client(transport: CheckedTransport, **options: Any) -> httpx.AsyncClient:
    """Give a client that goes out by ``transport`` alone; ``options`` are httpx's, e.g. ``headers``."""
    limits = httpx.Timeout(TOTAL_S, connect=CONNECT_S)
    return httpx.AsyncClient(transport=transport, timeout=limits, trust_env=False, follow_redirects=False, **options)


def _addressed(request: httpx.Request, address: Address, host: str) -> httpx.Request:
    """Give the request as it goes to ``address``: the name stays in Host, and in the certificate that is asked for."""
    headers = httpx.Headers(request.headers)
    headers["Accept-Encoding"] = "identity"
    extensions = {**request.extensions, "sni_hostname": host}
    url = request.url.copy_with(host=str(address))
    return httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _no_answer(host: str, error: Exception) -> NoAnswerError:
    why = "too slow" if isinstance(error, TimeoutError | httpx.TimeoutException) else type(error).__name__
    log.warning("%s did not answer: %s", host, error)
    return NoAnswerError(f"{host} does not answer ({why}); check the address and try again.")
