"""Read the metrics of a DDATA in columns: most are an alias, a time and a double, and no object is made of them.

Source: Eclipse Sparkplug 3.0.0, section 6.4.  What is not of that form is given as metrics.
"""

from dataclasses import dataclass, field
from typing import Any

from rules.wire.sparkplug import DataType, Metric, Payload, read_message, read_metric, read_payload

_DOUBLE = int(DataType.DOUBLE)


@dataclass(slots=True)
class Plain:
    """Good readings by column: aliases, ms since 1970, values, whether they are history."""

    aliases: list[int] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    historical: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.aliases)


def decode_data(data: bytes) -> tuple[Payload, Plain]:
    """Read a payload: its plain readings in columns, the rest as metrics; raises MalformedPayloadError."""
    message = read_message(data)
    plain, rest = _split(message.metrics)
    return read_payload(message, tuple(rest)), plain


def _split(metrics: Any) -> tuple[Plain, list[Metric]]:
    plain, rest = Plain(), list[Metric]()
    aliases, at_ms, values, historical = plain.aliases, plain.at_ms, plain.values, plain.historical
    for metric in metrics:
        if metric.datatype == _DOUBLE and metric.HasField("double_value") and _is_bare(metric):
            aliases.append(metric.alias)
            at_ms.append(metric.timestamp)
            values.append(metric.double_value)
            historical.append(metric.is_historical)
        else:
            rest.append(read_metric(metric))
    return plain, rest


def _is_bare(metric: Any) -> bool:
    """Whether it has an alias instead of a name, a time, and nothing is said of its quality."""
    return bool(
        metric.timestamp
        and not metric.name
        and not metric.is_null
        and metric.HasField("alias")
        and not metric.HasField("properties")
    )
