"""A frame: readings of one device (or one event of it) that travel, are stored and are acknowledged together."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from rules.model.event import Event
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.wire.sparkplug import EPOCH, millis

FRAME_READINGS_MAX = 500  # 500 readings are about 13 kB on the wire, under the 20 kB of a small broker


@dataclass(frozen=True, slots=True)
class Frame:
    """Readings of one device taken in one poll, or up to FRAME_READINGS_MAX of its history; or an event.

    ``number`` is the spool's, 0 before the frame has been spooled.  A frame without a device is what is left of one
    whose readings the spool had to drop: its number still travels, so that nobody waits for it.
    """

    device: str
    readings: tuple[Reading, ...]
    historical: bool = False
    number: int = 0
    event: Event | None = None


def pack(device: str, readings: Iterable[Reading]) -> str:
    """Write readings as JSON rows [measure, ms since the epoch, value, quality]; doubles survive exactly."""
    skip = len(device) + 1
    return json.dumps(
        [[r.point[skip:], millis(r.at), r.value, int(r.quality)] for r in readings],
        separators=(",", ":"),
        allow_nan=False,
    )


def unpack(device: str, packed: str) -> Iterator[Reading]:
    """Read them back; raises ValueError for a text that is none of ours."""
    for measure, at, value, quality in json.loads(packed):
        yield Reading(f"{device}.{measure}", EPOCH + timedelta(milliseconds=at), value, Quality(quality))
