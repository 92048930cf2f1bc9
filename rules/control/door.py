"""Whether a door was forced or is held open, judged from its contact, its lock and the time.

For doors whose controller does not say so itself.  A door that opens while nothing releases it was forced; one that
stays open longer than it may is held, forced or not.  A door that is open when first seen is not called forced: who
opened it is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Mishap(StrEnum):
    """What goes wrong at a door; the words are those of badge events."""

    FORCED = "forced"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Manners:
    """How long the door may stand open, and how long after its release it may still be opened."""

    held_s: float = 30.0
    grace_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a door; None: nothing yet.  ``released_at`` is when something last let people through."""

    open: bool | None = None
    opened_at: datetime | None = None
    released_at: datetime | None = None
    forced: bool = False
    held: bool = False


def judge(
    door: Watched, manners: Manners, *, is_open: bool | None, released: bool, now: datetime
) -> tuple[Watched, Sequence[Mishap]]:
    """Give what is known after a look at the door, and what has begun with it.

    ``is_open`` None says that the contact is not known now: nothing is judged, and the next look is a first one.
    ``released`` is whether the lock, or a request to exit, lets people through at this moment.
    """
    door = replace(door, released_at=now) if released else door
    if is_open is None:
        return replace(door, open=None, opened_at=None, forced=False, held=False), ()
    if not is_open:
        return replace(door, open=False, opened_at=None, forced=False, held=False), ()
    begun: list[Mishap] = []
    if not door.open:
        let = door.released_at is not None and now - door.released_at <= timedelta(seconds=manners.grace_s)
        door = replace(door, open=True, opened_at=now, forced=door.open is False and not let)
        begun += [Mishap.FORCED] if door.forced else []
    assert door.opened_at is not None
    if not door.held and now - door.opened_at >= timedelta(seconds=manners.held_s):
        door = replace(door, held=True)
        begun.append(Mishap.HELD)
    return door, begun
