"""The files of the certificate authority: its key and certificate, what was revoked, and where brokers are configured.

They stand in ``<data>/authority`` (0700, files 0600) or where ``PLANTROOM_AUTHORITY`` says.  Who has the key can speak
as any gateway, so it is kept on the hub's machine and in its backup alone.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.settings import Settings
from deploy.state import Hold, write_private
from hub.assets.authority import CERTIFICATE_FILE, KEY_FILE, Authority, AuthorityError, establish
from hub.assets.authority import read as read_authority

REVOKED_FILE = "revoked.pem"
HOLD_WAIT_S = 10.0
POLL_S = 0.05


def folder(settings: Settings) -> Path:
    """Give where the authority's files are, or will be."""
    return settings.authority or settings.data / "authority"


def given(settings: Settings) -> Path | None:
    """Give the folder where there is an authority; None: this machine has none.  A named one must be there."""
    place = folder(settings)
    return place if settings.authority or (place / KEY_FILE).exists() else None


@contextmanager
def opened(settings: Settings, now: datetime) -> Iterator[Authority]:
    """Give the authority, made at the first call; nobody else changes its files meanwhile.  Raises AuthorityError."""
    place = folder(settings)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(place):
        if not (place / KEY_FILE).exists() and not (place / CERTIFICATE_FILE).exists():
            _keep(establish(now), place)
        authority = read_authority(place)
        if not (place / REVOKED_FILE).exists():
            write_private(place / REVOKED_FILE, authority.revocation_list({}, 1, now).decode())
        yield authority


def revoke(settings: Settings, authority: Authority, revoked: Mapping[int, datetime]) -> bytes:
    """Put serial numbers on the list of what was revoked, and give the list (PEM); nothing ever leaves it.

    Of two lists of the same second a broker keeps the first, so the new one is younger.  Raises AuthorityError.
    """
    path = folder(settings) / REVOKED_FILE
    try:
        before = x509.load_pem_x509_crl(path.read_bytes())
    except (OSError, ValueError):
        raise AuthorityError(f"{path} cannot be read; bring it back from the backup.") from None
    listed = {one.serial_number: one.revocation_date_utc for one in before}
    if not revoked.keys() - listed.keys():
        return path.read_bytes()
    number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
    data = authority.revocation_list({**revoked, **listed}, number, _after(before.last_update_utc))
    write_private(path, data.decode())
    return data


def _after(last: datetime) -> datetime:
    """Give the time, in a later second than ``last``."""
    ahead_s = (last - datetime.now(UTC)).total_seconds() + 1.0
    if ahead_s > HOLD_WAIT_S:
        raise AuthorityError(
            f"The last list of revocations is of {last:%Y-%m-%d %H:%M:%S} UTC, which is to come; correct the clock."
        )
    time.sleep(max(0.0, ahead_s))
    return datetime.now(UTC)


def _keep(authority: Authority, place: Path) -> None:
    """Write both files, the key last: with it the authority is there."""
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(place / CERTIFICATE_FILE, authority.certificate.public_bytes(Encoding.PEM).decode())
    write_private(place / KEY_FILE, key.decode())


@contextmanager
def _held(place: Path) -> Iterator[None]:
    hold = Hold(place)
    until_s = time.monotonic() + HOLD_WAIT_S
    while not hold.take():
        if time.monotonic() > until_s:
            raise AuthorityError(f"Another command (process {hold.holder()}) is at work in {place}; try again.")
        time.sleep(POLL_S)
    try:
        yield
    finally:
        hold.release()
