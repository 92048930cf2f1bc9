"""Report by exception: which readings are worth sending.  Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import compress
from math import isnan, nan, ulp

from rules.model.point import Kind, Point
from rules.model.poll import Poll
from rules.model.quality import Quality
from rules.model.reading import Reading

HEARTBEAT = timedelta(seconds=60)  # an unchanged gauge still says every minute that it lives
_NEVER = datetime.min.replace(tzinfo=UTC)
_ANY_MOVE = ulp(0.0)  # no two doubles that differ are nearer to each other (IEEE 754-2019, 3.3)


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
        self._held = [nan] * len(points)  # what was sent last, by place; not a number for none
        self._qualities: list[Quality | None] = [None] * len(points)
        self._sent_at = [_NEVER] * len(points)
        self._doubtful = set(range(len(points)))  # the places where what was sent last was not good

    def of(self, said: Iterable[Reading]) -> list[Reading]:
        """Give the readings that are worth sending, in order; each is compared with the one that goes out before it."""
        if isinstance(said, Poll) and said.codes == self._codes:
            return said.some(self._at_once(said))
        return [reading for reading in said if self._is_news(*self._placed(reading))]

    def _at_once(self, poll: Poll) -> list[bool]:
        """Tell, place by place, what of a whole poll is news; most places were good and are good again."""
        at = poll.at
        values = [nan if value is None else value for value in poll.values]
        horizon = at - HEARTBEAT
        moved = [
            not -band < value - held < band or sent_at <= horizon
            for value, held, band, sent_at in zip(values, self._held, self._bands, self._sent_at, strict=True)
        ]
        for place in self._doubtful.union(poll.errors):
            quality = Quality.BAD if place in poll.errors else Quality.GOOD
            moved[place] = self._is_news(place, at, values[place], quality)
        if all(moved):
            self._held, self._sent_at = values, [at] * len(values)
        else:
            for place in compress(range(len(values)), moved):
                self._held[place], self._sent_at[place] = values[place], at
        return moved

    def _is_news(self, place: int, at: datetime, value: float, quality: Quality) -> bool:
        band, held = self._bands[place], self._held[place]
        if quality is self._qualities[place] and self._sent_at[place] > at - HEARTBEAT:
            still_none = band > 0 and isnan(value) and isnan(held)
            if still_none or -band < value - held < band:
                return False
        self._keep(place, at, value, quality)
        return True

    def _keep(self, place: int, at: datetime, value: float, quality: Quality) -> None:
        self._held[place], self._qualities[place], self._sent_at[place] = value, quality, at
        if quality is Quality.GOOD:
            self._doubtful.discard(place)
        else:
            self._doubtful.add(place)

    def _placed(self, reading: Reading) -> tuple[int, datetime, float, Quality]:
        code, at, value, quality, _, _ = reading
        return self._places[code], at, nan if value is None else value, quality

    def note(self, sent: Iterable[Reading]) -> None:
        """Remember what goes out."""
        for reading in sent:
            self._keep(*self._placed(reading))

    def forget(self, refused: Iterable[Reading]) -> None:
        """Take back what could not go out: whatever these points say next is news."""
        for reading in refused:
            self._sent_at[self._places[reading.point]] = _NEVER
