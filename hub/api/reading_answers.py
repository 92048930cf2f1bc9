"""What the answers about readings say, with an example of each."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict

from hub.api.answers import Answer
from hub.api.forms import XLSX_TYPE

AT, NEXT = "2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z"
CURSOR = "WyJhMWIyYzNkNGU1ZjYiLCJFTS1BLU1BSU4uZW5lcmd5Il0"
Quality = Literal["good", "uncertain", "bad", "stale"]


class Shown(Answer):
    """An answer with an example in the description."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class AskedPoint(Shown):
    """A point that was asked about; ``timezone`` is its site's, in which its days are."""

    point: str
    measure: str
    kind: str
    unit: str
    timezone: str


class Value(Shown):
    """One stored reading; ``value`` null: there was none to show."""

    point: str
    at: datetime
    value: float | None
    quality: str


class Step(Shown):
    """One hour (UTC) or day (of the site): ``n`` readings, ``good_n`` of them good, of which all else is.

    For ``covered_s`` of its ``step_s`` seconds a good reading speaks; ``time_mean`` is the mean over these seconds,
    ``mean`` that of the readings. A day of the site is 23, 24 or 25 hours long.
    """

    point: str
    at: datetime
    n: int
    good_n: int
    min: float | None
    max: float | None
    mean: float | None
    first: float | None
    last: float | None
    covered_s: float
    step_s: float
    time_mean: float | None


class Readings(Shown):
    """One page of a range; ``next`` is the ``cursor`` of the page after it, null on the last."""

    start: datetime
    end: datetime
    resolution: Literal["raw", "hour", "day"]
    points: list[AskedPoint]
    readings: list[Value] | list[Step]
    next: str | None


class DrawnLine(Shown):
    """A point's line by column; where all values of a moment are null the line is broken."""

    point: str
    measure: str
    kind: str
    unit: str
    resolution: Literal["raw", "hour", "day"]
    at: list[datetime]
    value: list[float | None]
    min: list[float | None]
    max: list[float | None]


class Chart(Shown):
    """Lines of a chart."""

    start: datetime
    end: datetime
    lines: list[DrawnLine]


class LatestReading(Shown):
    """The latest reading of a point: the latest measured; ``at`` null: it has never been read."""

    point: str
    measure: str
    kind: str
    unit: str
    site: str
    device: str
    space: str
    at: datetime | None
    age_s: float | None
    value: float | None
    quality: str | None


class LatestReadings(Shown):
    """One page of the latest readings."""

    readings: list[LatestReading]
    next: str | None


class UsedStep(Shown):
    """What a meter counted in one step; ``value`` null: it cannot be said, and ``doubt`` says why.

    Days and months are the figures of the page of consumption. ``state``: provisional, final or parked (not known);
    null: nothing is stored yet. ``provisional``: it is not final. ``estimated``: an end lies between two readings.
    ``version``: 1, one more with every change; null: worked out on asking. The ends say what the face showed and how
    that is known: read, between two readings that leave no doubt, or linear. A virtual meter has no face.
    """

    meter: str
    device: str
    commodity: str
    unit: str
    start: datetime
    end: datetime
    value: float | None
    estimated: bool
    provisional: bool
    doubt: str
    state: Literal["provisional", "final", "parked"] | None
    version: int | None
    start_value: float | None
    start_method: Literal["read", "between", "linear"] | None
    end_value: float | None
    end_method: Literal["read", "between", "linear"] | None
    worked_at: datetime | None


class UsedSteps(Shown):
    """One page of consumption, by meter and time."""

    by: Literal["hour", "day", "month"]
    timezone: str
    consumption: list[UsedStep]
    next: str | None


_POINT = {"point": "EM-A-MAIN.energy", "measure": "energy", "kind": "counter", "unit": "kWh"}
_METER = {"meter": "EM-A-101.energy", "device": "EM-A-101", "commodity": "electricity", "unit": "kWh"}
READINGS = {
    "start": AT, "end": NEXT, "resolution": "raw", "points": [{**_POINT, "timezone": "Asia/Shanghai"}],
    "readings": [{"point": _POINT["point"], "at": AT, "value": 48210.25, "quality": "good"}], "next": CURSOR,
}  # fmt: skip
CHART = {
    "start": AT, "end": NEXT,
    "lines": [{**_POINT, "resolution": "hour", "at": [AT], "value": [48216.5], "min": [48210.25], "max": [48216.5]}],
}  # fmt: skip
LATEST = {
    "readings": [{
        **_POINT, "site": "RIVERSIDE", "device": "EM-A-MAIN", "space": "A", "at": AT, "age_s": 4.2, "value": 48216.5,
        "quality": "good",
    }],
    "next": None,
}  # fmt: skip
USED = {
    "by": "day", "timezone": "Asia/Shanghai",
    "consumption": [{
        **_METER, "start": "2026-10-31T16:00:00.000Z", "end": "2026-11-01T16:00:00.000Z", "value": 42.7,
        "estimated": False, "provisional": False, "doubt": "", "state": "final", "version": 1, "start_value": 1810.2,
        "start_method": "read", "end_value": 1852.9, "end_method": "between", "worked_at": "2026-11-01T17:02:11.000Z",
    }],
    "next": None,
}  # fmt: skip


def described(example: dict[str, Any], head: tuple[str, ...] = ()) -> dict[int | str, dict[str, Any]]:
    """Give the description of a route's answers: the example, its files where it has a ``head``, and 304."""
    content: dict[str, Any] = {"application/json": {"example": example}}
    if head:
        content |= {"text/csv": {"schema": {"type": "string"}, "example": ",".join(head) + "\r\n"}}
        content |= {XLSX_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"content": content}, 304: {"description": "Known already, by If-None-Match."}}
