"""Which local rules have latched: a file, so that a restart does not free them."""

import json
import logging
from collections.abc import Set as AbstractSet
from pathlib import Path

from edge_agent.identity import PRIVATE, write

BYTES_MAX = 1024 * 1024

log = logging.getLogger(__name__)


class Latches:
    """The signs of rules that have latched; without a file they live as long as the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.held: frozenset[str] = frozenset() if path is None else _read(path)

    def keep(self, held: AbstractSet[str]) -> None:
        """Write down what is latched now; a disk that does not take it is said in the log."""
        if held == self.held:
            return
        self.held = frozenset(held)
        if self._path is None:
            return
        try:
            write(self._path, json.dumps(sorted(held)).encode(), PRIVATE)
        except OSError as error:
            log.error("%s: what has latched would be forgotten by a restart: %s", self._path, error.strerror)  # noqa: TRY400  one sentence says it all


def _read(path: Path) -> frozenset[str]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(BYTES_MAX))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError):
        log.warning("%s cannot be read: rules that had latched start anew", path)
        return frozenset()
    return frozenset(str(code) for code in found) if isinstance(found, list) else frozenset()
