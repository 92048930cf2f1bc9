"""Connections that leave this machine are encrypted, or the settings say in words which are not.

``PLANTROOM_UNENCRYPTED`` names those (database, web) that run over a private network, for example between the
containers of one machine.  The broker beyond this machine is always spoken to by TLS: see ``deploy/settings.py``.
"""

from collections.abc import Collection
from ipaddress import ip_address

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

KINDS = ("database", "web")
CHECKED = ("verify-full", "verify-ca")  # TLS of which the server's certificate is checked


class InClearError(ValueError):
    """A connection would leave this machine unencrypted: the sentence says which and what to do."""


def leaves(host: str) -> bool:
    """Whether a connection to ``host`` leaves this machine; a path is a socket in the file system."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return False
    try:
        return not ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return True


def check_database(dsn: str, unencrypted: Collection[str], setting: str = "PLANTROOM_DATABASE_DSN") -> None:
    """Refuse a DSN that would carry passwords and readings in clear; raises InClearError."""
    if "database" in unencrypted:
        return
    try:
        said = conninfo_to_dict(dsn)
    except ProgrammingError:
        return  # what cannot be read is refused with its own sentence where it is used
    hosts = str(said.get("hostaddr") or said.get("host") or "").split(",")
    if any(map(leaves, hosts)) and said.get("sslmode") not in CHECKED:
        raise InClearError(
            f"{setting} leaves this machine unencrypted: add sslmode=verify-full and sslrootcert=FILE, or "
            "say PLANTROOM_UNENCRYPTED=database for a private network."
        )


def check_web(host: str, *, encrypted: bool, public_address: str, unencrypted: Collection[str]) -> None:
    """Refuse to serve plain pages to a network: our own certificate, or a proxy that has one; raises InClearError."""
    https = public_address.startswith("https://")
    if encrypted and not https:
        raise InClearError(
            "PLANTROOM_WEB_CERTIFICATE is for https: say under which address people come with "
            "PLANTROOM_PUBLIC_ADDRESS=https://plantroom.example.com."
        )
    if leaves(host) and not https and "web" not in unencrypted:
        raise InClearError(
            f"Pages would leave this machine in clear from {host}: give PLANTROOM_WEB_CERTIFICATE and "
            "PLANTROOM_WEB_KEY, or stand behind a proxy that speaks https, and say under which https address people "
            "come with PLANTROOM_PUBLIC_ADDRESS."
        )
