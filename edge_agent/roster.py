"""The roster: every point of the gateway with its alias and last reading, and which devices answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from edge_agent.config import EdgeConfig
from edge_agent.frame import Frame
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


@dataclass(frozen=True, slots=True)
class Turned:
    """What another configuration has changed: devices to be declared anew, and devices that are no longer there."""

    declared: frozenset[str]
    gone: frozenset[str]


class Roster:
    """Devices by code.  Aliases are unique across the gateway and stay for the life of the process."""

    def __init__(self, config: EdgeConfig, spooled: set[tuple[str, str]]) -> None:
        self._next_alias = 0
        self.members: dict[str, Member] = {}
        self._left: set[tuple[str, str]] = set()  # points that are no longer read
        self.unborn: set[str] = set()  # devices whose points are others than those that they were born with
        self.apply(config, spooled, emptied=False)

    def apply(self, config: EdgeConfig, spooled: set[tuple[str, str]], *, emptied: bool) -> Turned:
        """Go by another configuration; what still waits in the spool stays declared, or it could not be sent.

        ``emptied``: nothing waits; then what had left before this change is forgotten.
        """
        if emptied:
            self._forget()
        before = {code: (dict(member.points), member.alive) for code, member in self.members.items()}
        wanted = _wanted(config)
        for device, points in wanted.items():
            member = self._member(device)
            member.alive = member.alive or device not in before or _is_gone(before[device][0])
            for measure, point in points.items():
                self._add(member, measure, point)
        held = {(device, measure) for device, member in self.members.items() for measure in member.points}
        self._left = (held | spooled) - {(device, measure) for device, points in wanted.items() for measure in points}
        for device, measure in sorted(self._left):
            self._add(self._member(device), measure, None)
        gone = frozenset(code for code, (points, _) in before.items() if code not in wanted and not _is_gone(points))
        turned = {code for code, member in self.members.items() if before.get(code, ({}, True))[0] != member.points}
        return Turned(frozenset(turned - gone), gone)

    def _forget(self) -> None:
        for device, measure in self._left:
            member = self.members[device]
            del member.aliases[measure], member.points[measure]
            member.latest.pop(f"{device}.{measure}", None)
            if not member.points:
                del self.members[device]

    def _alias(self) -> int:
        self._next_alias += 1
        return self._next_alias

    def _member(self, device: str) -> Member:
        if device not in self.members:
            self.members[device] = Member(device, self._alias(), {}, {})
        return self.members[device]

    def _add(self, member: Member, measure: str, point: Point | None) -> None:
        if measure not in member.aliases:
            member.aliases[measure] = self._alias()
        member.points[measure] = point

    def learn(self, frame: Frame) -> None:
        """Make sure that a frame can be sent, if need be after another birth of its device."""
        measures = [reading.point[len(frame.device) + 1 :] for reading in frame.readings]
        known = self.members[frame.device].aliases if frame.device in self.members else {}
        strange = [measure for measure in measures if measure not in known]
        for measure in strange:  # it was being spooled while its point left
            self._add(self._member(frame.device), measure, None)
            self._left.add((frame.device, measure))
        if strange:
            self.unborn.add(frame.device)

    def note(self, device: str, readings: Sequence[Reading]) -> None:
        """Keep the last readings of a device for its next birth."""
        member = self.members.get(device)
        if member is not None:  # else it has left meanwhile
            member.latest.update(zip(map(_code, readings), readings, strict=True))


def _wanted(config: EdgeConfig) -> dict[str, dict[str, Point]]:
    wanted = {device.code: {one.point.measure: one.point for one in device.points} for device in config.devices}
    for point in config.local.points:
        wanted[point.device][point.measure] = point
    return wanted


def _is_gone(points: Mapping[str, Point | None]) -> bool:
    """Whether a device only stays for what still waits of it."""
    return all(point is None for point in points.values())
