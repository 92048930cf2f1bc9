"""Certificates of a line: ours with its key, the servers that are trusted, and how long both still last.

A server is known by its very certificate (SHA-256 of its DER form), not by who signed it: plant controllers sign
their own.  So a trusted certificate stays good after its last day, with a warning, and a strange one is refused
however well it is signed.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drivers.errors import MisconfiguredError

WARN_BEFORE = timedelta(days=30)
VALID = timedelta(days=5 * 365)
KEY_BITS = 2048  # what all three policies take (OPC 10000-7)
PUBLIC_EXPONENT = 65537
FILE_BYTES_MAX = 65_536
TRUSTED_MAX = 500
ENDS = (".der", ".pem", ".crt", ".cer")
_CLOCK_SLACK = timedelta(days=1)  # a server whose clock is behind still finds ours begun
_PEM = b"-----BEGIN"


@dataclass(frozen=True, slots=True)
class Own:
    """Our certificate and key (DER), the application URI that the certificate is for, and when it ends."""

    certificate: bytes
    key: bytes
    uri: str
    until: datetime


def own(certificate: str, key: str) -> Own:
    """Read our certificate and its key, each PEM or DER; raises MisconfiguredError."""
    shown = _certificate(Path(certificate))
    secret = _key(Path(key))
    if shown.public_key() != secret.public_key():
        raise MisconfiguredError(f"{key} is not the key of the certificate {certificate}; give the pair")
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    if not uris:
        raise MisconfiguredError(
            f"{certificate} names no application URI, without which servers refuse it; make one with "
            "'plantroom edge certificate'"
        )
    return Own(
        shown.public_bytes(Encoding.DER),
        secret.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        uris[0],
        shown.not_valid_after_utc,
    )


def trusted(place: str) -> frozenset[str]:
    """Give the fingerprints of a certificate file, or of all in a folder; raises MisconfiguredError."""
    path = Path(place)
    try:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDS) if path.is_dir() else [path]
    except OSError as error:
        raise MisconfiguredError(f"the trusted certificates in {place} cannot be read: {error.strerror}") from None
    if len(files) > TRUSTED_MAX:
        raise MisconfiguredError(f"{place} holds {len(files)} certificates, more than {TRUSTED_MAX}; split the folder")
    return frozenset(fingerprint(_certificate(file).public_bytes(Encoding.DER)) for file in files)


def fingerprint(der: bytes) -> str:
    """Give the SHA-256 of a certificate as people compare it ('3F:09:...')."""
    return hashlib.sha256(der).digest().hex(":").upper()


def until(der: bytes) -> datetime | None:
    """Give when a certificate ends; None for one that cannot be read."""
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except (ValueError, x509.InvalidVersion):
        return None


def caution(whose: str, ends_at: datetime | None, now: datetime) -> str:
    """Give the sentence about a certificate that has ended or soon will; '' where there is nothing to say."""
    if ends_at is None or ends_at - now > WARN_BEFORE:
        return ""
    if ends_at <= now:
        return f"{whose} ended on {ends_at:%Y-%m-%d}; have a new one made and exchanged"
    return f"{whose} ends on {ends_at:%Y-%m-%d}, in {(ends_at - now).days} days; have a new one made and exchanged"


def make(uri: str, host: str, now: datetime) -> tuple[bytes, bytes]:
    """Make a certificate for an application URI and its key, both PEM (OPC 10000-6, 6.2.2)."""
    key = generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Plantroom edge"),
                      x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plantroom")])  # fmt: skip
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + VALID)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise MisconfiguredError(
            f"{path} cannot be read: {error.strerror}; correct the path in the site file"
        ) from None


def _certificate(path: Path) -> x509.Certificate:
    data = _content(path)
    try:
        if _PEM in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        raise MisconfiguredError(f"{path} is no certificate; give a PEM or DER file") from None


def _key(path: Path) -> RSAPrivateKey:
    data = _content(path)
    try:
        key = load_pem_private_key(data, None) if _PEM in data else load_der_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise MisconfiguredError(f"{path} is no RSA key without a password; OPC UA needs one")
    return key
