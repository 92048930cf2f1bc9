"""The certificate authority of one Plantroom: signs who is who towards the broker.  No clock, no network.

EC keys and SHA-256 throughout (X.509 as in RFC 5280).  ``deploy`` keeps the files; a hub that is given their folder
renews the certificates of gateways by itself.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from hub.errors import InvalidError
from rules.wire import identity

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=365)  # broker and hub: "broker configure" renews them
GATEWAY_LIFE = timedelta(days=90)
CLOCK_SKEW = timedelta(minutes=5)  # how far a gateway's clock may be behind the hub's
REQUEST_BYTES_MAX = 8_000
KEY_BITS_MIN = 256
KEY_FILE, CERTIFICATE_FILE = "ca.key", "ca.pem"
OTHERS_MAY = 0o077
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)  # what the library says to rubbish


class AuthorityError(Exception):
    """The authority's files cannot be used: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's key and its own certificate."""

    key: EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    def gateway(self, key: EllipticCurvePublicKey, site: str, gateway: str, now: datetime) -> x509.Certificate:
        """Certify a gateway as a client; raises UnusableNameError."""
        name = identity.common_name(site, gateway)
        names = [x509.UniformResourceIdentifier(identity.uri(site, gateway))]
        return self._certify(name, key, ExtendedKeyUsageOID.CLIENT_AUTH, names, now, GATEWAY_LIFE)

    def hub(self, key: EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
        """Certify the hub as a client."""
        return self._certify(identity.HUB, key, ExtendedKeyUsageOID.CLIENT_AUTH, [], now, SERVER_LIFE)

    def broker(self, key: EllipticCurvePublicKey, hosts: Sequence[str], now: datetime) -> x509.Certificate:
        """Certify the broker as a server under the host names and addresses given."""
        names = [general_name(host) for host in hosts]
        return self._certify(identity.BROKER, key, ExtendedKeyUsageOID.SERVER_AUTH, names, now, SERVER_LIFE)

    def revocation_list(self, revoked: Mapping[int, datetime], number: int, now: datetime) -> bytes:
        """Sign the list of revoked serial numbers (PEM).

        It counts until the authority's own end: a broker refuses everybody once the list that it has is out of date.
        """
        listed = x509.CertificateRevocationListBuilder(
            issuer_name=self.certificate.subject,
            last_update=now,
            next_update=self.certificate.not_valid_after_utc,
        ).add_extension(x509.CRLNumber(number), critical=False)
        for serial, at in sorted(revoked.items()):
            one = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=at)
            listed = listed.add_revoked_certificate(one.build())
        return listed.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _certify(
        self,
        name: str,
        key: EllipticCurvePublicKey,
        usage: ObjectIdentifier,
        names: Sequence[x509.GeneralName],
        now: datetime,
        life: timedelta,
    ) -> x509.Certificate:
        until = min(now + life, self.certificate.not_valid_after_utc)
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            _builder(_named(name), self.certificate.subject, key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(signed_by, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def establish(now: datetime) -> Authority:
    """Make a new authority, with a name of its own."""
    key = generate_key(SECP256R1())
    name = _named(f"Plantroom authority {fingerprint_of_key(key.public_key())[:12]}")
    certificate = (
        _builder(name, name, key.public_key(), now, now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def read(folder: Path) -> Authority:
    """Read the authority's two files; raises AuthorityError."""
    key_path = folder / KEY_FILE
    try:
        if key_path.stat().st_mode & OTHERS_MAY:
            raise AuthorityError(f"{key_path} can be read by others than its owner: chmod 600 it.")
        key = load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
    except (OSError, *UNREADABLE) as error:
        why = error.strerror if isinstance(error, OSError) else "not a key and a certificate"
        raise AuthorityError(
            f"The certificate authority in {folder} cannot be used ({why}): run this as the owner of its files, "
            "or bring them back from the backup."
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise AuthorityError(f"The key and the certificate in {folder} do not belong together: bring back the backup.")
    return Authority(key, certificate)


def open_request(pem: bytes) -> tuple[str, EllipticCurvePublicKey]:
    """Give name and key of a certificate request, signed by that very key; raises InvalidError."""
    if len(pem) > REQUEST_BYTES_MAX:
        raise InvalidError(f"A certificate request has at most {REQUEST_BYTES_MAX} bytes; this is something else.")
    try:
        request = x509.load_pem_x509_csr(pem)
        key, sound = request.public_key(), request.is_signature_valid
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE:
        raise InvalidError("That is not a certificate request (PEM, PKCS #10); make it anew.") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.key_size < KEY_BITS_MIN:
        raise InvalidError("The request's key is not of an elliptic curve of 256 bits or more (P-256); make another.")
    if not sound or len(names) != 1:
        raise InvalidError("The request is not signed by its own key or does not have just one name; make it anew.")
    return str(names[0].value), key


def fingerprint_of_key(key: EllipticCurvePublicKey) -> str:
    """Give SHA-256 of a public key, as hexadecimal digits."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def general_name(host: str) -> x509.GeneralName:
    """Give a host name or an address as it stands in a certificate; raises InvalidError."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_is_label(label) for label in labels):  # noqa: PLR2004  RFC 1035, section 2.3.4
        raise InvalidError(f"{host[:80]!r} is not a host name or address; write it like broker.example or 192.0.2.7.")
    return x509.DNSName(".".join(labels))


def _is_label(label: str) -> bool:
    bare = label.replace("-", "")
    return bare.isascii() and bare.isalnum() and len(label) <= 63 and label[0] != "-" != label[-1]  # noqa: PLR2004


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - CLOCK_SKEW,
        not_valid_after=until,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
