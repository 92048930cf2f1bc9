"""How far a reading can be trusted."""

from enum import IntEnum


class Quality(IntEnum):
    """Quality of one reading; the numbers are those of the Sparkplug B ``Quality`` property.

    Sparkplug B 3.0, section 6.4.18 names 0, 192 and 500; 64 is the OPC "uncertain" class.
    """

    BAD = 0
    UNCERTAIN = 64
    GOOD = 192
    STALE = 500

    @property
    def usable(self) -> bool:
        """Whether the value may enter consumption, rules and rollups."""
        return self is Quality.GOOD
