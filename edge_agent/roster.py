"""The roster: every point of the gateway with its alias and last reading, and which devices answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from edge_agent.config import EdgeConfig
from rules.model.point import Point
from rules.model.reading import Reading

_code = itemgetter(0)  # of a reading: its point


@dataclass(slots=True)
class Member:
    """One device on the roster.  ``points`` holds None for a point that left the site file."""

    device: str
    number_alias: int
    aliases: dict[str, int]  # by measure
    points: dict[str, Point | None]
    alive: bool = True
    latest: dict[str, Reading] = field(default_factory=dict)  # by point

    def last(self, measure: str) -> Reading | None:
        """Give the last reading of a measure."""
        return self.latest.get(f"{self.device}.{measure}")


class Roster:
    """Devices by code.  Aliases are unique across the gateway and stay for the life of the process."""

    def __init__(self, config: EdgeConfig, spooled: set[tuple[str, str]]) -> None:
        self._next_alias = 0
        self.members: dict[str, Member] = {}
        for device in config.devices:
            member = self._member(device.code)
            for polled in device.points:
                self._add(member, polled.point.measure, polled.point)
        for device_code, measure in sorted(spooled):  # what still waits is born too, or it could not be sent
            member = self._member(device_code)
            if measure not in member.aliases:
                self._add(member, measure, None)

    def _alias(self) -> int:
        self._next_alias += 1
        return self._next_alias

    def _member(self, device: str) -> Member:
        if device not in self.members:
            self.members[device] = Member(device, self._alias(), {}, {})
        return self.members[device]

    def _add(self, member: Member, measure: str, point: Point | None) -> None:
        member.aliases[measure] = self._alias()
        member.points[measure] = point

    def note(self, device: str, readings: Sequence[Reading]) -> None:
        """Keep the last readings of a device for its next birth."""
        self.members[device].latest.update(zip(map(_code, readings), readings, strict=True))
