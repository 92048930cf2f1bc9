"""The doctor looks at the pages as a browser does that knows nobody: whether the certificate is one that all trust."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from deploy.doctor_check import Check
from deploy.settings import Settings

NAME = "Certificate of the pages"
HTTPS_PORT = 443
WITHIN_S = 3.0
SOON = timedelta(days=21)


def check(settings: Settings, now: datetime, trust: ssl.SSLContext | None = None) -> Check:
    """Look whether the system's authorities vouch for the public address, and for how long; ``trust``: others."""
    address = urlsplit(settings.public_address)
    if address.scheme != "https" or address.hostname is None:
        return Check(NAME, ok=True, found="none is needed: the public address is not https", advice="", needed=False)
    try:
        ends_at = _ends_at(address.hostname, address.port or HTTPS_PORT, trust or ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        found, advice = f"not trusted ({error.verify_message})", "Get one of an authority that browsers know."
    except OSError as error:
        found, advice = f"{settings.public_address} cannot be reached ({error})", "Ask again where people come in."
    else:
        found = f"trusted by everybody until {ends_at:%Y-%m-%d}"
        advice = "It ends soon: renew it." if ends_at - now < SOON else ""
    return Check(NAME, ok=not advice, found=found, advice=advice, needed=False)


def _ends_at(host: str, port: int, trust: ssl.SSLContext) -> datetime:
    with (
        socket.create_connection((host, port), WITHIN_S) as plain,
        trust.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        said = encrypted.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(said["notAfter"])), UTC)
