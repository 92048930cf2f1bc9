"""From a server's value to a reading, and from a number to the variant that a node takes.  Knows no connection."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from asyncua import ua

from drivers.driver import Asked
from drivers.errors import RefusedError
from drivers.number import Scale, shortest
from drivers.opcua.profile import OpcuaMeasure
from drivers.opcua.status import quality, words
from rules.model.quality import Quality
from rules.model.reading import Reading

SOURCE_BEHIND_MAX = timedelta(seconds=60)
SOURCE_AHEAD_MAX = timedelta(seconds=1)
SHOWN_CHARACTERS_MAX = 40  # of a text that is no number, in a sentence
MILLISECOND = timedelta(milliseconds=1)
_INTEGERS = {
    ua.VariantType.Boolean: (0, 1),
    ua.VariantType.SByte: (-(2**7), 2**7 - 1), ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1), ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1), ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1), ua.VariantType.UInt64: (0, 2**64 - 1),
}  # fmt: skip
_SINGLE_MAX = 3.4028234663852886e38
_FLOATS = {ua.VariantType.Float: _SINGLE_MAX, ua.VariantType.Double: math.inf}


@dataclass(slots=True)
class Told:
    """What turns one node's values into readings, and the time of the last one."""

    asked: Asked
    measure: OpcuaMeasure
    scale: Scale
    last_at: datetime | None = None

    def reading(self, value: ua.DataValue, now: datetime, *, fresh: bool = True) -> Reading:
        """Give the reading of a value that has just come.

        Its time is the source's where that is sane: not older than the point's last reading, at most
        SOURCE_BEHIND_MAX behind the gateway's clock and SOURCE_AHEAD_MAX ahead of it.  Else it is ``now``: a server
        tells an unchanged value with the time of its last change, and that value holds now.  With ``fresh`` off the
        value is one that was told before.  Times of one point go forward, by a millisecond at least.
        """
        at = self._time(value.SourceTimestamp if fresh else None, now)
        code = self.asked.point.code
        status = value.StatusCode.value if value.StatusCode is not None else 0
        grade = Quality.GOOD if status == 0 else quality(status)
        if grade is Quality.BAD:
            return Reading(code, at, None, Quality.BAD, error=f"the server says {words(status)}")
        number, error = number_of(value.Value, self.measure)
        if number is not None:
            number, error = self.scale.value(number)
        if number is None:
            return Reading(code, at, None, Quality.BAD, error=error)
        if grade is Quality.GOOD:
            return Reading(code, at, number, Quality.GOOD)
        return Reading(code, at, number, grade, error=f"the server says {words(status)}")

    def bad(self, why: str, now: datetime) -> Reading:
        """Give a reading without a value."""
        return Reading(self.asked.point.code, self._time(None, now), None, Quality.BAD, error=why)

    def _time(self, source: datetime | None, now: datetime) -> datetime:
        at = now
        if source is not None:
            source = source if source.tzinfo is not None else source.replace(tzinfo=UTC)
            if now - SOURCE_BEHIND_MAX <= source <= now + SOURCE_AHEAD_MAX:
                at = source.replace(microsecond=source.microsecond // 1000 * 1000)
        if self.last_at is not None and at <= self.last_at:
            at = max(now, self.last_at + MILLISECOND)
        self.last_at = at
        return at


def number_of(variant: ua.Variant | None, measure: OpcuaMeasure) -> tuple[float | None, str]:
    """Give the number in a variant, or None and the reason why there is none."""
    value = variant.Value if variant is not None else None
    if variant is None or value is None:
        return None, "the server has no value there"
    if measure.index is not None:
        if not isinstance(value, list) or measure.index >= len(value):
            return None, f"the node has no element {measure.index}; check the profile"
        value = value[measure.index]
    elif isinstance(value, list):
        return None, f"the node is an array of {len(value)}; name one element of it as index in the profile"
    if isinstance(value, float):
        return _finite(shortest(value) if variant.VariantType is ua.VariantType.Float else value)
    if isinstance(value, int):
        return int(value), ""
    return _worded(value, measure)


def _finite(value: float) -> tuple[float | None, str]:
    return (value, "") if math.isfinite(value) else (None, f"the server sent {value}, which is no number")


def _worded(value: object, measure: OpcuaMeasure) -> tuple[float | None, str]:
    text = value.Text if isinstance(value, ua.LocalizedText) else value
    if not isinstance(text, str):
        return None, f"the server sent a {type(value).__name__}, which is no number"
    if text in measure.states:
        return measure.states[text], ""
    shown = text[:SHOWN_CHARACTERS_MAX] + ("..." if len(text) > SHOWN_CHARACTERS_MAX else "")
    there = f"one of {', '.join(measure.states)}" if measure.states else "a number"
    return None, f"the server sent '{shown.encode('unicode_escape').decode()}', which is not {there}"


def variant_of(raw: Decimal, kind: ua.VariantType, measure: OpcuaMeasure, code: str) -> ua.Variant:
    """Give the number as the type that the node holds; raises RefusedError where that cannot hold it."""
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        if raw != raw.to_integral_value():
            raise RefusedError(f"'{code}' takes whole numbers only, not {raw:f}")
        if not low <= raw <= high:
            raise RefusedError(f"'{code}' holds a {kind.name}, from {low} to {high}, not {raw:f}")
        return ua.Variant(Value=bool(raw) if kind is ua.VariantType.Boolean else int(raw), VariantType=kind)
    if kind in _FLOATS:
        if abs(float(raw)) > _FLOATS[kind]:
            raise RefusedError(f"'{code}' holds a {kind.name}, which {raw:f} is beyond")
        return ua.Variant(Value=float(raw), VariantType=kind)
    if kind is ua.VariantType.String:
        for word, number in measure.states.items():
            if number == raw:
                return ua.Variant(Value=word, VariantType=kind)
    raise RefusedError(f"'{code}' holds a {kind.name}, which {raw:f} cannot be set to")
