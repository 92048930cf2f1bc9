"""What the commands do with certificates: gateways, the broker and the hub, and the broker's lists.

The register says who was given what; the authority's files and the broker's lists follow it and can be made again.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from deploy import authority as files
from deploy import mosquitto
from deploy.mosquitto import Place
from deploy.register import transaction
from deploy.settings import Settings
from deploy.state import write_private
from edge_agent.identity import key_pem, new_key
from hub.assets import configuration, identity
from hub.assets.authority import Authority, general_name
from hub.assets.rows import CertifiedGateway, GatewayCertificate
from hub.store.database import Role
from rules.wire.identity import renewal_due

PLACE_FILE = "broker.json"


async def certify(
    hub: str, authority: Authority, site: str, gateway: str, request: bytes, now: datetime, *, again: bool
) -> str:
    """Enrol a gateway, or renew its certificate (``again``); gives it (PEM).  Raises the hub's refusals."""
    async with transaction(hub, None, Role.INGEST) as tx:
        await tx.become(Role.APP, await identity.owner(tx, site))
        act = identity.renew if again else identity.enrol
        return await act(tx, authority, site, gateway, request, now)


async def revoke(hub: str, site: str, gateway: str, because: str, now: datetime) -> int:
    """Take back all certificates of a gateway and give how many; raises the hub's refusals."""
    async with transaction(hub, None, Role.INGEST) as tx:
        await tx.become(Role.APP, await identity.owner(tx, site))
        return await identity.revoke(tx, site, gateway, because, now)


async def want(hub: str, site: str, gateway: str, text: str, note: str, now: datetime) -> str:
    """Want a gateway to go by a site file; gives its SHA-256.  Raises the hub's refusals."""
    async with transaction(hub, None, Role.INGEST) as tx:
        await tx.become(Role.APP, await identity.owner(tx, site))
        return await configuration.configure(tx, site, gateway, text, note, now)


async def everything(hub: str) -> tuple[list[CertifiedGateway], list[GatewayCertificate]]:
    """Give the gateways of all organisations, and all certificates, newest first for each gateway."""
    gateways: list[CertifiedGateway] = []
    certificates: list[GatewayCertificate] = []
    async with transaction(hub, None, Role.INGEST) as tx:
        for organisation in await identity.owners(tx):
            await tx.become(Role.APP, organisation)
            gateways += await identity.gateways(tx)
            certificates += await identity.certificates(tx)
    return gateways, certificates


def known_place(settings: Settings) -> Place | None:
    """Give where a broker was configured from here; None: nowhere yet."""
    path = files.folder(settings) / PLACE_FILE
    return mosquitto.place_from(path.read_text("utf-8")) if path.exists() else None


async def write_lists(settings: Settings, hub: str, authority: Authority, now: datetime) -> Place | None:
    """Write what was revoked, and the broker's lists where one is configured; gives where that is."""
    _, certificates = await everything(hub)
    revoked = {int(one.serial, 16): one.revoked_at for one in certificates if one.revoked_at}
    listed = files.revoke(settings, authority, revoked)
    place = known_place(settings)
    if place is not None:
        access = mosquitto.access_list({(one.site, one.gateway) for one in certificates if one.in_force(now)})
        lists = [(mosquitto.ACCESS, access), (mosquitto.REVOKED, listed.decode())]
        mosquitto.write(place.folder, lists, place.user)
    return place


def configure(settings: Settings, authority: Authority, place: Place, own: Path, now: datetime, *, anew: bool) -> None:
    """Write the broker's configuration and certificate, and the hub's certificate into ``own``.

    Keys and certificates that are good for a while stay; ``anew`` replaces and revokes them.  The broker's lists come
    from ``write_lists``.  Raises BrokerFolderError, InvalidError for a host.
    """
    mosquitto.prepare(place)
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = authority.certificate.public_bytes(Encoding.PEM).decode()
    given, revoked = _certified(authority, place.folder, place.hosts, now, anew=anew)
    configuration = mosquitto.configuration(place)
    mosquitto.write(place.folder, [*given, (mosquitto.CA, ca), (mosquitto.CONFIG, configuration)], place.user)
    given, ours = _certified(authority, own, (), now, anew=anew)
    for name, text in (*given, (mosquitto.CA, ca)):
        write_private(own / name, text)
    files.revoke(settings, authority, revoked | ours)
    write_private(files.folder(settings) / PLACE_FILE, place.dump())


def _certified(
    authority: Authority, folder: Path, hosts: Sequence[str], now: datetime, *, anew: bool
) -> tuple[list[tuple[str, str]], dict[int, datetime]]:
    """Certify the broker (by its hosts) or the hub where that is due; gives the files and what they revoke."""
    held = _held(folder / mosquitto.CERTIFICATE)
    if held is not None and not anew and _is_good(held, authority, hosts, now):
        return [], {}
    key = new_key()
    made = authority.broker(key.public_key(), hosts, now) if hosts else authority.hub(key.public_key(), now)
    pem = made.public_bytes(Encoding.PEM).decode()
    revoked = {held.serial_number: now} if held is not None and anew else {}
    return [(mosquitto.KEY, key_pem(key).decode()), (mosquitto.CERTIFICATE, pem)], revoked


def _held(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _is_good(held: x509.Certificate, authority: Authority, hosts: Sequence[str], now: datetime) -> bool:
    try:
        held.verify_directly_issued_by(authority.certificate)
        names = set(held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) if hosts else set()
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    in_time = now < renewal_due(held.not_valid_before_utc, held.not_valid_after_utc)
    return in_time and names == {general_name(host) for host in hosts}
