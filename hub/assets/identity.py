"""Certificates of gateways: who was given one, renewals, and what was taken back.

Each is registered before anybody gets it, and every act is audited.  The key itself never comes here: what is signed
is a request that the holder of the key has made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from hub.assets.authority import Authority, fingerprint_of_key, open_request
from hub.assets.rows import CertifiedGateway, GatewayCertificate
from hub.audit import service as audit
from hub.errors import ConflictError, InvalidError, NotFoundError
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.wire import identity

SQL = queries(__package__)

RENEWALS_PER_DAY_MAX = 5  # that a gateway may ask for by itself
REASON_CHARACTERS_MAX = 500
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that has been opened: it bears the gateway's name and is signed by ``key``."""

    gateway: CertifiedGateway
    key: EllipticCurvePublicKey
    key_fingerprint: str
    known: tuple[GatewayCertificate, ...]  # the gateway's, newest first


async def owner(tx: Transaction, site: str) -> UUID:
    """Give the organisation of a site, looked up before one is known (``Role.INGEST``); raises NotFoundError."""
    found: UUID | None = await tx.value(SQL["owner_of_site"], {"site": site})
    if found is None:
        raise NotFoundError(f"There is no site '{site}'; register its site file first ('plantroom hub register').")
    return found


async def owners(tx: Transaction) -> list[UUID]:
    """Give every organisation that has sites (``Role.INGEST``)."""
    found: list[UUID] = await tx.value(SQL["owners_of_sites"])
    return found


async def gateways(tx: Transaction) -> list[CertifiedGateway]:
    """Give every gateway by name, with certificate or without."""
    return await tx.all(CertifiedGateway, SQL["certified_gateways"])


async def certificates(tx: Transaction) -> list[GatewayCertificate]:
    """Give every certificate, by gateway, newest first."""
    return await tx.all(GatewayCertificate, SQL["certificates"], {"gateway": None, "key": None})


async def enrol(tx: Transaction, authority: Authority, site: str, gateway: str, request: bytes, now: datetime) -> str:
    """Certify a gateway for the first time, or after everything that it had was revoked or ran out.

    Gives the certificate (PEM); the same again for the same key.  Raises NotFoundError, InvalidError for a request
    that is not this gateway's, ConflictError for a gateway that has a certificate in force.
    """
    asked = await _open(tx, site, gateway, request)
    if again := _again(asked, now):
        return again
    if in_force := [one for one in asked.known if one.in_force(now)]:
        raise ConflictError(
            f"{site}/{gateway} has a certificate until {in_force[0].not_after:%Y-%m-%d}; use 'plantroom gateway "
            "renew', or revoke it first."
        )
    return await _issue(tx, authority, asked, now, "enrolled")


async def renew(
    tx: Transaction,
    authority: Authority,
    site: str,
    gateway: str,
    request: bytes,
    now: datetime,
    *,
    held: str | None = None,
) -> str:
    """Certify another key of a gateway that is enrolled; gives the certificate (PEM), the same for the same key.

    ``held`` is the fingerprint of the certificate by which a gateway asks for itself: it must be in force, and what it
    may ask for is rationed.  Without it an operator asks.  What the gateway has stays in force until its own end.
    """
    asked = await _open(tx, site, gateway, request)
    standing = [one for one in asked.known if one.in_force(now)]
    if not standing:
        raise ConflictError(f"{site}/{gateway} has no certificate in force; use 'plantroom gateway enrol'.")
    if held is not None and held not in {one.fingerprint for one in standing}:
        raise ConflictError(f"{site}/{gateway} asks by a certificate that is not in force.")
    if again := _again(asked, now):
        return again
    if held is not None and sum(one.issued_at > now - DAY for one in asked.known) >= RENEWALS_PER_DAY_MAX:
        raise ConflictError(f"{site}/{gateway} has had {RENEWALS_PER_DAY_MAX} certificates within a day; look at it.")
    return await _issue(tx, authority, asked, now, "renewed")


async def revoke(tx: Transaction, site: str, gateway: str, because: str, now: datetime) -> int:
    """Take back every certificate that a gateway has, and give how many that were (none: all were taken back before).

    Raises NotFoundError, InvalidError for a reason that is missing or too long.
    """
    if len(because) > REASON_CHARACTERS_MAX:
        raise InvalidError(f"A reason has at most {REASON_CHARACTERS_MAX} characters; shorten it.")
    found = await _locked(tx, site, gateway)
    parameters = {"gateway": found.id, "now": now, "because": because}
    serials: list[str] = await tx.value(SQL["revoke_certificates"], parameters) or []
    if serials:
        await audit.record(tx, "revoked", "gateway", found.id, {"serials": serials}, reason=because)
    return len(serials)


async def refused(tx: Transaction, site: str, gateway: str, sentence: str) -> None:
    """Record that a gateway asked for a certificate and did not get it."""
    found = await _locked(tx, site, gateway)
    await audit.record(tx, "refused a certificate", "gateway", found.id, {"because": sentence})


async def _locked(tx: Transaction, site: str, gateway: str) -> CertifiedGateway:
    """Find a gateway and keep others from certifying it at the same time; raises NotFoundError."""
    parameters = {"site": site, "gateway": gateway}
    found = await tx.maybe(CertifiedGateway, SQL["lock_gateway"], parameters)
    if found is None:
        raise NotFoundError(f"There is no gateway '{gateway}' at the site '{site}'; register its site file first.")
    return found


async def _open(tx: Transaction, site: str, gateway: str, request: bytes) -> _Asked:
    """Open a request, which must bear the gateway's name and a key of its own."""
    found = await _locked(tx, site, gateway)
    said, key = open_request(request)
    try:
        name = identity.common_name(site, gateway)
    except identity.UnusableNameError as error:
        raise InvalidError(str(error)) from None
    if said != name:
        raise InvalidError(f"The request is for {said[:80]!r}, not for '{name}'; make one with that name.")
    fingerprint = fingerprint_of_key(key)
    parameters = {"gateway": found.id, "key": fingerprint}
    known = await tx.all(GatewayCertificate, SQL["certificates"], parameters)
    if any(one.key_fingerprint == fingerprint and (one.revoked_at or one.gateway_id != found.id) for one in known):
        raise ConflictError("That key was revoked or is another gateway's; make a new one.")
    return _Asked(found, key, fingerprint, tuple(one for one in known if one.gateway_id == found.id))


def _again(asked: _Asked, now: datetime) -> str:
    """Give the certificate in force of that very key: an answer was lost, or a command is run again."""
    same = (one for one in asked.known if one.key_fingerprint == asked.key_fingerprint and one.in_force(now))
    return next((one.certificate for one in same), "")


async def _issue(tx: Transaction, authority: Authority, asked: _Asked, now: datetime, action: str) -> str:
    gateway = asked.gateway
    certificate = authority.gateway(asked.key, gateway.site, gateway.gateway, now)
    row = {
        "serial": f"{certificate.serial_number:x}",
        "gateway": gateway.id,
        "fingerprint": fingerprint(certificate),
        "key_fingerprint": asked.key_fingerprint,
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "now": now,
    }
    await tx.run(SQL["put_certificate"], row)
    told = {
        "serial": row["serial"],
        "fingerprint": row["fingerprint"],
        "until": certificate.not_valid_after_utc.isoformat(),
    }
    await audit.record(tx, action, "gateway", gateway.id, told)
    return str(row["certificate"])


def fingerprint(certificate: x509.Certificate) -> str:
    """Give SHA-256 of a certificate, as hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()
