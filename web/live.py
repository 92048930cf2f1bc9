"""The one WebSocket of a page: on connect all rows of its lists, then what changes, and a heartbeat."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from hub.access.rows import Visitor
from web.boards import DOUBT, Boards, Mailbox, TooManyBoardsError, now_iso
from web.session import visitor_of

HEARTBEAT_S = 5.0
CHECK_SESSION_EVERY_S = 30.0
LISTS_MAX = 8
FILTER_CHARACTERS_MAX = 200
SIGN_IN_NEEDED = 4401
NOT_ALLOWED = 4403
RIGHTS_CHANGED = 4409
TRY_AGAIN_LATER = 1013

router = APIRouter()


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Keep one page up to date: ``?list=alarms&list=points?device=EM-1``."""
    with suppress(WebSocketDisconnect):  # a page may close at any moment
        await socket.accept()
        who = await visitor_of(socket)
        if who is None:
            await socket.close(SIGN_IN_NEEDED)
            return
        socket.state.visitor = who  # for the witness
        with socket.app.state.sockets.hold(who.user_id) as free:
            await (_admit(socket, who) if free else socket.close(TRY_AGAIN_LATER))


async def _admit(socket: WebSocket, who: Visitor) -> None:
    boards: Boards = socket.app.state.boards
    wanted = [_parse(spec) for spec in socket.query_params.getlist("list")[:LISTS_MAX]]
    if any(name not in boards.lists or not who.may(boards.lists[name].right) for name, _ in wanted):
        await socket.close(NOT_ALLOWED)
        return
    await _serve(socket, who, boards, wanted)


def _parse(spec: str) -> tuple[str, dict[str, str]]:
    name, _, query = spec.partition("?")
    return name, dict(parse_qsl(query[:FILTER_CHARACTERS_MAX]))


async def _serve(socket: WebSocket, who: Visitor, boards: Boards, wanted: list[tuple[str, dict[str, str]]]) -> None:
    with boards.mailbox(who) as mailbox:
        await _deliver(socket, boards, wanted, mailbox)


async def _deliver(
    socket: WebSocket, boards: Boards, wanted: list[tuple[str, dict[str, str]]], mailbox: Mailbox
) -> None:
    joined = []
    try:
        for name, filters in wanted:
            joined.append(boards.join(mailbox.owner, name, filters, mailbox))
        reader = asyncio.create_task(_read(socket))
        writer = asyncio.create_task(_write(socket, mailbox))
        done, left = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for task in done:
            with suppress(WebSocketDisconnect):
                task.result()
    except TooManyBoardsError:
        await socket.close(TRY_AGAIN_LATER)
    finally:
        for board in joined:
            boards.leave(board, mailbox)


async def _read(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # a page says nothing; this notices when it goes away


async def _write(socket: WebSocket, mailbox: Mailbox) -> None:
    clock = asyncio.get_running_loop().time
    who, check_at = mailbox.owner, clock() + _trusted_s(mailbox.owner)
    while not mailbox.full:
        try:
            message = await asyncio.wait_for(mailbox.waiting.get(), HEARTBEAT_S)
        except TimeoutError:
            message = json.dumps({"now": now_iso()})
        if message == DOUBT or clock() >= check_at:
            now = await visitor_of(socket)
            # Gone, or no longer what the lists were chosen for.
            if now is None or (now.organisation_id, now.actor()) != (who.organisation_id, who.actor()):
                await socket.close(SIGN_IN_NEEDED if now is None else RIGHTS_CHANGED)
                return
            check_at = clock() + _trusted_s(now)
        if message != DOUBT:
            await socket.send_text(message)
    await socket.close(TRY_AGAIN_LATER)


def _trusted_s(who: Visitor) -> float:
    """Give for how many seconds nothing changes about somebody but what the live channel tells."""
    return min(CHECK_SESSION_EVERY_S, max(0.0, (who.changes_at - datetime.now(UTC)).total_seconds()))
