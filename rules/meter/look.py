"""Looks at meter faces, as an engineer has signed them, and which counters bills may stand on.  Pure.

A counter is trusted for billing after two looks that agree, at least SECOND_LOOK_AFTER apart, by somebody who says who
he is, when it has moved as its power says (or too little to tell).  A later look that does not agree takes it away.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from rules.meter.commission import Pace

SECOND_LOOK_AFTER = timedelta(minutes=5)
LOOKS_MAX = 10_000
RECORD_BYTES_MAX = 8 * 1024 * 1024
TEXT_CHARACTERS_MAX = 300
DIGITS_MAX = 30
TRUSTED_PACES = frozenset({Pace.RIGHT.value, Pace.UNKNOWN.value, ""})


class InvalidRecordError(ValueError):
    """The text is no record of commissioning; one sentence."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one counter; figures in the point's unit as decimal text, ``said`` is '' where all is well.

    ``face`` is what the meter shows, ``shown`` what the platform did ('' where nothing), ``power`` the power then (kW),
    ``pace`` how the counter had moved since the look before.
    """

    point: str
    unit: str
    by: str
    at: datetime
    face: str
    shown: str
    agrees: bool
    power: str = ""
    pace: str = ""
    said: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the counter."""
        return self.agrees and self.pace in TRUSTED_PACES


def trusted(looks: Sequence[Look], point: str) -> bool:
    """Whether a point may be billed by; ``looks`` oldest first."""
    good = _since_last_failure([look for look in looks if look.point == point])
    return bool(good) and good[-1].at - good[0].at >= SECOND_LOOK_AFTER


def _since_last_failure(looks: Sequence[Look]) -> Sequence[Look]:
    failed = [number for number, look in enumerate(looks) if not look.good]
    return looks[failed[-1] + 1 :] if failed else looks


def write(looks: Sequence[Look]) -> str:
    """Give the last LOOKS_MAX looks as the text of a record."""
    rows = [{**asdict(look), "at": look.at.isoformat(timespec="milliseconds")} for look in looks[-LOOKS_MAX:]]
    return json.dumps({"looks": rows}, ensure_ascii=False, indent=1)


def read(text: str) -> list[Look]:
    """Give the looks of a record, oldest first; raises InvalidRecordError."""
    if len(text) > RECORD_BYTES_MAX:
        raise InvalidRecordError(f"it is larger than {RECORD_BYTES_MAX} characters")
    try:
        rows: list[dict[str, Any]] = json.loads(text)["looks"]
        looks = [Look(**{**row, "at": datetime.fromisoformat(row["at"])}) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidRecordError(f"it does not have the form of one ({type(error).__name__})") from None
    if len(looks) > LOOKS_MAX:
        raise InvalidRecordError(f"it has more than {LOOKS_MAX} looks")
    for number, look in enumerate(looks, 1):
        _check(number, look)
    return sorted(looks, key=lambda look: look.at)


def _check(number: int, look: Look) -> None:
    words: list[object] = [look.point, look.unit, look.by, look.face, look.shown, look.power, look.pace, look.said]
    if not all(isinstance(word, str) and _short(word) for word in words):
        raise InvalidRecordError(f"look {number} holds something else than short texts")
    if not look.point or not look.by.strip():
        raise InvalidRecordError(f"look {number} names no point, or nobody who looked")
    if look.at.tzinfo is None or not isinstance(look.agrees, bool):
        raise InvalidRecordError(f"look {number} has no moment with an offset, or no verdict")
    if look.pace not in {"", *Pace}:
        raise InvalidRecordError(f"look {number} has the pace '{look.pace[:20]}', which there is not")
    for figure in (look.face, look.shown, look.power):
        _check_figure(number, figure, empty=figure is not look.face)


def _short(word: str) -> bool:
    return len(word) <= TEXT_CHARACTERS_MAX and "\x00" not in word


def _check_figure(number: int, figure: str, *, empty: bool) -> None:
    try:
        right = (empty and not figure) or (len(figure) <= DIGITS_MAX and Decimal(figure).is_finite())
    except InvalidOperation:
        right = False
    if not right:
        raise InvalidRecordError(f"look {number} has the figure '{figure[:20]}', which is no number")
