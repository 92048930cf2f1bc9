"""What every answer carries and every request must keep to."""

from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.session import SAFE_METHODS

POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
BODY_MAX_BYTES = 1_000_000
TOO_BIG = PlainTextResponse("What was sent is too big.\n", 413)
FOREIGN = PlainTextResponse("This request comes from another site and was refused.\n", 403)


class Guard:
    """Adds the headers, keeps pages out of caches, refuses what another site or an oversized body sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it at once."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        request_id = uuid4().hex  # ours: one that a client chose could forge the record
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = _refusal(scope["method"], Headers(scope=scope))
        await (refused or self.app)(scope, receive, send_guarded)


def same_origin(headers: Headers) -> bool:
    """Whether a browser says that the request comes from a page of this host; no browser, no Origin: true."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return urlsplit(origin).netloc == headers.get("host", "")


def _refusal(method: str, headers: Headers) -> PlainTextResponse | None:
    if method in SAFE_METHODS:
        return None
    length = headers.get("content-length", "")
    if "transfer-encoding" in headers or (length.isdigit() and int(length) > BODY_MAX_BYTES):
        return TOO_BIG
    return None if same_origin(headers) else FOREIGN
