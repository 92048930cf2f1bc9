"""Did the repair help? Telemetry answers, not the technician."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What telemetry says about an order that was reported as done."""

    VERIFIED = "verified"
    WAITING = "waiting"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The alarm behind the order: standing or not, and since when its off-delay runs (None: it does not)."""

    standing: bool
    clearing_since: datetime | None = None


def judge(done_at: datetime, settle_s: int, off_delay_s: int, alarm: Evidence, now: datetime) -> Verdict:
    """Judge a repair reported at ``done_at``.

    An alarm that no longer stands was quiet for the rule's whole off-delay: verified.  One that still stands
    gets ``settle_s`` for the plant to come back plus the off-delay; a clearing that has begun is waited for.
    """
    if not alarm.standing:
        return Verdict.VERIFIED
    if alarm.clearing_since is not None:
        return Verdict.WAITING
    patience = timedelta(seconds=settle_s + off_delay_s)
    return Verdict.WAITING if now < done_at + patience else Verdict.REOPEN
