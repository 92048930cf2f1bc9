"""What a door or a camera tells by itself, beside its readings."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

BADGE_CHARACTERS_MAX = 64
STILL_BYTES_MAX = 180_000  # with its frame it stays under the 256 kB that the hub takes as one message


@dataclass(frozen=True, slots=True)
class BadgeEvent:
    """Somebody or something at a door: ``result`` is granted, denied, forced or held.

    ``id`` is made where it happened, so that it is kept once however often it is sent.  ``device`` is the door's code,
    ``at`` aware UTC, ``badge`` the card's number where one was shown.
    """

    id: UUID
    device: str
    at: datetime
    result: str
    badge: str | None = None


@dataclass(frozen=True, slots=True)
class Still:
    """A picture that a camera took: ``cause`` says why (motion, line, zone, fault, asked), ``jpeg`` is the picture.

    At most STILL_BYTES_MAX bytes.  Who is on it is nobody's business here: faces are never identified.
    """

    id: UUID
    device: str
    at: datetime
    cause: str
    jpeg: bytes


Event = BadgeEvent | Still
