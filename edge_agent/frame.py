"""A frame: readings of one device that travel, are stored and are acknowledged together."""

import json
from dataclasses import dataclass
from datetime import timedelta

from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.wire.sparkplug import EPOCH, millis

FRAME_READINGS_MAX = 500  # 500 readings are about 13 kB on the wire, under the 20 kB of a small broker


@dataclass(frozen=True, slots=True)
class Frame:
    """Readings of one device taken in one poll, or up to FRAME_READINGS_MAX of its history.

    ``number`` is the spool's, 0 before the frame has been spooled.
    """

    device: str
    readings: tuple[Reading, ...]
    historical: bool = False
    number: int = 0


def pack(frame: Frame) -> str:
    """Write the readings as JSON rows [measure, ms since the epoch, value, quality]; doubles survive exactly."""
    skip = len(frame.device) + 1
    return json.dumps(
        [[r.point[skip:], millis(r.at), r.value, int(r.quality)] for r in frame.readings],
        separators=(",", ":"),
        allow_nan=False,
    )


def unpack(number: int, device: str, historical: bool, packed: str) -> Frame:
    """Read a frame back from the spool."""
    readings = tuple(
        Reading(f"{device}.{measure}", EPOCH + timedelta(milliseconds=at), value, Quality(quality))
        for measure, at, value, quality in json.loads(packed)
    )
    return Frame(device, readings, historical, number)
