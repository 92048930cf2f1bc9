"""HTTP to one device: bounded in bytes and time, never to another machine, no redirects, no compression."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from drivers.credentials import credential
from drivers.errors import MalformedError, MisconfiguredError, RefusedError, UnreachableError
from rules.model.line import OnvifLine

UNAUTHORISED = (401, 403)
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str  # of content
    body: bytes


class Transport:
    """Asks one device; a connection per request, so that none is left over when the device restarts."""

    def __init__(self, line: OnvifLine) -> None:
        """Prepare; nothing is opened.

        The certificate of an https device is the credential ``onvif-<line>-certificate`` (PEM); without one the
        system's authorities have to know it.
        """
        self.user = line.user
        self.password = credential(f"onvif-{line.code}-password") if line.user else None
        self._line = line
        self._home = urlsplit(line.url)
        self._auth: httpx.Auth | None = None
        self._client: httpx.AsyncClient | None = None
        self._running: set[asyncio.Timeout] = set()

    @property
    def place(self) -> str:
        """Where the device is, in words."""
        return f"{self._home.hostname}:{_port(self._home)}"

    def here(self, url: str) -> str:
        """Give an address that the device names, at the host of the line: behind NAT it does not know its own.

        Another port of the same host is kept; from https nothing leads to http.
        """
        try:
            said = urlsplit(url)
            near = (said.scheme, said.hostname) == (self._home.scheme, self._home.hostname) and _port(said) > 0
        except ValueError:
            raise MalformedError(f"{self.place} names an address that is none") from None
        base = said if near else self._home
        path = said.path if said.path.startswith("/") else f"/{said.path}"
        host = f"[{base.hostname}]" if ":" in (base.hostname or "") else base.hostname
        return urlunsplit((base.scheme, f"{host}:{_port(base)}", path, said.query, ""))

    async def post(self, url: str, body: bytes, kind: str, most: int) -> Answer:
        """Send a body; raises ``drivers.errors``."""
        return await self._ask("POST", url, most, body, {"Content-Type": kind})

    async def get(self, url: str, most: int) -> Answer:
        """Fetch; raises ``drivers.errors``."""
        return await self._ask("GET", url, most, None, {})

    def close(self) -> None:
        """Break off what is being asked; nothing else is open."""
        for running in self._running:
            running.reschedule(0)  # a moment long past

    async def _ask(self, method: str, url: str, most: int, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            async with asyncio.timeout(self._line.timeout_s) as running:
                self._running.add(running)
                try:
                    return await self._told(method, url, most, body, headers)
                finally:
                    self._running.discard(running)
        except TimeoutError:
            raise UnreachableError(f"no whole answer from {self.place} within {self._line.timeout_s:g} s") from None
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                name = f"onvif-{self._line.code}-certificate"
                said = f"{self.place} has a certificate that nobody vouches for"
                raise MisconfiguredError(f"{said}; if it is its own, make it the credential {name}") from None
            raise UnreachableError(f"{self.place} cannot be reached", link=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError):
            raise UnreachableError(f"{self.place} broke off in the middle of an answer") from None

    async def _told(self, method: str, url: str, most: int, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        answer, challenge = await self._once(method, url, most, body, headers)
        if answer.status in UNAUTHORISED and self._learn(challenge):
            answer, _ = await self._once(method, url, most, body, headers)
        return answer

    async def _once(
        self, method: str, url: str, most: int, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Answer, str]:
        if self._client is None:
            self._client = self._made()
        sent = {"Accept-Encoding": "identity", "Connection": "close", **headers}
        async with self._client.stream(method, url, content=body, headers=sent, auth=self._auth) as response:
            if response.is_redirect:
                raise RefusedError(f"{self.place} sends elsewhere instead of answering, which is not followed")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise MalformedError(f"{self.place} compresses its answer, which was not asked for")
            data = bytearray()
            async for part in response.aiter_raw():
                data += part
                if len(data) > most:
                    raise MalformedError(f"{self.place} sent more than {most} bytes for one answer")
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Answer(response.status_code, kind, bytes(data)), response.headers.get("www-authenticate", "")

    def _learn(self, challenge: str) -> bool:
        """Take up the way to sign in that the device asks for; a password is never sent in the clear."""
        scheme = challenge.partition(" ")[0].lower()
        if self._auth is not None or self.user is None or self.password is None:
            return False
        if scheme == "digest":
            self._auth = httpx.DigestAuth(self.user, self.password)
        elif scheme == "basic" and self._home.scheme == "https":
            self._auth = httpx.BasicAuth(self.user, self.password)
        return self._auth is not None

    def _made(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._trust(),
            trust_env=False,
            follow_redirects=False,
            timeout=self._line.timeout_s,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
        )

    def _trust(self) -> ssl.SSLContext:
        if self._home.scheme == "http":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used
        name = f"onvif-{self._line.code}-certificate"
        if (own := credential(name)) is None:
            return ssl.create_default_context()
        try:
            context = ssl.create_default_context(cadata=own)
        except ssl.SSLError:
            raise MisconfiguredError(f"the credential {name} is no certificate in PEM") from None
        context.check_hostname = False  # this very certificate is asked for; cameras rarely name their address in it
        return context


def _port(url: SplitResult) -> int:
    return url.port or PORTS.get(url.scheme, 0)
