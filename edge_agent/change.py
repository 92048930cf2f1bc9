"""Report by exception: which readings are worth sending.  Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from rules.model.point import Kind, Point
from rules.model.reading import Reading

HEARTBEAT = timedelta(seconds=60)  # an unchanged gauge still says every minute that it lives


def worth_sending(point: Point, last: Reading | None, reading: Reading) -> bool:
    """Whether ``reading`` goes out, given the last one of the point that did.

    Counters always do, they are money.  Gauges and states do when they moved by the point's deadband or more
    (any move when it is 0), when the quality changed, or when the heartbeat has passed.
    """
    if point.kind is Kind.COUNTER or last is None or reading.quality is not last.quality:
        return True
    if reading.at - last.at >= HEARTBEAT:
        return True
    if reading.value is None or last.value is None:
        return reading.value is not last.value
    moved = abs(reading.value - last.value)
    return moved > 0 and moved >= point.deadband


def news(points: Mapping[str, Point], reported: Mapping[str, Reading], readings: Sequence[Reading]) -> list[Reading]:
    """Give the readings that are worth sending, each compared with the one of its point that goes out before it."""
    last = dict(reported)
    kept = []
    for reading in readings:
        if worth_sending(points[reading.point], last.get(reading.point), reading):
            last[reading.point] = reading
            kept.append(reading)
    return kept
