"""The line of a gateway: whose numbers are counted, and how far.  Pure.

A line belongs to one spool.  Frames are taken strictly in the order of their numbers, so that "committed" says that
everything up to there is stored; the edge goes back to it by itself.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

from hub.ingest.acts import Address, Speaker

RIVAL_SILENCE = timedelta(minutes=10)  # how long the owner must be silent until another edge may take the line
UNNUMBERED = "an edge without a spool"


@dataclass(frozen=True, slots=True)
class Line:
    """The row of a gateway, locked for the length of a batch."""

    id: UUID
    organisation_id: UUID
    site_id: UUID
    site: str
    gateway: str
    spool: str
    committed: int
    online: bool
    born_at: datetime | None
    seen_at: datetime | None
    depth: int
    clock_step_ms: int
    rival_spool: str
    rival_seen_at: datetime | None
    spool_percent: int = 0
    dropped: int = 0
    dropped_at: datetime | None = None
    skew_ms: int = 0
    version: str = ""

    @property
    def address(self) -> Address:
        """Where it stands on the wire."""
        return Address(self.site, self.gateway)


class Seat(Enum):
    """Whether a speaker holds the line."""

    HELD = auto()
    TAKEN = auto()  # it did not until now
    REFUSED = auto()  # another edge uses the name


class Turn(Enum):
    """What a frame's number says."""

    NEXT = auto()
    REPEATED = auto()  # stored before: acknowledge again
    AHEAD = auto()  # something before it is missing: it will come again


@dataclass(frozen=True, slots=True)
class Seated:
    """The line after somebody spoke; ``lost`` numbers will never come: the edge no longer has them."""

    line: Line
    seat: Seat
    lost: int = 0


def seat(line: Line, speaker: Speaker, now: datetime) -> Seated:
    """Decide whether ``speaker`` holds the line.

    A line is taken that nobody holds, whose owner fell silent, or whose owner's spool was damaged and saved into this.
    """
    if speaker.spool == line.spool:
        return _held(line, speaker, now)
    heir = speaker.before == line.spool
    if heir or not line.spool or line.seen_at is None or now - line.seen_at > RIVAL_SILENCE:
        taken = replace(line, spool=speaker.spool, committed=speaker.forgotten, seen_at=now, online=True)
        return Seated(_without_rival(taken), Seat.TAKEN)
    rival = replace(line, rival_spool=speaker.spool or UNNUMBERED, rival_seen_at=now)
    return Seated(rival, Seat.REFUSED)


def _held(line: Line, speaker: Speaker, now: datetime) -> Seated:
    lost = max(0, speaker.forgotten - line.committed)
    line = replace(line, committed=line.committed + lost, seen_at=now, online=True)
    if line.rival_seen_at is not None and now - line.rival_seen_at > RIVAL_SILENCE:
        line = _without_rival(line)
    return Seated(line, Seat.HELD, lost)


def _without_rival(line: Line) -> Line:
    return replace(line, rival_spool="", rival_seen_at=None)


def take(line: Line, number: int) -> tuple[Line, Turn]:
    """Move the line on by the frame of that number, if it is the next."""
    if number == line.committed + 1:
        return replace(line, committed=number), Turn.NEXT
    return line, Turn.REPEATED if number <= line.committed else Turn.AHEAD
