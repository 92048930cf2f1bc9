"""What events have told about the points of one camera or door, and when."""

from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from drivers.driver import Asked
from drivers.number import scaled
from drivers.onvif.message import Told
from drivers.onvif.profile import OnvifMeasure
from rules.model.quality import Quality
from rules.model.reading import Reading

CHANGES_MAX = 200  # of one point between two readings
TICK = timedelta(milliseconds=1)  # readings of a point are at least so far apart


class States:
    """The states that come from events; nobody knows them before the device has told them."""

    def __init__(self, points: Sequence[tuple[Asked, OnvifMeasure]], address: str) -> None:
        """Take the points that come from events; ``address`` is the door's token, '' for all of the device."""
        self._measures = {asked.point.code: (asked, found) for asked, found in points if found.origin == "event"}
        self._address = address
        self._values: dict[str, Decimal] = {}
        self._said: dict[str, str] = {}  # words that the profile does not know
        self._changes: dict[str, deque[tuple[datetime, Decimal]]] = defaultdict(lambda: deque(maxlen=CHANGES_MAX))
        self._last: dict[str, datetime] = {}

    def begin_anew(self) -> None:
        """Forget the states: the device says them again to a new pull point."""
        self._values.clear()
        self._said.clear()

    def take(self, message: Told, at: datetime) -> str | None:
        """Take in a message; gives the cause of a still if one is to be taken."""
        cause: str | None = None
        for code, (_, measure) in self._measures.items():
            if message.topic != measure.topic or not measure.where.items() <= message.source.items():
                continue
            if message.operation == "Deleted":
                self._values.pop(code, None)
                continue
            word = message.data.get(measure.item)
            if word is None:
                continue
            value = measure.values.get(word)
            self._said[code] = "" if value is not None else word
            if value is None:
                self._values.pop(code, None)
                continue
            before = self._values.get(code)
            self._values[code] = value
            if message.operation != "Initialized" and value != before:
                self._changes[code].append((at, value))
                cause = measure.still if value == 1 and measure.still else cause
        return cause

    def readings(self, asked: Asked, now: datetime, error: str) -> list[Reading]:
        """Give every change since the last call, and what holds now; in order of time."""
        code = asked.point.code
        measure = self._measures[code][1]
        changes, found = self._changes.pop(code, ()), []
        for at, number in changes:
            found.append(self._reading(asked, measure, at, number))
        value = self._values.get(code)
        if error or value is None:
            word = self._said.get(code)
            why = error or (f"the device says '{word[:40]}'" if word else "the device has not told it yet")
            found.append(Reading(code, self._after(code, now), None, Quality.BAD, error=why))
        else:
            found.append(self._reading(asked, measure, now, value))
        return found

    def _reading(self, asked: Asked, measure: OnvifMeasure, at: datetime, number: Decimal) -> Reading:
        value = scaled(number, measure.scale, asked.factor).value
        return Reading(asked.point.code, self._after(asked.point.code, at), value, Quality.GOOD)

    def _after(self, code: str, at: datetime) -> datetime:
        """Give ``at``, or just after the last reading of the point where that is later."""
        last = self._last.get(code)
        self._last[code] = at if last is None or at > last else last + TICK
        return self._last[code]
