"""What every answer carries and every request must keep to."""

import re
from collections.abc import Callable, Mapping
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web import intake
from web.session import SAFE_METHODS
from web.settings import WebSettings
from web.throttle import HEALTH, NO_SOCKET
from web.words import N_

POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
INERT = "sandbox; default-src 'none'; frame-ancestors 'none'"  # of data that somebody opens as if it were a page
DATA = ("application/json", "text/csv", "application/zip", "image/")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
TARGET_MAX_BYTES = 8_192
HEADERS_MAX = 64
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
HOST = re.compile(r"([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")
OURS = ("same-origin", "none")  # a page of ours, or the visitor himself

Refusal = tuple[int, str]
Say = Callable[[Request, int, str], Response]

MISSHAPEN: Refusal = (400, N_("This request cannot be understood; it is not written as HTTP asks."))
FOREIGN: Refusal = (403, N_("This request comes from another site and was refused."))
TOO_BIG: Refusal = (413, intake.TOO_BIG)
TOO_LONG: Refusal = (414, N_("This address is too long."))
MISDIRECTED: Refusal = (421, N_("Plantroom is not reached under this name; use the address that you were given."))
TOO_MANY_HEADERS: Refusal = (431, N_("This request carries too many headers."))


class Guard:
    """Numbers and measures requests, adds the headers, keeps pages out of caches, refuses what is not ours."""

    def __init__(self, app: ASGIApp, settings: WebSettings, say: Say) -> None:
        self.app = app
        self._public = settings.public_address
        self._headers = headers_for(settings)
        self._say = say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request or handshake on, or answer it at once."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        request_id = uuid4().hex  # ours: one that a client chose could forge the record
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                if headers.get("Content-Type", "").startswith(DATA):
                    headers.setdefault("Content-Security-Policy", INERT)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = _refusal(scope, Headers(scope=scope), self._public)
        if scope["type"] == "websocket":
            await (send(NO_SOCKET) if refused else self.app(scope, receive, send))
        elif refused is not None:
            await self._answer(scope, *refused)(scope, receive, send_guarded)
        else:
            await self.app(scope, intake.Measured(receive, intake.allowed(scope["path"])), send_guarded)

    def _answer(self, scope: Scope, status: int, sentence: str) -> Response:
        answer = self._say(Request(scope), status, sentence)
        answer.headers.update(intake.HANG_UP)
        return answer


def headers_for(settings: WebSettings) -> Mapping[str, str]:
    """Give what every answer carries; over https browsers are told to come by https alone."""
    return {**HEADERS, **HTTPS_ONLY} if settings.secure_cookies else HEADERS


def _refusal(scope: Scope, headers: Headers, public: str) -> Refusal | None:
    """Give why a request goes no further; ``public`` is the address that people know, empty for any."""
    return _misshapen(scope, headers) or _misdirected(scope["path"], headers["host"], public) or _foreign(
        scope, headers, public
    )  # fmt: skip


def _misshapen(scope: Scope, headers: Headers) -> Refusal | None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > TARGET_MAX_BYTES:
        return TOO_LONG
    if len(scope["headers"]) > HEADERS_MAX:
        return TOO_MANY_HEADERS
    length = headers.get("content-length")
    two_lengths = length is not None and "transfer-encoding" in headers  # a proxy before us may believe the other
    hosts = headers.getlist("host")
    if two_lengths or len(hosts) != 1 or not HOST.fullmatch(hosts[0]) or CONTROL.search(scope["path"]):
        return MISSHAPEN
    if length is None:
        return None
    if not length.isdecimal():
        return MISSHAPEN
    return TOO_BIG if int(length) > intake.allowed(scope["path"]).max_bytes else None


def _misdirected(path: str, host: str, public: str) -> Refusal | None:
    known = not public or path == HEALTH or host.lower() == public.partition("://")[2]
    return None if known else MISDIRECTED


def _foreign(scope: Scope, headers: Headers, public: str) -> Refusal | None:
    if scope["type"] == "websocket":
        ours = headers.get("origin") in _origins(headers, public)  # every browser says whose page opens a socket
    elif scope["method"] in SAFE_METHODS:
        ours = headers.get("sec-fetch-site", "none") in OURS or _is_link(headers)
    else:
        ours = _same_origin(headers, public)
    return None if ours else FOREIGN


def _is_link(headers: Headers) -> bool:
    """Whether the visitor followed a link to a page, as from a mail; not a picture, a frame or a script."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _same_origin(headers: Headers, public: str) -> bool:
    """Whether a browser says that the request comes from a page of ours; what is no browser says nothing."""
    said = headers.get("origin") in (None, *_origins(headers, public))
    return said and headers.get("sec-fetch-site", "none") in OURS


def _origins(headers: Headers, public: str) -> tuple[str, ...]:
    host = headers["host"]
    return (public,) if public else (f"http://{host}", f"https://{host}")  # a proxy may have taken TLS off
