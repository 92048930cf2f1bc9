"""The small files of a server's home: who holds it, its password, its last port."""

import fcntl
import os
import secrets
from pathlib import Path

PASSWORD_BYTES = 24
DATA_MODE = 0o711  # nobody else looks in; the database's user passes through to its own folder


class AlreadyHeldError(RuntimeError):
    """Another Plantroom uses the same data directory: stop it, or give another ``--data``."""


class Hold:
    """An exclusive lock on a directory; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hold"
        self._fd = -1

    def take(self) -> bool:
        """Take the lock without waiting; whether we have it."""
        if self._fd >= 0:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        self._fd = fd
        return True

    def holder(self) -> str:
        """Give the process number that the last holder wrote, for a sentence."""
        return self._path.read_text().strip() if self._path.exists() else "unknown"

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def password(path: Path) -> str:
    """Give the password kept in ``path`` (mode 0600); a random one is made at the first call."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(PASSWORD_BYTES))
    return path.read_text().strip()


def last_port(path: Path) -> int:
    """Give the port of the last start, 0 when there was none."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdigit() else 0
