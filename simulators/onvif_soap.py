"""SOAP 1.2 as an ONVIF device speaks it: questions taken apart, signatures checked, answers and faults put together."""

import base64
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from simulators.http_server import Request, Response

WINDOW = timedelta(seconds=60)  # how far a signature's time may be off the device's
NONCES_MAX = 10_000
KIND = "application/soap+xml; charset=utf-8"
SPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope", "wsa": "http://www.w3.org/2005/08/addressing",
    "ter": "http://www.onvif.org/ver10/error", "tt": "http://www.onvif.org/ver10/schema",
    "tds": "http://www.onvif.org/ver10/device/wsdl", "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl", "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "wsrf": "http://docs.oasis-open.org/wsrf/r-2", "tns1": "http://www.onvif.org/ver10/topics",
    "tdc": "http://www.onvif.org/ver10/doorcontrol/wsdl", "tac": "http://www.onvif.org/ver10/accesscontrol/wsdl",
    "pt": "http://www.onvif.org/ver10/pacs",
}  # fmt: skip
_DECLARED = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
_SECURITY = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_UTILITY = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"


class DeniedError(Exception):
    """The device says no: ``code`` is Sender or Receiver, ``subcode`` says why, ``detail`` is XML."""

    def __init__(self, subcode: str, reason: str, *, code: str = "Sender", detail: str = "", status: int = 400) -> None:
        super().__init__(reason)
        self.subcode, self.code, self.detail, self.status = subcode, code, detail, status


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, with its arguments by name (of their text)."""

    operation: str
    arguments: Mapping[str, str]
    header: etree.Element


def question(body: bytes) -> Question:
    """Take a question apart; raises DeniedError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        raise DeniedError("ter:WellFormed", "Well-formed Error") from None
    found = root.find(f"{{{SPACES['s']}}}Body")
    if found is None or not len(found):
        raise DeniedError("ter:TagMismatch", "Tag Mismatch")
    asked = found[0]
    arguments = {etree.QName(part).localname: (part.text or "").strip() for part in asked.iter() if part is not asked}
    return Question(etree.QName(asked).localname, arguments, root.find(f"{{{SPACES['s']}}}Header"))


class Guard:
    """Checks signatures (WS-Security UsernameToken Profile 1.1): digest, a window of time, no nonce twice."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self.password = user, password
        self.realm_nonce = secrets.token_hex(16)
        self._nonces: OrderedDict[str, None] = OrderedDict()

    def check(self, asked: Question, now: datetime) -> None:
        """Let a signed question pass; raises DeniedError."""
        token = asked.header.find(f".//{_SECURITY}UsernameToken") if asked.header is not None else None
        if token is None:
            raise DeniedError("ter:NotAuthorized", "Sender not Authorized")
        name, digest, nonce = (token.findtext(f"{_SECURITY}{part}") or "" for part in ("Username", "Password", "Nonce"))
        created = token.findtext(f"{_UTILITY}Created") or ""
        expected = hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode()).digest()  # noqa: S324  # the standard's
        fresh = abs(datetime.fromisoformat(created) - now) <= WINDOW if created else False
        if name != self.user or digest != base64.b64encode(expected).decode() or not fresh or nonce in self._nonces:
            raise DeniedError("ter:NotAuthorized", "Sender not Authorized")
        self._nonces[nonce] = None
        if len(self._nonces) > NONCES_MAX:
            self._nonces.popitem(last=False)

    def check_http(self, request: Request) -> bool:
        """Tell whether a request for a picture is signed (RFC 7616 with MD5, as cameras have it)."""
        said = request.headers.get("authorization", "")
        parts = dict(part.strip().partition("=")[::2] for part in said.removeprefix("Digest ").split(","))
        words = {name: value.strip('"') for name, value in parts.items()}
        if words.get("username") != self.user or words.get("nonce") != self.realm_nonce:
            return False
        first = _md5(f"{self.user}:{words.get('realm', '')}:{self.password}")
        second = _md5(f"{request.method}:{request.path}")
        middle = ":".join(words.get(part, "") for part in ("nonce", "nc", "cnonce", "qop"))
        return words.get("response") == _md5(f"{first}:{middle}:{second}")

    def challenge(self) -> Response:
        """Ask for a signature over HTTP."""
        asked = f'Digest realm="simulated", nonce="{self.realm_nonce}", qop="auth", algorithm=MD5'
        return Response(401, "text/plain", b"", {"WWW-Authenticate": asked})


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324  # what cameras have


def answer(body: str) -> Response:
    """Put an answer together."""
    return Response(200, KIND, _envelope(body))


def denial(error: DeniedError) -> Response:
    """Put a fault together."""
    detail = f"<s:Detail>{error.detail}</s:Detail>" if error.detail else ""
    body = (
        f"<s:Fault><s:Code><s:Value>s:{error.code}</s:Value><s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en">{escape(str(error))}</s:Text></s:Reason>{detail}</s:Fault>'
    )
    return Response(error.status, KIND, _envelope(body))


def _envelope(body: str) -> bytes:
    return f'<?xml version="1.0"?><s:Envelope {_DECLARED}><s:Body>{body}</s:Body></s:Envelope>'.encode()


def stamp(at: datetime) -> str:
    """Write a time as xs:dateTime."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def date_and_time(at: datetime) -> str:
    """Write a time as GetSystemDateAndTime does."""
    return (
        "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
        f"<tt:Time><tt:Hour>{at.hour}</tt:Hour><tt:Minute>{at.minute}</tt:Minute><tt:Second>{at.second}</tt:Second>"
        f"</tt:Time><tt:Date><tt:Year>{at.year}</tt:Year><tt:Month>{at.month}</tt:Month><tt:Day>{at.day}</tt:Day>"
        "</tt:Date></tt:UTCDateTime>"
    )


def notification(topic: str, at: datetime, operation: str, source: Mapping[str, str], data: Mapping[str, str]) -> str:
    """Write one message of a pull point."""
    items = [
        "".join(f"<tt:SimpleItem Name={quoteattr(name)} Value={quoteattr(value)}/>" for name, value in part.items())
        for part in (source, data)
    ]
    shown = f' PropertyOperation="{operation}"' if operation else ""
    dialect = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
    return (
        f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{dialect}">tns1:{topic}</wsnt:Topic><wsnt:Message>'
        f'<tt:Message UtcTime="{stamp(at)}"{shown}><tt:Source>{items[0]}</tt:Source><tt:Data>{items[1]}</tt:Data>'
        "</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )
