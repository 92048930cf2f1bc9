"""Who the gateway is to the broker: its certificate and its key in files, and how both are replaced.

A renewal makes a key beside the old one and asks for a certificate.  Once that has arrived and is right, its file
``<certificate>.next`` says that the new pair counts; whatever happens after that is finished by ``settle``.  So a
power cut at any moment leaves a key and a certificate that belong together.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from rules.wire import identity

PRIVATE, PUBLIC = 0o600, 0o644
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)  # what the library says to rubbish


class IdentityError(Exception):
    """The gateway's certificate or key cannot be used: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a gateway sends for a new certificate: the request, and that it is the holder of the present one.

    ``request`` and ``held`` are PEM, ``proof`` is the present key's signature over the request, in hexadecimal.
    """

    request: str
    held: str
    proof: str


def new_key() -> EllipticCurvePrivateKey:
    """Make a key (P-256)."""
    return generate_private_key(SECP256R1())


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Write a key as its file holds it (PKCS #8, PEM)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_request(key: EllipticCurvePrivateKey, name: str) -> bytes:
    """Ask for a certificate of ``key`` in that name (PKCS #10, PEM)."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Identity:
    """The three files of a gateway, whose ``name`` is <site>/<gateway>."""

    name: str
    ca: Path
    certificate: Path
    key: Path

    @property
    def _next_certificate(self) -> Path:
        return self.certificate.with_name(self.certificate.name + ".next")

    @property
    def _next_key(self) -> Path:
        return self.key.with_name(self.key.name + ".next")

    def settle(self) -> None:
        """Finish a renewal that was cut short after it had been decided; raises IdentityError."""
        try:
            if self._next_certificate.exists():
                if self._next_key.exists():
                    self._next_key.replace(self.key)
                    _sync(self.key.parent)
                self._next_certificate.replace(self.certificate)
                _sync(self.certificate.parent)
        except OSError as error:
            raise _unwritable(error) from None

    def held(self, now: datetime) -> x509.Certificate:
        """Give the present certificate; raises IdentityError when it cannot be read or is over."""
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, *UNREADABLE) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a certificate"
            raise IdentityError(f"The gateway's certificate {self.certificate} cannot be read ({why})") from None
        if now >= certificate.not_valid_after_utc:
            raise IdentityError(
                f"The gateway's certificate ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; have it "
                f"enrolled anew ('plantroom gateway enrol' at the hub) and put the files in {self.certificate.parent}"
            )
        return certificate

    def request(self) -> Request:
        """Ask for a certificate of the next key, which is made at the first call; raises IdentityError."""
        try:
            if not self._next_key.exists():
                write(self._next_key, key_pem(new_key()), PRIVATE)
            asked = make_request(_read_key(self._next_key), self.name)
            proof = _read_key(self.key).sign(identity.renewal_words(asked.decode()), ECDSA(hashes.SHA256()))
            return Request(asked.decode(), self.certificate.read_text("ascii"), proof.hex())
        except OSError as error:
            raise _unwritable(error) from None

    def accept(self, pem: str, now: datetime) -> datetime:
        """Take a new certificate into use and give when it ends.

        Raises IdentityError for one that is not of our authority, our name and our next key, or ends no later.
        """
        try:
            offered = x509.load_pem_x509_certificate(pem.encode())
            next_key = _read_key(self._next_key)
        except (OSError, *UNREADABLE):
            raise IdentityError("A certificate came that cannot be read or was not asked for") from None
        names = [name.value for name in offered.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if offered.public_key() != next_key.public_key() or names != [self.name] or not self._is_of_ours(offered):
            raise IdentityError("A certificate came that is not of our authority, our name and our new key")
        until = offered.not_valid_after_utc
        if until <= max(now, self.held(now).not_valid_after_utc):
            raise IdentityError("A certificate came that ends no later than the one in use")
        try:
            write(self._next_certificate, pem.encode(), PUBLIC)
        except OSError as error:
            raise _unwritable(error) from None
        self.settle()
        return until

    def _is_of_ours(self, offered: x509.Certificate) -> bool:
        try:
            authorities = x509.load_pem_x509_certificates(self.ca.read_bytes())
        except (OSError, *UNREADABLE):
            raise IdentityError(f"The authority's certificate {self.ca} cannot be read") from None
        return any(_issued(authority, offered) for authority in authorities)


def _issued(authority: x509.Certificate, offered: x509.Certificate) -> bool:
    try:
        offered.verify_directly_issued_by(authority)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _read_key(path: Path) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except UNREADABLE:
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise IdentityError(f"{path} does not hold a key of an elliptic curve without password; it is not renewed")
    return key


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all, and make sure that it is on the disk; raises OSError."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the names in a directory on the disk too."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _unwritable(error: OSError) -> IdentityError:
    return IdentityError(
        f"The gateway's certificate cannot be renewed ({error.strerror}: {error.filename}); give the edge agent the "
        "right to write in that directory"
    )
