"""Commands and their answers as Sparkplug metrics: pure.

A command is an ordinary DCMD metric, named by the measure, with what makes it safe as its properties; so a DCMD of
another host, which says nothing of that, is understood and refused.  The answer is a metric of the gateway's NDATA.
"""

import json
import math
from datetime import datetime
from typing import Any

from rules.control.command import Answer, Command, Outcome
from rules.wire.sparkplug import DataType, MalformedPayloadError, Metric

ANSWER = "Plantroom/Answer"  # NDATA: what became of a command, as JSON
ID = "plantroom.id"
ISSUED = "plantroom.issued"
EXPIRES = "plantroom.expires"
BY = "plantroom.by"
SECONDED = "plantroom.seconded"
TEXT_CHARACTERS_MAX = 200
ANSWER_CHARACTERS_MAX = 2_000
YES = "yes"


def command_metric(device: str, command: Command) -> Metric:
    """Write a command for a point of ``device``, which stands in the topic."""
    return Metric(
        name=command.point.removeprefix(f"{device}."),
        at=command.issued_at,
        value=command.value,
        properties={
            ID: command.id,
            ISSUED: command.issued_at.isoformat(),
            EXPIRES: command.expires_at.isoformat(),
            BY: command.by,
            **({SECONDED: YES} if command.seconded else {}),
        },
    )


def command_of(device: str, metric: Metric) -> Command:
    """Read a command for a device; raises MalformedPayloadError for one that lacks what makes it safe."""
    said = metric.properties
    missing = [name for name in (ID, ISSUED, EXPIRES, BY) if not said.get(name)]
    if missing or not metric.name:
        raise MalformedPayloadError(
            f"a command for '{device}' lacks {', '.join(missing) or 'its measure'}; only Plantroom's hub may set points"
        )
    if any(len(word) > TEXT_CHARACTERS_MAX for word in (metric.name, *said.values())):
        raise MalformedPayloadError(
            f"a command for '{device}' holds a text of more than {TEXT_CHARACTERS_MAX} characters"
        )
    value = metric.value
    if isinstance(value, str | bytes):
        raise MalformedPayloadError(f"a command for '{device}.{metric.name}' carries a text instead of a number")
    return Command(
        id=said[ID],
        point=f"{device}.{metric.name}",
        value=None if value is None else float(value),
        issued_at=_moment(said[ISSUED]),
        expires_at=_moment(said[EXPIRES]),
        by=said[BY],
        seconded=said.get(SECONDED) == YES,
    )


def answer_metric(answer: Answer) -> Metric:
    """Write an answer."""
    said = {
        "id": answer.id,
        "outcome": answer.outcome.value,
        "at": answer.at.isoformat(),
        "shown": answer.shown,
        "reason": answer.reason[:TEXT_CHARACTERS_MAX],
    }
    return Metric(name=ANSWER, at=answer.at, value=json.dumps(said, allow_nan=False), datatype=DataType.STRING)


def answer_of(metric: Metric) -> Answer:
    """Read an answer; raises MalformedPayloadError."""
    text = metric.value
    if not isinstance(text, str) or len(text) > ANSWER_CHARACTERS_MAX:
        raise MalformedPayloadError("an answer to a command is no text of a sensible length")
    try:
        said: Any = json.loads(text)
        shown = None if said["shown"] is None else _finite(said["shown"])
        return Answer(str(said["id"]), Outcome(said["outcome"]), _moment(said["at"]), shown, str(said["reason"]))
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise MalformedPayloadError("an answer to a command is not of the form that was agreed") from error


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _moment(text: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise MalformedPayloadError(f"'{str(text)[:40]}' is no moment") from None
    if at.tzinfo is None:
        raise MalformedPayloadError(f"'{at.isoformat()}' has no offset from UTC")
    return at
