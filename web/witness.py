"""The witness of refusals: whatever part of the program refuses, the security log hears of it, once per streak.

When somebody who is signed in asks for what is not his, the record of acts keeps that too.  Outermost of all, it also
knows what is being answered, so that every line of the log can say in which request it was written and for whom.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import refusals
from hub.access.backoff import neighbourhood
from hub.access.rows import Visitor
from hub.audit import service as audit
from hub.errors import UnavailableError
from hub.store.database import Database
from web.live import NOT_ALLOWED, SIGN_IN_NEEDED

UNKNOWN = 401
FORBIDDEN = 403
REFUSED: Mapping[int, str] = {
    400: "a misshapen request",
    UNKNOWN: "an unknown token",
    FORBIDDEN: "a forbidden act",
    408: "a slow request",
    413: "a big request",
    414: "a long address",
    421: "a foreign host name",
    422: "unusable input",
    429: "too many requests",
    431: "too many headers",
    SIGN_IN_NEEDED: "a socket of nobody",
    NOT_ALLOWED: "a forbidden socket",
}

_answering: ContextVar[Mapping[str, Any] | None] = ContextVar("answering", default=None)


def asking() -> Mapping[str, str]:
    """Give which request is being answered here, and for whom, for the log; empty outside requests."""
    state = _answering.get()
    if state is None:
        return {}
    who = _visitor(state)
    return {
        "request": state.get("request_id", ""),
        "actor": who.login if who else "",
        "organisation": str(who.organisation_id) if who else "",
    }


def _visitor(state: Mapping[str, Any]) -> Visitor | None:
    visit = state.get("visit")
    found: Visitor | None = visit.who if visit is not None else state.get("visitor")
    return found


class Witness:
    """Passes everything on and looks at the answers."""

    def __init__(self, app: ASGIApp, note: refusals.Note = refusals.note) -> None:
        self.app = app
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request or handshake on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        _answering.set(scope.setdefault("state", {}))

        async def watched(message: Message) -> None:
            code = _code(message)
            if code in REFUSED and (code != UNKNOWN or _brought_token(scope)):  # a session that ended is no attempt
                await self._witness(scope, code)
            await send(message)

        await self.app(scope, receive, watched)

    async def _witness(self, scope: Scope, code: int) -> None:
        state = scope["state"]
        who = _visitor(state)
        address = scope["client"][0] if scope.get("client") else ""
        route = f"{scope.get('method', 'SOCKET')} {_path(scope)}"
        facts = {"address": address, "request": state.get("request_id", ""), "why": state.get("refusal", "")}
        first = self._note(
            f"{REFUSED[code]} {route if who else ''}".strip(),
            who.login if who else neighbourhood(address),
            status=code,
            route=route,
            **facts,
        )
        if first and who is not None and code in (FORBIDDEN, NOT_ALLOWED):
            await _record(scope["app"].state.database, who, route, facts)


def _brought_token(scope: Scope) -> bool:
    return any(name == b"authorization" for name, _ in scope["headers"])


def _code(message: Message) -> int:
    """Give the status of an answer or the reason of a closed socket; 0 for all that comes after."""
    if message["type"] in ("http.response.start", "websocket.http.response.start"):
        return int(message["status"])
    return int(message.get("code") or 0) if message["type"] == "websocket.close" else 0


def _path(scope: Scope) -> str:
    """Give the route as it is declared, so that thousands of ids are one route; else what was asked for."""
    return str(getattr(scope.get("route"), "path", scope["path"]))


async def _record(database: Database, who: Visitor, route: str, facts: Mapping[str, str]) -> None:
    actor = who.actor(address=facts["address"], request_id=facts["request"])
    try:
        async with database.transaction(who.organisation_id, actor) as tx:
            await audit.record(tx, "refused", "page", route, {"why": facts["why"]})
    except UnavailableError:
        refusals.log.warning("a refusal could not be recorded: the database cannot be reached")
