"""Which ONVIF devices there are: WS-Discovery by multicast or at one host, and what each says of itself.

A probe is answered by whoever likes: answers are bounded in number, size and time, and each counts only for the host
that it came from.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from drivers.errors import DriverError
from drivers.onvif.device import OnvifDevice
from drivers.onvif.markup import Node, parse
from drivers.onvif.soap import tidy
from drivers.onvif.still import stream_uri
from rules.model.line import TOKEN_CHARACTERS_MAX, OnvifLine

MULTICAST, PORT = "239.255.255.250", 3702  # WS-Discovery 1.0, section 2.4
PROBE_S = 3.0
ANSWERS_MAX = 256
DATAGRAM_BYTES_MAX = 65_535
DOORS_MAX = 200
SURVEY_TIMEOUT_S = 5.0
_PATH = re.compile(r"/[A-Za-z0-9_./~%-]{0,200}")
_NAME, _HARDWARE = "onvif://www.onvif.org/name/", "onvif://www.onvif.org/hardware/"
_PROBE = (
    '<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">'
    "<e:Header><w:MessageID>urn:uuid:{number}</w:MessageID><w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>"
    "<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header><e:Body><d:Probe>"
    "<d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A device that has answered: the address of its device service, and what it calls itself."""

    url: str
    name: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a device says of itself; ``doors`` are tokens and names, ``trouble`` why it does not say more."""

    model: str = ""
    doors: tuple[tuple[str, str], ...] = ()
    stream: str = ""
    trouble: str = ""


class _Listener(asyncio.DatagramProtocol):
    """Keeps what comes, by sender."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self.heard) < ANSWERS_MAX:
            self.heard.append((addr[0], data[:DATAGRAM_BYTES_MAX]))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the host that was asked: nothing is heard, which says it."""


async def probe(host: str | None = None, *, port: int = PORT, patience_s: float = PROBE_S) -> list[Found]:
    """Give what answers a probe within ``patience_s``, each address once; raises OSError without a network."""
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(_Listener, local_addr=("0.0.0.0", 0))  # noqa: S104  # an own port for the answers
    try:
        transport.sendto(_PROBE.format(number=uuid4()).encode(), (host or MULTICAST, port))
        await asyncio.sleep(patience_s)
    finally:
        transport.close()
    found: dict[str, Found] = {}
    for sender, data in listener.heard:
        for one in _matches(sender, data):
            found.setdefault(one.url, one)
    return sorted(found.values(), key=lambda one: one.url)


def _matches(sender: str, data: bytes) -> Iterator[Found]:
    """Give the devices of one answer, at the host that has sent it."""
    try:
        root = parse(data, sender)
    except DriverError:
        return
    for match in (node for node in root.walk() if node.name == "ProbeMatch"):
        for address in match.said("XAddrs").split():
            with contextlib.suppress(ValueError):
                said = urlsplit(address)
                port = f":{said.port}" if said.port else ""
                if said.scheme in ("http", "https") and _PATH.fullmatch(said.path):
                    yield Found(f"{said.scheme}://{sender}{port}{said.path}", _called(match))
                    break


def _called(match: Node) -> str:
    scopes = match.said("Scopes").split()
    parts = [unquote(scope.removeprefix(kind)) for kind in (_NAME, _HARDWARE) for scope in scopes if kind in scope]
    return tidy(" ".join(parts))


async def survey(url: str, user: str | None, now: Callable[[], datetime]) -> Survey:
    """Ask a device for its model, its doors and its stream; the password is the credential ``onvif-scan-password``."""
    line = OnvifLine(
        driver="onvif", code="scan", gateway="scan", url=url, user=user, poll_s=1, timeout_s=SURVEY_TIMEOUT_S
    )
    device = OnvifDevice(line, now)
    try:
        await device.meet()
        said = await device.call("device", "GetDeviceInformation")
    except DriverError as error:
        return Survey(trouble=str(error))
    doors: list[tuple[str, str]] = []
    stream = ""
    with contextlib.suppress(DriverError):  # it has no doors
        answer = await device.call("door", "GetDoorInfoList")
        told = [(door.attribute("token"), tidy(door.said("Name"))) for door in answer.all("DoorInfo")]
        doors = [(token, name) for token, name in told if 0 < len(token) <= TOKEN_CHARACTERS_MAX][:DOORS_MAX]
    with contextlib.suppress(DriverError):  # it is no camera
        stream = tidy(await stream_uri(device))
    return Survey(tidy(f"{said.said('Manufacturer')} {said.said('Model')}"), tuple(doors), stream)
