"""What tests make once and keep between runs: in $PLANTROOM_TEST_CACHE, or where the user's caches are."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(
    os.environ.get("PLANTROOM_TEST_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "plantroom-test")
)


class CannotBeMadeError(Exception):
    """It is not there and cannot be made here; the text says what is missing."""


@contextmanager
def or_skipped() -> Iterator[None]:
    """Skip a test for what cannot be made here."""
    try:
        yield
    except CannotBeMadeError as error:
        pytest.skip(str(error))


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Give the folder ``name`` of the cache; ``make`` fills it the first time, while others wait.

    Raises CannotBeMadeError, which ``make`` may raise too.
    """
    folder, part = CACHE / name, CACHE / f"{name}.part"
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(mode=0o755)
                make(part)
                part.rename(folder)
    except OSError as error:
        raise CannotBeMadeError(f"{folder} cannot be written: {error}") from error
    return folder
