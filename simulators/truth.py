"""The simulator's own log of every counter that it told: what nobody may lose or count twice."""

import json
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self


class UnwritableTruthError(OSError):
    """The truth log cannot be written; the message is one sentence."""


class TruthLog:
    """Appends one JSON line for each counter in each answer; a line is with the system before the answer is."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UnwritableTruthError(
                f"the truth log {path} cannot be written ({error.strerror}); name another file"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, at: datetime, device: str, measure: str, count: int) -> None:
        """Log that ``device`` told ``count`` (face, in counts) at ``at``."""
        row = {
            "at": at.isoformat(timespec="milliseconds"),
            "device": device,
            "measure": measure,
            "count": count,
        }
        self._file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
