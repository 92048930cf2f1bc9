"""Read the metrics of one DDATA into a frame: what can be stored, and one sentence for what cannot."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.ingest.acts import Birth, Fault, Frame, Sample, Samples, Speaker, Spec, Told
from hub.ingest.inbox import Message
from rules.model.quality import Quality
from rules.wire import topics
from rules.wire.event import EVENT, event_of
from rules.wire.readings import Plain
from rules.wire.sparkplug import (
    DataType,
    MalformedPayloadError,
    Metric,
    Payload,
    Value,
    millis,
    read_time,
    signed,
)

AHEAD_MAX = timedelta(minutes=10)
# Our own edge keeps its time when somebody sets the computer's clock back, and sends everything once: what it says may
# be hours ahead of a hub on the same computer, and to refuse it would be to lose it.
AHEAD_OF_SPOOL_MAX = timedelta(hours=25)
AHEAD_SAID = timedelta(minutes=5)  # beyond this somebody should look after the gateway's clock
BEHIND_MAX = timedelta(days=6 * 366)
FAULTS_SAID_MAX = 5
NUMBER_MAX = 2**63 - 1

_GOOD, _BAD = int(Quality.GOOD), int(Quality.BAD)


@dataclass(frozen=True, slots=True)
class _Span:
    """What times of readings are taken, in ms since 1970; those after ``doubtful_ms`` are taken and spoken of."""

    earliest_ms: int
    latest_ms: int
    doubtful_ms: int
    now: datetime
    ahead: timedelta

    def holds(self, at_ms: int) -> bool:
        return self.earliest_ms <= at_ms <= self.latest_ms


def _span(speaker: Speaker, now: datetime) -> _Span:
    ahead = AHEAD_OF_SPOOL_MAX if speaker.spool else AHEAD_MAX
    return _Span(millis(now - BEHIND_MAX), millis(now + ahead), millis(now + AHEAD_SAID), now, ahead)


def frame(speaker: Speaker, birth: Birth, payload: Payload, plain: Plain, message: Message, now: datetime) -> Frame:
    """Give the frame of a DDATA; its number is used only where the edge has a spool."""
    span = _span(speaker, now)
    metrics = payload.metrics
    samples = _plain_samples(birth, plain, span)
    if samples is None:
        samples, metrics = Samples(), (*metrics, *_metrics(plain))
    number: int | None = None
    told: list[Told] = []
    faults: list[tuple[Fault, str]] = []
    for metric in metrics:
        name = metric.name or birth.names.get(metric.alias if metric.alias is not None else -1)
        if name is None:
            faults.append((Fault.ALIAS, f"{birth.device}: alias {metric.alias} was not declared at its birth."))
        elif name == topics.NUMBER:
            number = _number(metric.value)
        elif name == EVENT:
            _listen(metric, birth.device, told, faults)
        elif name in birth.specs:
            _take(metric, metric.at or payload.at, birth, span, samples, faults)
    if samples.at_ms and (last_ms := max(samples.at_ms)) > span.doubtful_ms:
        faults.append((Fault.CLOCK, _clock_sentence(speaker, last_ms, now)))
    personal = told or any(fault is Fault.EVENT for fault, _ in faults)  # badges are not kept in the quarantine
    return Frame(
        speaker,
        birth,
        number if speaker.spool else None,
        samples,
        message.topic,
        tuple(faults[:FAULTS_SAID_MAX]),
        message.head if faults and not personal else b"",
        tuple(told),
    )


def _plain_samples(birth: Birth, plain: Plain, span: _Span) -> Samples | None:
    """Give plain readings as they are; None where one of them is not as it should be."""
    if not plain.aliases:
        return Samples()
    if not (span.holds(min(plain.at_ms)) and span.holds(max(plain.at_ms)) and all(map(math.isfinite, plain.values))):
        return None
    try:
        measures = [birth.measures[alias] for alias in plain.aliases]
    except KeyError:
        return None
    return Samples(measures, plain.at_ms, plain.values, [_GOOD] * len(measures), plain.historical)


def _metrics(plain: Plain) -> Iterator[Metric]:
    columns = zip(plain.aliases, plain.at_ms, plain.values, plain.historical, strict=True)
    for alias, at_ms, value, late in columns:
        yield Metric(alias=alias, at=read_time(at_ms), value=value, historical=late, wire_type=int(DataType.DOUBLE))


def _take(
    metric: Metric,
    at: datetime | None,
    birth: Birth,
    span: _Span,
    samples: Samples,
    faults: list[tuple[Fault, str]],
) -> None:
    spec = birth.specs[metric.name or birth.names[metric.alias or 0]]
    point = f"{birth.device}.{spec.measure}"
    if at is None or not span.holds(millis(at)):
        faults.append((Fault.TIME, _time_sentence(point, at, span.now, span.ahead)))
    elif isinstance(metric.value, str | bytes):
        faults.append((Fault.VALUE, f"{point} has the text {metric.value[:20]!r} for a value."))
    else:
        samples.add(_sample(spec, at, metric))


def _listen(metric: Metric, device: str, told: list[Told], faults: list[tuple[Fault, str]]) -> None:
    try:
        told.append(Told(event_of(metric)))
    except MalformedPayloadError as error:
        faults.append((Fault.EVENT, f"{device}: {error}."))


def _sample(spec: Spec, at: datetime, metric: Metric) -> Sample:
    name, quality = spec.measure, int(metric.quality)
    value = metric.value if metric.wire_type else signed(metric.value, spec.wire_type)
    if value is None or isinstance(value, str | bytes) or quality == _BAD:
        return Sample(name, at, None, _BAD if quality == _GOOD else quality, metric.historical)
    number = float(value)
    if not math.isfinite(number):
        return Sample(name, at, None, _BAD, metric.historical)
    return Sample(name, at, number, quality, metric.historical)


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) and 0 < value <= NUMBER_MAX else None


def _time_sentence(point: str, at: datetime | None, now: datetime, ahead: timedelta) -> str:
    if at is None:
        return f"{point} has no time."
    side = f"more than {ahead // timedelta(minutes=1)} min ahead of" if at > now else "more than 6 years behind"
    return f"{point} says {at:%Y-%m-%d %H:%M:%S} UTC, {side} the hub's clock; check the clock of the gateway."


def _clock_sentence(speaker: Speaker, at_ms: int, now: datetime) -> str:
    minutes = (at_ms - millis(now)) // 60_000
    return (
        f"The clock of gateway {speaker.address.gateway} is {minutes} min ahead of the hub's; its readings are "
        "stored as it dates them. Set its clock (NTP)."
    )
