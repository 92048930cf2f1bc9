"""The control socket: one JSON object per line in, one per line out, on loopback only.

    {"do": "inject", "kind": "offset", "device": "AHU-A", "measure": "supply_temp", "amount": 6.0}
    {"do": "clear", "id": "1"}
    {"do": "list"}

and what ``simulators.scene`` lets happen at doors and before cameras ("badge", "door", "show", ...).

Every answer is ``{"ok": true, ...}`` or ``{"ok": false, "error": "one sentence"}``.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any

from simulators.faults import FaultBoard, InvalidFaultError, parse_fault
from simulators.scene import VERBS, Scene

HOST = "127.0.0.1"
MAX_LINE_BYTES = 8192
MAX_ANSWER_BYTES = 1 << 20
TIMEOUT_S = 5.0

Request = dict[str, Any]


class NoAnswerError(OSError):
    """The simulator did not answer; the message is one sentence."""


def answer(board: FaultBoard, line: bytes, now: datetime, scene: Scene | None = None) -> Request:
    """Do what one line asks for and give the answer; a refusal is an answer too."""
    try:
        request = json.loads(line)
    except ValueError:
        return _refusal("the request is not JSON; send one object per line")
    if not isinstance(request, dict):
        return _refusal("the request is not a JSON object")
    try:
        return {"ok": True, **_do(board, request, now, scene)}
    except InvalidFaultError as error:
        return _refusal(str(error))


def _refusal(sentence: str) -> Request:
    return {"ok": False, "error": sentence}


def _do(board: FaultBoard, request: Request, now: datetime, scene: Scene | None) -> Request:
    rest = {key: value for key, value in request.items() if key != "do"}
    match request.get("do"):
        case "inject":
            return {"id": board.inject(parse_fault(rest), now)}
        case "clear":
            board.clear(str(request.get("id")))
            return {}
        case "list":
            return {"faults": board.rows(now)}
        case verb if scene is not None and verb in VERBS:
            scene.act(request)
            return {}
    raise InvalidFaultError("'do' must be inject, clear or list")


async def serve(
    board: FaultBoard, port: int, clock: Callable[[], datetime], scene: Scene | None = None
) -> asyncio.Server:
    """Listen for requests on loopback; the caller closes the server."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(answer(board, line, clock(), scene)).encode() + b"\n")
                await writer.drain()
                if not line.startswith(b"{"):
                    break  # perhaps a web page's form, whose body could hold a request
        except ValueError:  # a line beyond MAX_LINE_BYTES
            writer.write(json.dumps(_refusal(f"a request has at most {MAX_LINE_BYTES} bytes")).encode() + b"\n")
        except ConnectionError:
            pass  # who asked has gone
        finally:
            writer.close()

    return await asyncio.start_server(talk, HOST, port, limit=MAX_LINE_BYTES)


async def ask_async(port: int, request: Request) -> Request:
    """Send one request to a running simulator and give its answer; raises NoAnswerError."""
    return await asyncio.to_thread(ask, port, request)


def ask(port: int, request: Request) -> Request:
    """Send one request to a running simulator and give its answer; raises NoAnswerError."""
    try:
        with socket.create_connection((HOST, port), timeout=TIMEOUT_S) as link, link.makefile("rb") as lines:
            link.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(lines.readline(MAX_ANSWER_BYTES))
    except (OSError, ValueError) as error:
        raise NoAnswerError(f"the simulator does not answer on {HOST}:{port} ({error}); is it running there?") from None
    assert isinstance(reply, dict)
    return reply
