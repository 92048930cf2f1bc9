"""Read the metrics of one DDATA into a frame: what can be stored, and one sentence for what cannot."""

import math
from datetime import datetime, timedelta

from hub.ingest.acts import Birth, Fault, Frame, Sample, Speaker, Spec, Told
from hub.ingest.inbox import Message
from rules.model.quality import Quality
from rules.wire import topics
from rules.wire.event import EVENT, event_of
from rules.wire.sparkplug import MalformedPayloadError, Metric, Payload, Value, signed

AHEAD_MAX = timedelta(minutes=10)
# Our own edge keeps its time when somebody sets the computer's clock back, and sends everything once: what it says may
# be hours ahead of a hub on the same computer, and to refuse it would be to lose it.
AHEAD_OF_SPOOL_MAX = timedelta(hours=25)
BEHIND_MAX = timedelta(days=6 * 366)
FAULTS_SAID_MAX = 5
NUMBER_MAX = 2**63 - 1

_GOOD, _BAD = int(Quality.GOOD), int(Quality.BAD)


def frame(speaker: Speaker, birth: Birth, payload: Payload, message: Message, now: datetime) -> Frame:
    """Give the frame of a DDATA; its number is used only where the edge has a spool."""
    number: int | None = None
    samples: list[Sample] = []
    told: list[Told] = []
    faults: list[tuple[Fault, str]] = []
    ahead = AHEAD_OF_SPOOL_MAX if speaker.spool else AHEAD_MAX
    latest_at, earliest_at = now + ahead, now - BEHIND_MAX
    names, specs = birth.names, birth.specs
    for metric in payload.metrics:
        name = metric.name or names.get(metric.alias if metric.alias is not None else -1)
        if name is None:
            faults.append((Fault.ALIAS, f"{birth.device}: alias {metric.alias} was not declared at its birth."))
        elif name == topics.NUMBER:
            number = _number(metric.value)
        elif name == EVENT:
            _listen(metric, birth.device, told, faults)
        elif name in specs:
            at = metric.at or payload.at
            if at is None or not earliest_at <= at <= latest_at:
                faults.append((Fault.TIME, _time_sentence(f"{birth.device}.{name}", at, now, ahead)))
            elif isinstance(metric.value, str | bytes):
                faults.append((Fault.VALUE, f"{birth.device}.{name} has the text {metric.value[:20]!r} for a value."))
            else:
                samples.append(_sample(specs[name], at, metric))
    personal = told or any(fault is Fault.EVENT for fault, _ in faults)  # badges are not kept in the quarantine
    return Frame(
        speaker,
        birth,
        number if speaker.spool else None,
        tuple(samples),
        message.topic,
        tuple(faults[:FAULTS_SAID_MAX]),
        message.head if faults and not personal else b"",
        tuple(told),
    )


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
