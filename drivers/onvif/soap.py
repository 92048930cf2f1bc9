"""Questions as the WSDLs of ONVIF have them, signed with the device's own time; answers and faults as they come.

Zeep writes the envelopes from the WSDLs that onvif-zeep-async brings along, so their order and types are the
standard's; nothing is fetched.  That package itself is never imported: it sets up logging for the whole process.
Answers are read by ``markup``, which is more forgiving of firmware and less of attacks than zeep.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from lxml import etree
from zeep import Client, Settings
from zeep.transports import Transport
from zeep.wsse.username import UsernameToken

from drivers.errors import MalformedError, RefusedError
from drivers.onvif.markup import Node, parse

CONTENT = "application/soap+xml; charset=utf-8"  # SOAP 1.2
SAID_CHARACTERS_MAX = 160
_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager"
_UNSIGNED = {"NotAuthorized", "FailedAuthentication", "FailedCheck", "InvalidSecurity"}


@dataclass(frozen=True, slots=True)
class _Service:
    """Where a service is described, and the namespace that devices list it under."""

    wsdl: str
    binding: str
    space: str


SERVICES = {
    name: _Service(wsdl, f"{{{space}}}{binding}", space)
    for name, wsdl, binding, space in (
        ("device", "devicemgmt", "DeviceBinding", "http://www.onvif.org/ver10/device/wsdl"),
        ("media", "media", "MediaBinding", "http://www.onvif.org/ver10/media/wsdl"),
        ("events", "events", "EventBinding", "http://www.onvif.org/ver10/events/wsdl"),
        ("pullpoint", "events", "PullPointSubscriptionBinding", "http://www.onvif.org/ver10/events/wsdl"),
        ("subscription", "events", "SubscriptionManagerBinding", "http://www.onvif.org/ver10/events/wsdl"),
        ("door", "doorcontrol", "DoorControlBinding", "http://www.onvif.org/ver10/doorcontrol/wsdl"),
        ("access", "accesscontrol", "PACSBinding", "http://www.onvif.org/ver10/accesscontrol/wsdl"),
    )
}


class FaultError(RefusedError):
    """The device says no; ``names`` are all codes and details that it gives."""

    def __init__(self, message: str, names: frozenset[str]) -> None:
        super().__init__(message)
        self.names = names

    @property
    def unsigned(self) -> bool:
        """Whether user, password or time are what it does not like."""
        return bool(self.names & _UNSIGNED)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who asks, and what time it is at the device."""

    user: str
    password: str
    at: datetime


class _Shelf(Transport):
    """Reads the files of the WSDLs and nothing else."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's

    def load(self, url: str) -> bytes:
        if "://" in url:
            raise ValueError(f"{url} is not fetched")
        return Path(url).read_bytes()


@cache
def _described(wsdl: str) -> Client:
    found = find_spec("onvif")
    assert found is not None
    assert found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "wsdl" / f"{wsdl}.wsdl"
    return Client(str(path), transport=_Shelf(), settings=Settings(strict=False))


def warm() -> None:
    """Read all WSDLs, once per process; takes about half a second: use a thread."""
    for service in SERVICES.values():
        _described(service.wsdl)


def envelope(
    service: str,
    operation: str,
    address: str,
    signature: Signature | None,
    references: Iterable[Node] = (),
    **arguments: Any,
) -> bytes:
    """Write a question; ``references`` are what a subscription wants to be shown again."""
    client = _described(SERVICES[service].wsdl)
    proxy = client.create_service(SERVICES[service].binding, address)
    written = client.create_message(proxy, operation, **arguments)
    if signature is not None:
        UsernameToken(
            signature.user, signature.password, use_digest=True, created=signature.at, zulu_timestamp=True
        ).apply(written, {})
    _address(written, service, operation, address, references)
    data: bytes = etree.tostring(written, xml_declaration=True, encoding="utf-8")
    return data


def _address(written: etree.Element, service: str, operation: str, address: str, references: Iterable[Node]) -> None:
    """Say whom the question is for (WS-Addressing 1.0), as events want it."""
    if service not in ("events", "pullpoint", "subscription"):
        return
    header = written.find(f"{{{_ENVELOPE}}}Header")
    if header is None:
        header = etree.Element(f"{{{_ENVELOPE}}}Header")
        written.insert(0, header)
    if (to := header.find(f"{{{_ADDRESSING}}}To")) is not None:
        to.text = address
    else:
        for name, text in (
            ("Action", f"{_NOTIFICATION}/{operation}Request"), ("MessageID", f"urn:uuid:{uuid4()}"), ("To", address)
        ):  # fmt: skip
            etree.SubElement(header, f"{{{_ADDRESSING}}}{name}").text = text
    for node in references:
        header.append(_element(node))


def _element(node: Node) -> etree.Element:
    element = etree.Element(f"{{{node.space}}}{node.name}" if node.space else node.name)
    element.text = node.text
    element.extend([_element(child) for child in node.children])
    return element


def read(kind: str, body: bytes, who: str) -> Node:
    """Give what the body of an answer holds; raises FaultError, or MalformedError for what is no answer."""
    if kind and "xml" not in kind:
        raise MalformedError(f"{who} answers with {kind[:40]} instead of XML; is it the address of its ONVIF service?")
    root = parse(body, who)
    found = next((child for part in root.all("Body") for child in part.children), None)
    if root.name != "Envelope" or found is None:
        raise MalformedError(f"{who} sent XML that is no SOAP answer")
    if found.name == "Fault":
        raise fault(found, who)
    return found


def fault(node: Node, who: str) -> FaultError:
    """Give a fault of SOAP 1.1 or 1.2 as an error."""
    codes = [part.text.rpartition(":")[2] for part in node.walk() if part.name in ("Value", "faultcode")]
    details = [part.name for name in ("Detail", "detail") for found in node.all(name) for part in found.walk()]
    said = node.said("Reason", "Text") or node.said("faultstring") or " ".join(codes[-1:]) or "without a reason"
    return FaultError(f"{who} says no: {tidy(said)}", frozenset((*codes, *details)))


def tidy(said: str) -> str:
    """Give a device's words on one line, without what cannot be printed, not too long."""
    plain = "".join(letter if letter.isprintable() else " " for letter in said)
    return re.sub(r"\s+", " ", plain).strip()[:SAID_CHARACTERS_MAX]
