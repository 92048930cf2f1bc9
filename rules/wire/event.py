"""Events of doors and cameras as Sparkplug metrics, and as the spool keeps them: pure.

A badge event is a text metric (JSON); a still is a metric of bytes (the picture) with the rest of it as a property.
"""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from rules.model.event import BADGE_CHARACTERS_MAX, STILL_BYTES_MAX, BadgeEvent, Event, Still
from rules.wire.sparkplug import DataType, MalformedPayloadError, Metric

EVENT = "Plantroom/Event"  # DDATA: what a door or a camera tells by itself
ABOUT = "plantroom.event"  # property of a still
CODE_CHARACTERS_MAX = 64
HEAD_CHARACTERS_MAX = 1_000
RESULTS = frozenset({"granted", "denied", "forced", "held"})
CAUSES = frozenset({"motion", "line", "zone", "fault", "asked"})


def head(event: Event) -> str:
    """Write everything but a picture as JSON."""
    said = {"id": str(event.id), "device": event.device, "at": event.at.isoformat()}
    if isinstance(event, BadgeEvent):
        return json.dumps(said | {"result": event.result, "badge": event.badge}, separators=(",", ":"))
    return json.dumps(said | {"cause": event.cause}, separators=(",", ":"))


def picture(event: Event) -> bytes | None:
    """Give the picture of a still, None of a badge event."""
    return event.jpeg if isinstance(event, Still) else None


def joined(text: str, jpeg: bytes | None) -> Event:
    """Read an event from its head and its picture; raises MalformedPayloadError."""
    if len(text) > HEAD_CHARACTERS_MAX:
        raise MalformedPayloadError(f"an event says more than {HEAD_CHARACTERS_MAX} characters")
    try:
        said: Any = json.loads(text)
        known, at, device = UUID(said["id"]), datetime.fromisoformat(said["at"]), said["device"]
        return _badge(known, device, at, said) if jpeg is None else _still(known, device, at, said, jpeg)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, _UnusableError) else "it is not of the form that was agreed"
        raise MalformedPayloadError(f"an event of a door or a camera cannot be used: {reason}") from None


class _UnusableError(ValueError):
    """One thing about an event is not as it must be; the text says which."""


def _check(device: object, at: datetime) -> None:
    if not isinstance(device, str) or not device.isprintable() or not 0 < len(device) <= CODE_CHARACTERS_MAX:
        raise _UnusableError(f"its device is no code of 1 to {CODE_CHARACTERS_MAX} characters")
    if at.tzinfo is None:
        raise _UnusableError("its time has no offset from UTC")


def _badge(known: UUID, device: str, at: datetime, said: dict[str, Any]) -> BadgeEvent:
    _check(device, at)
    badge = said["badge"]
    if said["result"] not in RESULTS:
        raise _UnusableError(f"its result is none of {', '.join(sorted(RESULTS))}")
    if badge is not None and not (
        isinstance(badge, str) and badge.isprintable() and 0 < len(badge) <= BADGE_CHARACTERS_MAX
    ):
        raise _UnusableError(f"its badge is no number of 1 to {BADGE_CHARACTERS_MAX} characters")
    return BadgeEvent(known, device, at, said["result"], badge)


def _still(known: UUID, device: str, at: datetime, said: dict[str, Any], jpeg: bytes) -> Still:
    _check(device, at)
    if said["cause"] not in CAUSES:
        raise _UnusableError(f"its cause is none of {', '.join(sorted(CAUSES))}")
    if len(jpeg) > STILL_BYTES_MAX:
        raise _UnusableError(f"its picture has {len(jpeg)} bytes, more than {STILL_BYTES_MAX}")
    return Still(known, device, at, said["cause"], jpeg)


def event_metric(event: Event) -> Metric:
    """Write an event."""
    if isinstance(event, Still):
        return Metric(
            name=EVENT, at=event.at, value=event.jpeg, datatype=DataType.BYTES, properties={ABOUT: head(event)}
        )
    return Metric(name=EVENT, at=event.at, value=head(event), datatype=DataType.STRING)


def event_of(metric: Metric) -> Event:
    """Read an event; raises MalformedPayloadError with the reason."""
    if isinstance(metric.value, bytes):
        return joined(metric.properties.get(ABOUT, ""), metric.value)
    return joined(metric.value if isinstance(metric.value, str) else "", None)
