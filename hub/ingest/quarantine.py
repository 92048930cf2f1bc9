"""Ration what goes into quarantine: the first of a kind is kept for the engineer, a flood is only counted."""

from collections import Counter
from datetime import datetime, timedelta

from hub.ingest.acts import Address, Fault

MINUTE = timedelta(minutes=1)
ROWS_PER_MINUTE = 20  # of one fault and gateway
ROWS_PER_MINUTE_ALL = 500
ONCE_PER_MINUTE = frozenset({Fault.CLOCK, Fault.RIVAL, Fault.UNKNOWN_GATEWAY, Fault.UNKNOWN_DEVICE, Fault.UNIT})


class Ration:
    """Counts the rows of the running minute."""

    def __init__(self) -> None:
        self._began: datetime | None = None
        self._given: Counter[tuple[Address | None, Fault]] = Counter()

    def allow(self, address: Address | None, fault: Fault, now: datetime) -> bool:
        """Whether one more row may be written."""
        if self._began is None or not timedelta(0) <= now - self._began < MINUTE:
            self._began = now
            self._given.clear()
        most = 1 if fault in ONCE_PER_MINUTE else ROWS_PER_MINUTE
        if self._given[address, fault] >= most or self._given.total() >= ROWS_PER_MINUTE_ALL:
            return False
        self._given[address, fault] += 1
        return True
