"""How far a reading can be trusted."""

from enum import IntEnum


class Quality(IntEnum):
    """Quality of one reading; the numbers are those of the Sparkplug B ``Quality`` property.

    Sparkplug B 3.0, section 6.4.18 names 0, 192 and 500; 64 is the OPC "uncertain" class and 216 is OPC's "good, local
    override" (OPC DA 3.0, 6.8): a person read the face or said what it showed.  Gateways do not send it.
    """

    BAD = 0
    UNCERTAIN = 64
    GOOD = 192
    MANUAL = 216
    STALE = 500

    @property
    def usable(self) -> bool:
        """Whether the value may enter consumption, rules and rollups."""
        return self in (Quality.GOOD, Quality.MANUAL)


USABLE = tuple(int(quality) for quality in Quality if quality.usable)  # for statements: quality = ANY(...)
