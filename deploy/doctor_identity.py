"""The doctor's look at certificates: ours, the authority's, those of the gateways."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy import authority, enrolment, mosquitto
from deploy.doctor_check import Check
from deploy.logins import hub_dsn
from deploy.postgres import Postgres
from deploy.postgres_binaries import NoPostgresError
from deploy.settings import Settings, SettingsError
from hub.assets.authority import CERTIFICATE_FILE
from hub.assets.rows import GatewayCertificate
from hub.errors import HubError

SOON = timedelta(days=30)
NAMES_SAID_MAX = 5


def checks(settings: Settings, now: datetime) -> list[Check]:
    """Examine what there is of certificates on this machine; nothing for a machine without any."""
    found = []
    if settings.broker_certificate is not None:
        advice = (
            "A gateway renews it by itself; else 'plantroom gateway renew'. The hub's: 'plantroom broker configure'."
        )
        found.append(_file("Our certificate", settings.broker_certificate, now, advice))
    folder = authority.given(settings)
    if folder is not None:
        advice = (
            "Bring the authority's files back from the backup; one that nears its end is replaced with all it signed."
        )
        found.append(_file("Certificate authority", folder / CERTIFICATE_FILE, now, advice))
        found += _broker(settings, now)
        found += _gateways(settings, now)
    return found


def _file(name: str, path: Path, now: datetime, advice: str) -> Check:
    """Look at one certificate: it must be in force, and it is worth a word when it ends soon."""
    try:
        ends_at = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no certificate"
        return Check(name, ok=False, found=f"{path} cannot be read ({why})", advice=advice)
    ended = now >= ends_at
    found = f"{path} {'ended' if ended else 'is in force until'} {ends_at:%Y-%m-%d}"
    return Check(name, ok=now < ends_at - SOON, found=found, advice=advice, needed=ended)


def _broker(settings: Settings, now: datetime) -> list[Check]:
    place = enrolment.known_place(settings)
    if place is None or not place.folder.is_dir():  # none, or it was carried to another machine
        return []
    advice = "Run 'plantroom broker configure', then 'systemctl reload mosquitto'."
    return [_file("Broker's certificate", place.folder / mosquitto.CERTIFICATE, now, advice)]


def _gateways(settings: Settings, now: datetime) -> list[Check]:
    """Look for gateways that should have renewed their certificate and have not."""
    try:
        server = None if settings.dsn() else Postgres(settings.data / "postgres")
        if server is not None and not server.find():
            return []
        dsn = hub_dsn(settings, server.dsn if server is not None else settings.dsn())
        _, certificates = asyncio.run(enrolment.everything(dsn))
    except (SettingsError, NoPostgresError, HubError):
        return []  # the look at the database says it
    ending = sorted(_ending(certificates, now))
    more = f" and {len(ending) - NAMES_SAID_MAX} more" if len(ending) > NAMES_SAID_MAX else ""
    found = f"ending soon: {', '.join(ending[:NAMES_SAID_MAX])}{more}" if ending else "none ends soon"
    advice = (
        "See whether those gateways are online and hub and edge agent log a refusal; else 'plantroom gateway renew'."
    )
    return [Check("Gateways' certificates", ok=not ending, found=found, advice=advice, needed=False)]


def _ending(certificates: Iterable[GatewayCertificate], now: datetime) -> list[str]:
    """Give the gateways whose newest certificate (not taken back) ends soon or has ended."""
    newest = {one.gateway_id: one for one in reversed(list(certificates))}
    return [
        f"{one.site}/{one.gateway} {one.not_after:%Y-%m-%d}"
        for one in newest.values()
        if one.revoked_at is None and one.not_after - now < SOON
    ]
