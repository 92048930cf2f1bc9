"""The files of a Mosquitto for gateways: configuration, access list, certificates, what was revoked.

Found out with Mosquitto 2.0.11 (Debian 12) and held by ``tests/integration/test_gateway_identity.py``: SIGHUP reads the
access list, the list of revocations and the server's certificate anew.  A revoked gateway then cannot connect, nor take
up an old TLS session; one that is connected stays so, but says and hears nothing.  A restart ends that connection too.
SUBSCRIBE is always granted; what may be read is decided message by message.
"""

import json
import os
import pwd
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.state import write_private
from hub.ingest.service import HOST_ID
from rules.wire import identity
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX
from rules.wire.topics import NAMESPACE, Verb

MARK = "# Written by 'plantroom broker configure'; changes are lost."
CONFIG, ACCESS, CA, CERTIFICATE, KEY, REVOKED = (
    "mosquitto.conf", "access", "ca.pem", "certificate.pem", "key.pem", "revoked.pem",
)  # fmt: skip
HEAD_BYTES_MAX = 8_192  # of a packet beside its payload: topic, properties
CONNECTIONS_MAX = 1_000
QUEUED_MESSAGES_MAX = 10_000
QUEUED_BYTES_MAX = 256 * 1024 * 1024
IN_FLIGHT_MAX = 100
KEEPALIVE_MAX_S = 60
FOLDER_MODE, FILE_MODE = 0o2750, 0o640
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all well

NODE_SAYS = (Verb.NBIRTH, Verb.NDEATH, Verb.NDATA)
DEVICE_SAYS = (Verb.DBIRTH, Verb.DDEATH, Verb.DDATA)
STATE = f"{NAMESPACE}/STATE/{HOST_ID}"


class BrokerFolderError(Exception):
    """The broker's files cannot be written there: the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A broker: where its files are, the names under which it is called, its port, and the user that it runs as.

    ``address`` is the one that it listens on, '' for all of the machine.
    """

    folder: Path
    hosts: tuple[str, ...]
    port: int
    address: str = ""
    user: str = ""

    def dump(self) -> str:
        """Write it down."""
        return json.dumps({**asdict(self), "folder": str(self.folder)})


def place_from(text: str) -> Place:
    """Read what ``Place.dump`` wrote."""
    said = json.loads(text)
    return Place(Path(said["folder"]), tuple(said["hosts"]), said["port"], said["address"], said["user"])


def access_list(gateways: Iterable[tuple[str, str]]) -> str:
    """Give the access list: the hub's rights, then those of each gateway (site, code).

    Raises UnusableNameError for a code that would mean something in a topic or in the list.
    """
    rights = [MARK, f"user {identity.HUB}"]
    rights += [f"topic read {NAMESPACE}/+/{verb}/+" for verb in NODE_SAYS]
    rights += [f"topic read {NAMESPACE}/+/{verb}/+/+" for verb in DEVICE_SAYS]
    rights += [f"topic write {NAMESPACE}/+/{Verb.NCMD}/+", f"topic write {NAMESPACE}/+/{Verb.DCMD}/+/+"]
    rights += [f"topic readwrite {STATE}"]
    for site, gateway in sorted(gateways):
        rights += ["", f"user {identity.common_name(site, gateway)}"]
        rights += [f"topic write {NAMESPACE}/{site}/{verb}/{gateway}" for verb in NODE_SAYS]
        rights += [f"topic write {NAMESPACE}/{site}/{verb}/{gateway}/+" for verb in DEVICE_SAYS]
        rights += [f"topic read {NAMESPACE}/{site}/{Verb.NCMD}/{gateway}"]
        rights += [f"topic read {NAMESPACE}/{site}/{Verb.DCMD}/{gateway}/+", f"topic read {STATE}"]
    return "\n".join([*rights, ""])


def configuration(place: Place) -> str:
    """Give mosquitto.conf: TLS with client certificates only, rights by their names, everything bounded."""
    user = [f"user {place.user}"] if place.user else []
    lines = [
        MARK,
        *user,
        "per_listener_settings false",
        "allow_anonymous false",
        f"acl_file {place.folder / ACCESS}",
        "persistence false",  # the gateways keep what the hub has not committed
        "sys_interval 0",
        f"max_packet_size {PAYLOAD_BYTES_MAX + HEAD_BYTES_MAX}",
        f"max_inflight_messages {IN_FLIGHT_MAX}",
        f"max_queued_messages {QUEUED_MESSAGES_MAX}",
        f"max_queued_bytes {QUEUED_BYTES_MAX}",
        f"max_keepalive {KEEPALIVE_MAX_S}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        "connection_messages true",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        f"listener {place.port} {place.address}".rstrip(),
        f"max_connections {CONNECTIONS_MAX}",
        "tls_version tlsv1.2",  # or newer
        f"ciphers {CIPHERS}",
        f"cafile {place.folder / CA}",
        f"certfile {place.folder / CERTIFICATE}",
        f"keyfile {place.folder / KEY}",
        f"crlfile {place.folder / REVOKED}",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",  # so nobody throws another out by taking its client id
    ]
    return "\n".join([*lines, ""])


def prepare(place: Place) -> None:
    """Make the folder; raises BrokerFolderError for one that holds somebody else's configuration."""
    if any(character.isspace() for character in str(place.folder)):
        raise BrokerFolderError(f"{str(place.folder)!r} has a space in its name, which Mosquitto does not read.")
    config = place.folder / CONFIG
    try:
        place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if config.exists() and not config.read_text("utf-8").startswith(MARK):
            raise BrokerFolderError(f"{config} is not ours; give --out an empty directory.")
    except (OSError, UnicodeDecodeError) as error:
        raise _unwritable(place.folder, error) from None


def write(folder: Path, files: Sequence[tuple[str, str]], user: str = "") -> None:
    """Write files that the broker reads and does not change: by its group, which is the folder's (set-group-ID).

    As root the folder is given to the group of ``user``.  Raises BrokerFolderError.
    """
    try:
        if user and os.geteuid() == 0:
            os.chown(folder, -1, pwd.getpwnam(user).pw_gid)
            folder.chmod(FOLDER_MODE)
        for name, text in files:
            write_private(folder / name, text)
            (folder / name).chmod(FILE_MODE)
    except (OSError, KeyError) as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: Exception) -> BrokerFolderError:
    why = error.strerror if isinstance(error, OSError) else "there is no such --user"
    return BrokerFolderError(
        f"Files cannot be written in {folder} ({why}); run the command as a user who may, or give another directory."
    )
