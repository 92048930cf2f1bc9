"""Report by exception: which readings are worth sending.  Pure."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from operator import itemgetter

from rules.model.point import Kind, Point
from rules.model.reading import Reading

HEARTBEAT = timedelta(seconds=60)  # an unchanged gauge still says every minute that it lives

_code = itemgetter(0)  # of a reading: its point


class News:
    """Tells what of a device's poll is news.

    Counters always are, they are money.  Gauges and states are when they moved by the point's deadband or more (any
    move when it is 0), when the quality changed, or when the heartbeat has passed.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        """Begin with nothing sent."""
        self._bands = {point.code: None if point.kind is Kind.COUNTER else point.deadband for point in points}
        self._last: dict[str, Reading] = {}

    def of(self, readings: Iterable[Reading]) -> list[Reading]:
        """Give the readings that are worth sending, in order; each is compared with the one that goes out before it."""
        bands, last, fresh = self._bands, self._last, []
        now = horizon = None
        for reading in readings:  # a gateway goes through here ten thousand times a second
            code, at, value, quality, _, _ = reading
            if at is not now or horizon is None:
                now, horizon = at, at - HEARTBEAT
            band = bands[code]
            if band is not None and (sent := last.get(code)) is not None:
                _, sent_at, held, held_quality, _, _ = sent
                if quality is held_quality and sent_at > horizon:
                    if value == held:
                        continue
                    if value is not None and held is not None and -band < value - held < band:
                        continue
            last[code] = reading
            fresh.append(reading)
        return fresh

    def note(self, sent: Sequence[Reading]) -> None:
        """Remember what goes out."""
        self._last.update(zip(map(_code, sent), sent, strict=True))

    def forget(self, refused: Sequence[Reading]) -> None:
        """Take back what could not go out: whatever these points say next is news."""
        for reading in refused:
            self._last.pop(reading.point, None)
