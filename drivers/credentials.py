"""Passwords and keys of devices: files beside the site file, never in it.

A credential is a file of its name in the folder CREDENTIALS_DIRECTORY (systemd's LoadCredential) or
PLANTROOM_CREDENTIALS.  The name says whose it is: ``opcua-<line>-password``, ``onvif-<line>-password``,
``onvif-<line>-certificate`` (PEM, of a device that vouches for itself), ``onvif-scan-password``, ``osdp-<device>-key``
(32 hexadecimal digits), ``camera-<line>-password``.
"""

import os
from pathlib import Path

FOLDERS = ("CREDENTIALS_DIRECTORY", "PLANTROOM_CREDENTIALS")
CREDENTIAL_BYTES_MAX = 4096


def credential(name: str) -> str | None:
    """Give a credential without the white space around it; None where there is none."""
    for variable in FOLDERS:
        if not (folder := os.environ.get(variable)):
            continue
        try:
            with (Path(folder) / name).open("rb") as file:
                return file.read(CREDENTIAL_BYTES_MAX).decode().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            continue
    return None
