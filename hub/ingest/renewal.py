"""Give gateways another certificate before the one that they have ends.

A gateway asks with the key of the certificate that it has, so whoever else could write to its topic gains nothing.
"""

import logging
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from hub.assets import identity
from hub.assets.authority import REQUEST_BYTES_MAX, UNREADABLE, Authority
from hub.errors import ForbiddenError, HubError, InvalidError, NotFoundError, UnavailableError
from hub.ingest.acts import Address, RenewalAsked
from hub.refusals import Refusals
from hub.store.database import Actor, Database, Role
from rules.wire.identity import renewal_words

CONSIDER_EVERY = timedelta(minutes=10)  # of one gateway
ADDRESSES_MAX = 10_000
ACTOR = Actor("plantroom/ingest")

log = logging.getLogger(__name__)


class Renewals:
    """Answers requests, one after the other; without an authority it has no answer."""

    def __init__(self, database: Database, authority: Authority | None) -> None:
        self._database = database
        self._authority = authority
        self._considered: dict[Address, datetime] = {}
        self._refusals = Refusals()

    async def answer(self, asked: RenewalAsked, now: datetime) -> str:
        """Give the certificate (PEM) for a request, '' for one that is refused or comes too often.

        Raises UnavailableError when the database cannot be reached; the gateway asks again.
        """
        address = asked.speaker.address
        if not self._turn(address, now):
            return ""
        if self._authority is None:
            log.warning(
                "%s/%s asks for a certificate, but this hub was not given the authority (PLANTROOM_AUTHORITY); use "
                "'plantroom gateway renew'",
                *address,
            )
            return ""
        try:
            return await self._renew(self._authority, asked, now)
        except UnavailableError:
            del self._considered[address]
            raise
        except HubError as error:
            self._refusals.note("certificate", "/".join(address), because=str(error))
            if not isinstance(error, NotFoundError):  # else there is nobody to record it for
                await self._record(address, str(error))
            return ""

    def _turn(self, address: Address, now: datetime) -> bool:
        last = self._considered.get(address)
        if last is not None and timedelta(0) <= now - last < CONSIDER_EVERY:
            return False
        while len(self._considered) >= ADDRESSES_MAX:
            del self._considered[next(iter(self._considered))]
        self._considered[address] = now
        return True

    async def _renew(self, authority: Authority, asked: RenewalAsked, now: datetime) -> str:
        site, gateway = asked.speaker.address
        held = holder(asked)
        async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
            await tx.become(Role.APP, await identity.owner(tx, site))
            request = asked.request.encode()
            certificate = await identity.renew(tx, authority, site, gateway, request, now, held=held)
        log.info("%s/%s has another certificate", site, gateway)
        return certificate

    async def _record(self, address: Address, sentence: str) -> None:
        """Record a refusal."""
        try:
            async with self._database.transaction(None, ACTOR, Role.INGEST) as tx:
                await tx.become(Role.APP, await identity.owner(tx, address.site))
                await identity.refused(tx, *address, sentence)
        except HubError as error:
            log.warning("that could not be recorded: %s", error)


def holder(asked: RenewalAsked) -> str:
    """Give the fingerprint of the certificate whose key has signed a request.

    Raises InvalidError, or ForbiddenError when it has not.
    """
    if max(len(asked.request), len(asked.held), len(asked.proof)) > REQUEST_BYTES_MAX:
        raise InvalidError(f"A certificate request has at most {REQUEST_BYTES_MAX} bytes; this is something else.")
    try:
        held = x509.load_pem_x509_certificate(asked.held.encode())
        key, proof = held.public_key(), bytes.fromhex(asked.proof)
    except UNREADABLE:
        raise InvalidError("The request comes without a certificate or its proof; enrol the gateway anew.") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise InvalidError("The key in use is not of an elliptic curve; renew it by 'plantroom gateway renew'.")
    try:
        key.verify(proof, renewal_words(asked.request), ECDSA(SHA256()))
    except InvalidSignature:
        raise ForbiddenError("The request is not signed by the key of the certificate in use.") from None
    return identity.fingerprint(held)
