"""What ingest has done since it started."""

from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass, field

COMMIT_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Spans:
    """How long something took, counted by upper bounds in seconds; the last is everything longer."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(COMMIT_BOUNDS_S) + 1))
    total_s: float = 0.0

    def note(self, took_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(COMMIT_BOUNDS_S, took_s)] += 1
        self.total_s += took_s


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
    received: int = 0  # messages
    decoded: int = 0  # what they asked for: births, frames, reports
    acknowledged: int = 0  # acknowledgements said
    faults: Counter[str] = field(default_factory=Counter)  # what was quarantined, by reason
    commits: Spans = field(default_factory=Spans)

    def __str__(self) -> str:
        """Give one line for the log."""
        return " ".join(f"{name}={number}" for name, number in self.numbers().items())

    def numbers(self) -> dict[str, int]:
        """Give the plain counters by name."""
        return {name: number for name, number in asdict(self).items() if isinstance(number, int)}
