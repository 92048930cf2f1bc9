"""Whether a gateway may carry out a command that came over the wire: pure.

The site file says which points may be set at all, between which values and how often; everything else is refused.  A
command carries its own number and its end, so that one that comes twice, late or from a replayed message does nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LIFE_MAX = timedelta(minutes=15)  # a command that counts for longer would meet a plant that nobody has in mind any more
SKEW_MAX = timedelta(seconds=30)  # between the clocks of hub and gateway


@dataclass(frozen=True, slots=True)
class Command:
    """One wish to set one point; ``value`` is in the point's unit, None gives the point back to its own control.

    ``id`` is the hub's number of the act, which its record carries too.  ``seconded`` says that two people stood behind
    it.
    """

    id: str
    point: str
    value: float | None
    issued_at: datetime
    expires_at: datetime
    by: str
    seconded: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the site file allows for one point; ``every`` is the shortest time between two commands."""

    low: float
    high: float
    every: timedelta = timedelta(seconds=1)
    critical: bool = False


class Outcome(StrEnum):
    """What became of a command."""

    DONE = "done"  # carried out and read back
    REFUSED = "refused"  # nothing was done
    FAILED = "failed"  # it was tried; the device did not take it
    UNCERTAIN = "uncertain"  # it was tried; whether the device took it is not known


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway says of a command; ``shown`` is what the point read afterwards, in its unit."""

    id: str
    outcome: Outcome
    at: datetime
    shown: float | None = None
    reason: str = ""


def fault(
    command: Command, allowances: Mapping[str, Allowance], last_at: datetime | None, now: datetime, *, blocked: str = ""
) -> str:
    """Give why a command is not carried out, '' if it may be.

    ``last_at`` is when the point was set last (None: never), ``blocked`` what an interlock says against it.
    """
    return (
        _untimely(command, now)
        or _not_allowed(command, allowances.get(command.point))
        or _too_soon(command, allowances[command.point], last_at, now)
        or blocked
    )


def _untimely(command: Command, now: datetime) -> str:
    if command.expires_at <= command.issued_at or command.expires_at - command.issued_at > LIFE_MAX:
        return f"the command's life is not between 0 and {LIFE_MAX.seconds // 60} minutes"
    if now >= command.expires_at:
        return f"the command ended at {command.expires_at.isoformat(timespec='seconds')}"
    if command.issued_at - now > SKEW_MAX:
        return (
            f"the command says that it was given at {command.issued_at.isoformat(timespec='seconds')}, which is to come"
        )
    return ""


def _not_allowed(command: Command, allowed: Allowance | None) -> str:
    if allowed is None:
        return f"'{command.point}' is not among the points that may be set from the centre; add it to the site file"
    if allowed.critical and not command.seconded:
        return f"'{command.point}' is critical: a second person has to agree first"
    if command.value is None:
        return ""
    if not math.isfinite(command.value) or not allowed.low <= command.value <= allowed.high:
        return f"'{command.point}' may be set from {allowed.low:g} to {allowed.high:g}, not to {command.value:g}"
    return ""


def _too_soon(command: Command, allowed: Allowance, last_at: datetime | None, now: datetime) -> str:
    if last_at is None or now - last_at >= allowed.every:
        return ""
    wait_s = math.ceil((allowed.every - (now - last_at)).total_seconds())
    return f"'{command.point}' was set a moment ago; wait {wait_s} s"
