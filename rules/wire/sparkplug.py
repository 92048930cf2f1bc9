"""Sparkplug B payloads: encode and decode (Eclipse Sparkplug 3.0.0, section 6.4)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from google.protobuf.message import DecodeError

from rules.model.quality import Quality
from rules.wire.schema import PayloadMessage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAYLOAD_BYTES_MAX = 256 * 1024
METRICS_MAX = 10_000

Value = float | int | bool | str | bytes | None


class DataType(IntEnum):
    """Sparkplug data types that Plantroom writes; other integer widths are read as well."""

    INT32 = 3
    INT64 = 4
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    BYTES = 17


_KNOWN_TYPES = {int(kind): kind for kind in DataType}
_KNOWN_QUALITIES = {int(quality): quality for quality in Quality if quality is not Quality.MANUAL}  # a person's alone
_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
_SLOT = {
    **dict.fromkeys((1, 2, 3, 5, 6, 7), "int_value"),
    **dict.fromkeys((4, 8, 13), "long_value"),
    9: "float_value",
    10: "double_value",
    11: "boolean_value",
    **dict.fromkeys((12, 14), "string_value"),
    17: "bytes_value",
}


MEASURED = frozenset(range(1, 12))  # data types of numbers and booleans; texts, times, tables and files are none


class MalformedPayloadError(ValueError):
    """The bytes are not a Sparkplug B payload that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.  Births carry ``name`` and ``alias``; data carries the alias alone.

    ``value`` None means "no value" (``is_null``).  ``at`` is aware UTC, whole milliseconds.  ``wire_type`` is the
    number of the data type as the message has it; None: it does not say, and only the birth knows.
    """

    name: str = ""
    alias: int | None = None
    at: datetime | None = None
    value: Value = None
    datatype: DataType = DataType.DOUBLE
    historical: bool = False
    quality: Quality = Quality.GOOD
    properties: dict[str, str] = field(default_factory=dict)
    wire_type: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Payload:
    """One message: its own time, sequence number (0..255, None in NDEATH and commands) and metrics."""

    at: datetime | None
    seq: int | None
    metrics: tuple[Metric, ...]


def millis(at: datetime) -> int:
    """Give whole milliseconds since the epoch."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def encode(payload: Payload) -> bytes:
    """Write a payload."""
    message: Any = PayloadMessage()
    if payload.at is not None:
        message.timestamp = millis(payload.at)
    if payload.seq is not None:
        message.seq = payload.seq
    for metric in payload.metrics:
        _write(message.metrics.add(), metric)
    return bytes(message.SerializeToString())


def _write(out: Any, metric: Metric) -> None:
    if metric.name:
        out.name = metric.name
    if metric.alias is not None:
        out.alias = metric.alias
    if metric.at is not None:
        out.timestamp = millis(metric.at)
    out.datatype = metric.datatype
    if metric.historical:
        out.is_historical = True
    if metric.value is None:
        out.is_null = True
    else:
        value: Any = metric.value
        if metric.datatype in _SIGNED_BITS:  # two's complement, as the specification asks
            value = int(value) & ((1 << _SIGNED_BITS[metric.datatype]) - 1)
        setattr(out, _SLOT[metric.datatype], value)
    if metric.quality is not Quality.GOOD:
        out.properties.keys.append("Quality")
        out.properties.values.add(type=DataType.INT32, int_value=metric.quality)
    for key, text in metric.properties.items():
        out.properties.keys.append(key)
        out.properties.values.add(type=DataType.STRING, string_value=text)


def decode(data: bytes) -> Payload:
    """Read a payload; raises MalformedPayloadError with the reason."""
    message = read_message(data)
    return read_payload(message, tuple(read_metric(metric) for metric in message.metrics))


def read_message(data: bytes) -> Any:
    """Give a payload's message as protobuf has it, within our limits; raises MalformedPayloadError."""
    if len(data) > PAYLOAD_BYTES_MAX:
        raise MalformedPayloadError(f"payload of {len(data)} bytes is above the limit of {PAYLOAD_BYTES_MAX}")
    try:
        message: Any = PayloadMessage.FromString(data)
    except DecodeError as error:
        raise MalformedPayloadError("bytes are not a Sparkplug B payload") from error
    if len(message.metrics) > METRICS_MAX:
        raise MalformedPayloadError(f"{len(message.metrics)} metrics are above the limit of {METRICS_MAX}")
    return message


def read_payload(message: Any, metrics: tuple[Metric, ...]) -> Payload:
    """Give the payload of a message with these metrics; raises MalformedPayloadError."""
    return Payload(
        at=read_time(message.timestamp) if message.HasField("timestamp") else None,
        seq=message.seq if message.HasField("seq") else None,
        metrics=metrics,
    )


def read_time(ms: int) -> datetime:
    """Give the time of so many milliseconds since the epoch; raises MalformedPayloadError."""
    try:
        return EPOCH + timedelta(milliseconds=ms)
    except OverflowError as error:
        raise MalformedPayloadError(f"timestamp {ms} is beyond any calendar") from error


def read_metric(metric: Any) -> Metric:
    """Give one metric of a payload; raises MalformedPayloadError."""
    said = metric.datatype if metric.HasField("datatype") and metric.datatype else None
    datatype = said or _guess(metric)
    slot = metric.WhichOneof("value")
    value: Value = None
    if slot is not None and not metric.is_null:
        value = getattr(metric, slot) if slot == "bytes_value" else _text(getattr(metric, slot))
        value = signed(value, datatype)
    quality, properties = _properties(metric)
    return Metric(
        name=str(_text(metric.name)),
        alias=metric.alias if metric.HasField("alias") else None,
        at=read_time(metric.timestamp) if metric.HasField("timestamp") else None,
        value=value,
        datatype=_KNOWN_TYPES.get(datatype, DataType.DOUBLE),
        historical=metric.is_historical,
        quality=quality,
        properties=properties,
        wire_type=said,
    )


def signed(value: Value, datatype: int | None) -> Value:
    """Give a whole number as its data type means it: the signed ones travel in two's complement."""
    bits = _SIGNED_BITS.get(datatype or 0)
    return value if bits is None or isinstance(value, bool) or not isinstance(value, int) else _signed(value, bits)


def _text(value: Any) -> Any:
    """Give ``value``; protobuf leaves a text that is not UTF-8 as bytes."""
    if isinstance(value, bytes):
        raise MalformedPayloadError("a text in the payload is not UTF-8")
    return value


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _guess(metric: Any) -> int:
    slot = metric.WhichOneof("value")
    return next((int(kind) for kind in (10, 9, 8, 7, 11, 12, 17) if _SLOT[kind] == slot), int(DataType.DOUBLE))


def _properties(metric: Any) -> tuple[Quality, dict[str, str]]:
    quality = Quality.GOOD
    properties: dict[str, str] = {}
    if metric.HasField("properties"):
        for key, held in zip(metric.properties.keys, metric.properties.values, strict=False):
            if key == "Quality":
                code = _signed(held.int_value, 32)
                quality = _KNOWN_QUALITIES.get(code, Quality.BAD)
            elif held.HasField("string_value"):
                properties[str(_text(key))] = str(_text(held.string_value))
    return quality, properties
