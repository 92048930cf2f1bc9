"""How the readings of a frame lie in the spool: columns in JSON, or the rows of older spools.  Pure."""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from math import isfinite, nan
from typing import Any

from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.wire.sparkplug import EPOCH, millis

DOUBLE_BYTES = 8
NOTHING = "[]"  # the readings of a frame that has none
MEASURES_KEPT = 256  # columns of at most a frame's points, about 10 kB each

_json = json.JSONEncoder(separators=(",", ":")).encode


def pack(device: str, readings: Sequence[Reading]) -> str:
    """Write readings as {"m": measures, "at": ms since the epoch, "v": values, "q": qualities}.

    Values are the base64 of little-endian doubles, so they survive exactly and cost little, with NaN for none; a time
    or a quality that all have stands once.  Raises ValueError for a value that is no number.
    """
    if not readings:
        return NOTHING
    codes, moments, values, qualities, _, _ = zip(*readings, strict=True)
    doubles = [nan if value is None else value for value in values]
    if not all(map(isfinite, doubles)) and any(value is not None and not isfinite(value) for value in values):
        raise ValueError(f"a value of {device} is no number")
    times = {at: millis(at) for at in set(_once(moments))}
    at: int | list[int] = [times[moment] for moment in moments] if len(times) > 1 else next(iter(times.values()))
    columns = {
        "at": at,
        "v": b64encode(struct.pack(f"<{len(doubles)}d", *doubles)).decode(),
        "q": int(qualities[0]) if len(_once(qualities)) == 1 else list(map(int, qualities)),
    }
    return f'{{"m":{_measures(len(device) + 1, codes)},{_json(columns)[1:]}'


@lru_cache(MEASURES_KEPT)
def _measures(skip: int, codes: tuple[str, ...]) -> str:
    """Give the measures of points in JSON: counters and what moves all the time are the same ones at every poll."""
    return _json([code[skip:] for code in codes])


def _once(column: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give the one value that all of a column have, or all of them."""
    return column[:1] if column.count(column[0]) == len(column) else column


def unpack(device: str, packed: str) -> Iterator[Reading]:
    """Read them back; raises ValueError for a text that is none of ours."""
    found = json.loads(packed)
    rows = found if isinstance(found, list) else _rows(found)
    for measure, at, value, quality in rows:  # rows as spools have them that were written before there were columns
        yield Reading(f"{device}.{measure}", EPOCH + timedelta(milliseconds=at), value, Quality(quality))


def _rows(found: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    try:
        octets = b64decode(found["v"], validate=True)
        doubles = struct.unpack(f"<{len(octets) // DOUBLE_BYTES}d", octets)
        count = len(doubles)
        at, qualities = (
            found[name] if isinstance(found[name], list) else [found[name]] * count for name in ("at", "q")
        )
        values = [value if isfinite(value) else None for value in doubles]
        return zip(found["m"], at, values, qualities, strict=True)
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError(f"these are no packed readings: {error!r}") from None
