"""A fact's evidence as it is stored: plain data with numbers as text and times in ISO 8601, and back.  Pure.

| key | a meter's | a virtual meter's |
|---|---|---|
| start, end: at, value, method, multiplier, readings [{at, value}] | yes | |
| rollovers, exchanges, rejected [{at, value, reason}] | yes | |
| inputs [{code, factor, quantity, estimated, how}] | | yes |
| doubt {en, zh}, null where there is none | yes | yes |
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from hub.metering.rows import Evidence, Stored
from rules.meter.fact import End, Fact, Input, Seen
from rules.meter.series import Method, Rejected


def written(fact: Fact) -> Evidence:
    """Write down what a fact stands on."""
    doubt = None if fact.doubt is None else {"en": fact.doubt[0], "zh": fact.doubt[1]}
    if fact.inputs:
        return {"inputs": [_input(one) for one in fact.inputs], "doubt": doubt}
    return {
        "start": None if fact.start is None else _end(fact.start),
        "end": None if fact.end is None else _end(fact.end),
        "rollovers": fact.rollovers,
        "exchanges": fact.exchanges,
        "rejected": [{"at": _moment(one.at), "value": one.value, "reason": one.reason} for one in fact.rejected],
        "doubt": doubt,
    }


def read(stored: Stored) -> Fact:
    """Give the fact that was stored."""
    said = stored.evidence
    doubt = None if said["doubt"] is None else (said["doubt"]["en"], said["doubt"]["zh"])
    if "inputs" in said:
        inputs = tuple(_input_of(one) for one in said["inputs"])
        return Fact(stored.quantity, stored.estimated, inputs=inputs, doubt=doubt)
    return Fact(
        stored.quantity,
        stored.estimated,
        None if said["start"] is None else _end_of(said["start"]),
        None if said["end"] is None else _end_of(said["end"]),
        said["rollovers"],
        said["exchanges"],
        tuple(Rejected(datetime.fromisoformat(r["at"]), r["value"], r["reason"]) for r in said["rejected"]),
        doubt=doubt,
    )


def _end(end: End) -> Evidence:
    return {
        "at": _moment(end.at),
        "value": _text(end.value),
        "method": end.method.value,
        "multiplier": _text(end.multiplier),
        "readings": [{"at": _moment(seen.at), "value": _text(seen.value)} for seen in end.readings],
    }


def _end_of(said: dict[str, Any]) -> End:
    readings = tuple(Seen(datetime.fromisoformat(one["at"]), Decimal(one["value"])) for one in said["readings"])
    at, value = datetime.fromisoformat(said["at"]), Decimal(said["value"])
    return End(at, value, Method(said["method"]), readings, Decimal(said["multiplier"]))


def _input(one: Input) -> Evidence:
    quantity = None if one.quantity is None else _text(one.quantity)
    said = {"code": one.code, "factor": _text(one.factor), "quantity": quantity}
    return {**said, "estimated": one.estimated, "how": str(one.how)}


def _input_of(said: dict[str, Any]) -> Input:
    quantity = None if said["quantity"] is None else Decimal(said["quantity"])
    return Input(said["code"], Decimal(said["factor"]), quantity, said["estimated"], said["how"])


def _moment(at: datetime) -> str:
    return at.isoformat()


def _text(number: Decimal) -> str:
    return f"{number:f}"
