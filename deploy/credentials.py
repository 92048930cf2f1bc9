"""Make the credentials that the devices of a training site need: passwords and keys by chance, one file each."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from rules.model.line import OnvifLine, OsdpLine
from rules.model.site import SiteFile

PASSWORD_BYTES = 18
KEY_BYTES = 16  # AES-128, the secure channel of OSDP
ONLY_OURS = 0o700


class CredentialsError(Exception):
    """The folder cannot be written; one sentence."""


def make(site: SiteFile, folder: Path) -> tuple[str, ...]:
    """Write what is not there yet; give the names of the files made.  Raises CredentialsError."""
    made = []
    try:
        folder.mkdir(mode=ONLY_OURS, parents=True, exist_ok=True)
        for name, secret in _wanted(site):
            if not (path := folder / name).exists():
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(secret() + "\n")
                made.append(name)
    except OSError as error:
        raise CredentialsError(
            f"The credentials cannot be kept in {folder} ({error.strerror}); name another folder with --out."
        ) from None
    return tuple(made)


def _wanted(site: SiteFile) -> Iterator[tuple[str, Callable[[], str]]]:
    """Name what the simulated devices ask for; ``drivers.credentials`` says how each is called."""
    for line in site.line:
        if isinstance(line, OnvifLine) and line.user:
            yield f"onvif-{line.code}-password", lambda: secrets.token_urlsafe(PASSWORD_BYTES)
        elif isinstance(line, OsdpLine):
            for device in site.device:
                if device.line == line.code:
                    yield f"osdp-{device.code}-key", lambda: secrets.token_hex(KEY_BYTES)
