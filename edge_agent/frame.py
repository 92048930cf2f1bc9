"""A frame: readings of one device (or one event of it) that travel, are stored and are acknowledged together."""

from dataclasses import dataclass

from rules.model.event import Event
from rules.model.reading import Reading

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
