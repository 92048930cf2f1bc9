"""Connections that leave this machine are encrypted, or the settings say in words which are not.

``PLANTROOM_UNENCRYPTED`` names those (database, broker, web) that run over a private network, for example between the
containers of one machine; ``plantroom doctor`` repeats it.
"""

from collections.abc import Collection
from ipaddress import ip_address

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from deploy.settings import SettingsError

KINDS = ("database", "broker", "web")
CHECKED = ("verify-full", "verify-ca")  # TLS of which the server's certificate is checked


def leaves(host: str) -> bool:
    """Whether a connection to ``host`` leaves this machine; a path is a socket in the file system."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return False
    try:
        return not ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return True


def check_database(dsn: str, unencrypted: Collection[str]) -> None:
    """Refuse a DSN that would carry passwords and readings in clear; raises SettingsError."""
    if "database" in unencrypted:
        return
    try:
        said = conninfo_to_dict(dsn)
    except ProgrammingError:
        return  # what cannot be read is refused with its own sentence where it is used
    hosts = str(said.get("hostaddr") or said.get("host") or "").split(",")
    if any(map(leaves, hosts)) and said.get("sslmode") not in CHECKED:
        raise SettingsError(
            "PLANTROOM_DATABASE_DSN leaves this machine unencrypted: add sslmode=verify-full and sslrootcert=FILE, or "
            "say PLANTROOM_UNENCRYPTED=database for a private network."
        )


def check_broker(host: str, *, encrypted: bool, unencrypted: Collection[str]) -> None:
    """Refuse plain MQTT across a network; raises SettingsError."""
    if leaves(host) and not encrypted and "broker" not in unencrypted:
        raise SettingsError(
            f"The way to the broker at {host} is not encrypted: give PLANTROOM_BROKER_CA (see 'plantroom gateway "
            "enrol'), or say PLANTROOM_UNENCRYPTED=broker for a private network."
        )


def check_web(host: str, *, encrypted: bool, public_address: str, unencrypted: Collection[str]) -> None:
    """Refuse to serve plain pages to a network: our own certificate, or a proxy that has one; raises SettingsError."""
    if leaves(host) and not encrypted and not public_address.startswith("https://") and "web" not in unencrypted:
        raise SettingsError(
            f"Pages would leave {host} unencrypted: give PLANTROOM_WEB_CERTIFICATE and PLANTROOM_WEB_KEY, or stand "
            "behind a proxy and say so (PLANTROOM_PUBLIC_ADDRESS=https://…, PLANTROOM_TRUSTED_PROXIES)."
        )
