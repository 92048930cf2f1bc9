"""The course of one load: whole counts since the epoch, exact at every millisecond."""

from collections.abc import Callable

import numpy as np

from simulators.noise import Counts, Numbers
from simulators.worldtime import BLOCK, QUARTER_MS


class Course:
    """Whole counts of one load, never going back.

    ``rates`` gives the counts (with fraction) of every quarter hour of a block.  Blocks are worked out in
    order, at the first question that needs them; what they answer depends on nothing but their number.
    """

    def __init__(self, rates: Callable[[int], Numbers]) -> None:
        self._rates = rates
        self._blocks: list[Counts] = []

    def count(self, ms: int) -> int:
        """Give the counts up to ``ms`` milliseconds after the epoch."""
        quarter, rest = divmod(ms, QUARTER_MS)
        start, step = self._quarter(quarter)
        return start + step * rest // QUARTER_MS

    def step(self, ms: int) -> int:
        """Give the counts of the whole quarter hour that ``ms`` lies in."""
        return self._quarter(ms // QUARTER_MS)[1]

    def counts(self, first: int, past: int) -> Counts:
        """Give the counts at the starts of the quarters ``first`` to ``past`` (excluded)."""
        parts = []
        for block in range(first // BLOCK, (past - 1) // BLOCK + 1):
            origin = block * BLOCK
            parts.append(self._block(block)[max(first - origin, 0) : min(past - origin, BLOCK)])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _quarter(self, quarter: int) -> tuple[int, int]:
        block, index = divmod(quarter, BLOCK)
        counts = self._block(block)
        start = int(counts[index])
        return start, int(counts[index + 1]) - start

    def _block(self, number: int) -> Counts:
        """Give the counts at the BLOCK + 1 borders of a block's quarters."""
        while len(self._blocks) <= number:
            before = int(self._blocks[-1][-1]) if self._blocks else 0
            steps = np.floor(np.cumsum(self._rates(len(self._blocks)))).astype(np.int64)
            self._blocks.append(np.concatenate([np.array([before], np.int64), before + steps]))
        return self._blocks[number]
