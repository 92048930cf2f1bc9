"""What ingest has done since it started."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counts:
    """Counters since the start of the process; readings unless said."""

    stored: int = 0
    duplicates: int = 0  # arrived again and were there already
    quarantined: int = 0  # messages or frames with something that could not be used
    dropped: int = 0  # messages that found the queue full; the edge sends them again
    batches: int = 0
    failures: int = 0  # batches that had to be tried again
    judge_failures: int = 0

    def __str__(self) -> str:
        """Give one line for the log."""
        return " ".join(f"{name}={number}" for name, number in asdict(self).items())
