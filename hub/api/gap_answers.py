"""What the answers about completeness and gaps say, with an example of each."""

from datetime import datetime

from hub.api.reading_answers import AT, CURSOR, NEXT, Shown


class CompleteRow(Shown):
    """How much of the time a point (a device: its points together; ``point`` null) is covered by good readings.

    It counts from the first reading on, ``since``; ``percent`` null: nothing was expected. ``late_s`` of what is
    covered was filled in afterwards. ``bad`` of the readings were of no use.
    """

    gateway: str
    device: str
    point: str | None
    since: datetime
    percent: float | None
    expected_s: float
    covered_s: float
    late_s: float
    readings: int
    bad: int


class Completeness(Shown):
    """One page of completeness, by gateway, device and point."""

    start: datetime
    end: datetime
    rows: list[CompleteRow]
    next: str | None


class Gap(Shown):
    """A stretch between two good readings of a point that is longer than one speaks for.

    ``expected_s`` is the usual time between two readings. ``open``: it goes on. ``recovered_at``: it was filled in
    then, and its ends are whole hours. ``bad`` readings of no use lie in it.
    """

    gateway: str
    device: str
    point: str
    start: datetime
    end: datetime
    missing_s: float
    expected_s: float
    open: bool
    bad: int
    recovered_at: datetime | None


class Gaps(Shown):
    """Gaps by time. ``points_left_off`` more points lack something; ``more``: there are more gaps than are given."""

    start: datetime
    end: datetime
    gaps: list[Gap]
    points_left_off: int
    more: bool


_OF = {"gateway": "GW-A", "device": "EM-A-MAIN", "point": "EM-A-MAIN.energy"}
COMPLETE = {
    "start": AT, "end": NEXT,
    "rows": [{
        **_OF, "since": AT, "percent": 95.8, "expected_s": 86400.0, "covered_s": 82800.0, "late_s": 0.0,
        "readings": 1380, "bad": 0,
    }],
    "next": CURSOR,
}  # fmt: skip
GAPS = {
    "start": AT, "end": NEXT,
    "gaps": [{
        **_OF, "start": "2026-11-01T03:00:00.000Z", "end": "2026-11-01T04:00:00.000Z", "missing_s": 3600.0,
        "expected_s": 60.0, "open": False, "bad": 0, "recovered_at": None,
    }],
    "points_left_off": 0, "more": False,
}  # fmt: skip
