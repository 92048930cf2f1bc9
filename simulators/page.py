"""The control page: what is simulated, what is wrong with it, and forms to make it so.  Loopback only, no script.

It does what the control socket does.  A page of another site cannot use it: the address that is asked has to be ours,
and a form has to come from it.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, StrictUndefined

from rules.model.site import SiteFile
from simulators.control import answer
from simulators.faults import FaultBoard, FaultKind
from simulators.http_server import HOST, HttpServer, Request, Response
from simulators.scene import Scene

FIELDS_MAX = 20
NUMBERS = ("amount", "start_s", "duration_s")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
# What a button lets happen at a door or before a camera: words, request of the control socket.
DEEDS: Mapping[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "door": (
        ("badge, granted", {"do": "badge", "card": "4711", "granted": True}),
        ("badge, denied", {"do": "badge", "card": "4711", "granted": False}),
        ("opened", {"do": "door", "state": "open"}),
        ("closed", {"do": "door", "state": "closed"}),
        ("forced", {"do": "door", "state": "forced"}),
        ("held open", {"do": "door", "state": "held"}),
    ),
    "camera": (
        ("motion", {"do": "show", "what": "motion", "on": True}),
        ("no motion", {"do": "show", "what": "motion", "on": False}),
        ("tampered", {"do": "show", "what": "tamper", "on": True}),
        ("in order", {"do": "show", "what": "tamper", "on": False}),
    ),
}


class Page:
    """One page over one running site."""

    def __init__(
        self, site: SiteFile, board: FaultBoard, scene: Scene, port: int, clock: Callable[[], datetime]
    ) -> None:
        self._site, self._board, self._scene = site, board, scene
        self._clock = clock
        self._ours = {f"{HOST}:{port}", f"localhost:{port}"}
        text = (resources.files("simulators") / "page.html").read_text(encoding="utf-8")
        self._template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
        self.server = HttpServer(self._serve, port)

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(self._answer(request).written())

    def _answer(self, request: Request) -> Response:
        host, origin = request.headers.get("host", ""), request.headers.get("origin", f"http://{HOST}")
        if host not in self._ours:
            return Response(421, "text/plain", b"This page answers on loopback only.\n")
        if request.method == "GET" and request.path == "/":
            return self._page("")
        if request.method != "POST" or request.path not in ("/inject", "/clear", "/deed"):
            return Response(404, "text/plain", b"There is nothing here.\n")
        if origin.removeprefix("http://") != host:
            return Response(403, "text/plain", b"The form of another page is not taken.\n")
        said = answer(self._board, self._asked(request), self._clock(), self._scene)
        return Response(303, "text/plain", b"", {"Location": "/"}) if said["ok"] else self._page(str(said["error"]))

    def _asked(self, request: Request) -> bytes:
        """Give a form as the line that the control socket would take."""
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace"), max_num_fields=FIELDS_MAX))
        if request.path == "/clear":
            return json.dumps({"do": "clear", "id": fields.get("id", "")}).encode()
        if request.path == "/deed":
            deeds = dict(DEEDS["door"] + DEEDS["camera"])
            return json.dumps({**deeds.get(fields.get("deed", ""), {}), "device": fields.get("device", "")}).encode()
        asked: dict[str, Any] = {name: value for name, value in fields.items() if value.strip()}
        for name in NUMBERS:
            if name in asked:
                asked[name] = _number(asked[name])
        return json.dumps({"do": "inject", **asked}).encode()

    def _page(self, problem: str) -> Response:
        now = self._clock()
        faults = self._board.rows(now)
        said = {
            "site": self._site.site, "devices": self._site.device, "faults": faults, "problem": problem, "now": now,
            "kinds": [kind.value for kind in FaultKind], "deeds": DEEDS, "plays": self._scene.plays(),
        }  # fmt: skip
        body = self._template.render(**said).encode()
        return Response(200, "text/html; charset=utf-8", body, {"Content-Security-Policy": POLICY})


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # the refusal quotes it
