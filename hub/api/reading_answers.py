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
    """One hour (UTC) or day (of the site): ``n`` readings, ``good_n`` of them good, of which all else is."""

    point: str
    at: datetime
    n: int
    good_n: int
    min: float | None
    max: float | None
    mean: float | None
    first: float | None
    last: float | None


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

    ``estimated``: an end of the step lies between two readings. ``provisional``: late readings may still change it.
    """

    meter: str
    device: str
    commodity: str | None
    unit: str
    start: datetime
    end: datetime
    value: float | None
    estimated: bool
    provisional: bool
    doubt: str


class UsedSteps(Shown):
    """One page of consumption, by meter and time."""

    by: Literal["hour", "day", "month"]
    timezone: str
    consumption: list[UsedStep]
    next: str | None


class CompletePoint(Shown):
    """In how many whole hours of a period a point has a good reading."""

    point: str
    hours_good: int
    hours: int
    percent: float
    readings: int
    first_at: datetime | None
    last_at: datetime | None


class Completeness(Shown):
    """One page of completeness, by point."""

    start: datetime
    end: datetime
    points: list[CompletePoint]
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
        "estimated": False, "provisional": False, "doubt": "",
    }],
    "next": None,
}  # fmt: skip
COMPLETE = {
    "start": AT, "end": NEXT,
    "points": [{
        "point": _POINT["point"], "hours_good": 23, "hours": 24, "percent": 95.8, "readings": 1380, "first_at": AT,
        "last_at": "2026-11-01T23:59:00.000Z",
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
