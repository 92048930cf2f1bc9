"""Report by exception: which readings are worth sending.  Pure."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress

from rules.model.point import Kind, Point
from rules.model.poll import Poll
from rules.model.quality import Quality
from rules.model.reading import Reading

HEARTBEAT = timedelta(seconds=60)  # an unchanged gauge still says every minute that it lives
_NEVER = datetime.min.replace(tzinfo=UTC)
_ANY_MOVE = math.ulp(0.0)  # smaller than the difference of any two doubles that differ (IEEE 754-2019, 3.3)


class News:
    """Tells what of a device's poll is news.

    Counters always are, they are money.  Gauges and states are when they moved by the point's deadband or more (any
    move when it is 0), when the quality changed, or when the heartbeat has passed.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        """Begin with nothing sent."""
        points = tuple(points)
        self._codes = tuple(point.code for point in points)
        self._places = {code: place for place, code in enumerate(self._codes)}
        # What is nearer than this to what was sent has not moved; nothing is nearer than 0.
        self._bands = [0.0 if point.kind is Kind.COUNTER else max(point.deadband, _ANY_MOVE) for point in points]
        self._held: list[float | None] = [None] * len(points)  # what was sent last, by place
        self._qualities: list[Quality] = [Quality.BAD] * len(points)
        self._sent_at = [_NEVER] * len(points)

    def of(self, said: Iterable[Reading]) -> list[Reading]:
        """Give the readings that are worth sending, in order; each is compared with the one that goes out before it."""
        if isinstance(said, Poll) and not said.errors and said.codes == self._codes:
            moved = self._moved(said)
            if moved is not None:
                return said.some(moved)
        return [reading for reading in said if self._is_news(reading)]

    def _moved(self, poll: Poll) -> list[bool] | None:
        """Tell, place by place, what is news of a poll without faults; None where what was sent before had some."""
        held, sent_at, at = self._held, self._sent_at, poll.at
        if self._qualities.count(Quality.GOOD) < len(held):
            return None
        horizon = at - HEARTBEAT
        moved = [
            not -band < value - last < band or since <= horizon  # type: ignore[operator]  # good ones are numbers
            for value, last, band, since in zip(poll.values, held, self._bands, sent_at, strict=True)
        ]
        if all(moved):
            self._held, self._sent_at = list(poll.values), [at] * len(held)
        else:
            for place in compress(range(len(held)), moved):
                held[place], sent_at[place] = poll.values[place], at
        return moved

    def _is_news(self, reading: Reading) -> bool:
        code, at, value, quality, _, _ = reading
        place = self._places[code]
        held, band = self._held[place], self._bands[place]
        if self._sent_at[place] > at - HEARTBEAT and quality is self._qualities[place]:
            if value is None or held is None:
                if value is held and band:
                    return False
            elif -band < value - held < band:
                return False
        self._held[place], self._qualities[place], self._sent_at[place] = value, quality, at
        return True

    def note(self, sent: Sequence[Reading]) -> None:
        """Remember what goes out."""
        for code, at, value, quality, _, _ in sent:
            place = self._places[code]
            self._held[place], self._qualities[place], self._sent_at[place] = value, quality, at

    def forget(self, refused: Sequence[Reading]) -> None:
        """Take back what could not go out: whatever these points say next is news."""
        for reading in refused:
            self._sent_at[self._places[reading.point]] = _NEVER
